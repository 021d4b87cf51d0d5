from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from gwcluster.cli import main
from support.config_files import LEAST, written

SHIPPED = Path(__file__).parents[3] / "cluster.yaml"


def _check(path: Path, **environ: str | None) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["check", str(path)], env=environ)
    return result.exit_code, result.stdout, result.stderr


def test_the_shipped_file_is_good() -> None:
    code, out, err = _check(SHIPPED, DISCORD_TOKEN="abc.def", XDG_STATE_HOME="/var/state")
    assert (code, err) == (0, "")
    first, second = out.splitlines()
    assert first == f"{SHIPPED}: ok"
    assert second == (
        "example: as many shards as Discord recommends; intents GUILDS, GUILD_MESSAGES; "
        "events tcp://127.0.0.1:5570; requests tcp://127.0.0.1:5571; http 127.0.0.1:5572; "
        "state /var/state/gwcluster/example"
    )


def test_a_good_file_says_which_part_of_the_shards_it_runs(tmp_path: Path) -> None:
    path = written(tmp_path, LEAST + "shards: {count: 16, ids: 0-3}\nhttp: {bind: null}\n")
    _, out, _ = _check(path)
    assert ": 4 of 16 shards; " in out
    assert "; http none; " in out


def test_a_good_file_of_several_hosts_says_which_of_them_this_is(tmp_path: Path) -> None:
    path = written(tmp_path, LEAST + "hosts: {nats: nats://127.0.0.1:4222, name: gw-1}\n")
    _, out, _ = _check(path)
    assert out.endswith("; host gw-1 of several at nats://127.0.0.1:4222\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            LEAST + "shards:\n  count: many\n",
            "4: shards.count: 'many' is not a shard count; write auto",
        ),
        (LEAST + "shard: 1\n", "3: shard: there is no such key; did you mean shards?"),
        ("token: abc\n\n", "1: intents: is missing; write the intents"),
        ("intents: 0\n", "1: token: is missing; write token: ${DISCORD_TOKEN}, or token_file"),
        (
            "token: ${UNSET_HERE}\nintents: 0\n",
            "1: token: the environment variable UNSET_HERE is not set;",
        ),
        ("token: abc\nintents: [GUILD]\n", "2: intents[0]: 'GUILD' is not an intent; did you mean GUILDS?"),
        (LEAST + "name: a: b\n", "3: not YAML: a colon is out of place; check"),
        (
            "token: abc\ntoken: abc\nintents: 0\n",
            "2: token: this key appears twice, first on line 1; keep",
        ),
        (
            LEAST + "log: {retention: {age: 5}}\n",
            "3: log.retention.age: 5 has no unit; write 5s",
        ),
        (
            LEAST + "http: {bind: 80}\n",
            "3: http.bind: 80 is not an address to bind; write HOST:PORT",
        ),
        (
            LEAST + "events: {bind: tcp://*:1}\n",
            "3: events.bind: this address can be reached",
        ),
        (
            LEAST + "hosts: {}\n",
            "3: hosts.nats: is missing; write the addresses of your NATS servers, such as",
        ),
        (
            LEAST + "identify: {reserve: 2}\n",
            "3: identify.reserve: 2 is more than all of it; write 2% if",
        ),
        (
            LEAST + "gateway: {api: http://a/api/v10}\n",
            "3: gateway.api: 'http://a/api/v10' would send",
        ),
    ],
)
def test_a_broken_file_is_78_and_says_line_key_and_remedy(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    code, out, err = _check(path, UNSET_HERE=None)
    assert (code, out) == (78, "")
    assert err.startswith(f"{path}:{said}")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [("nowhere.yaml", "there is no such file"), (".", "this is a folder"), ("raw", "is not UTF-8")],
)
def test_a_file_that_is_none_is_78_too(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "raw").write_bytes(b"\xfe")
    code, _, err = _check(tmp_path / name)
    assert code == 78
    assert said in err


def test_the_installed_command_behaves_the_same(tmp_path: Path) -> None:
    written(tmp_path, "token: s3cr3t\nintents: [GUILD]\nshards:\n  count: many\n")
    program = Path(sys.executable).with_name("gwcluster")
    done = subprocess.run(
        [program, "check", "cluster.yaml"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": "/home/bot"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr == (
        "cluster.yaml:2: intents[0]: 'GUILD' is not an intent; did you mean GUILDS?\n"
        "cluster.yaml:4: shards.count: 'many' is not a shard count; write auto or a whole number from 1\n"
    )
