import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.sim_client import get

COMMAND = [sys.executable, "-P", "-m", "gwsimulator"]


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Give a simulator process and its API, once it listens."""
    with subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("gwsimulator: listening, api http://127.0.0.1:")
        assert line.endswith("/api/v10\n")
        try:
            yield process, line.split()[-1]
        finally:
            process.kill()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_listens_and_ends_quietly(signum: signal.Signals) -> None:
    with running("--shards", "3", "--max-concurrency", "2", "--daily-limit", "77") as (process, api):
        body = get(f"{api}/gateway/bot")[1]
        assert (body["shards"], body["session_start_limit"]["max_concurrency"]) == (3, 2)
        assert body["session_start_limit"]["total"] == 77
        process.send_signal(signum)
        assert process.wait(5) == 0
        assert process.stdout is not None
        assert process.stderr is not None
        assert (process.stdout.read(), process.stderr.read()) == ("", "")


def test_with_die_with_parent_it_ends_when_its_standard_input_does() -> None:
    with running("--die-with-parent") as (process, _):
        assert process.stdin is not None
        process.stdin.write("anything\n")
        process.stdin.flush()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.1)
        process.stdin.close()
        assert process.wait(5) == 0


def test_the_ledger_is_written_while_things_happen(tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    with running("--ledger", str(file), "--token", "right") as (_, api):
        assert get(f"{api}/gateway/bot")[0] == 401
        kinds = [json.loads(line)["kind"] for line in file.read_text().splitlines()]
        assert kinds == ["violation", "rest"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shards", "0"], "'--shards': 0"),
        (["--mix", "loud"], "'--mix': 'loud'"),
        (["--rate", "fast"], "'--rate': 'fast'"),
        (["--token", ""], "token must not be empty"),
        (["--ledger", "/"], "'--ledger': File '/' is a directory"),
        (["surplus"], "unexpected extra argument"),
    ],
)
def test_bad_arguments_are_named_and_end_with_2(arguments: list[str], message: str) -> None:
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stdout == ""


def test_a_port_that_is_taken_ends_with_2_and_says_so() -> None:
    with running() as (_, api):
        port = api.split(":")[2].partition("/")[0]
        done = subprocess.run(
            [*COMMAND, "--port", port], capture_output=True, text=True, timeout=10, check=False
        )
        assert done.returncode == 2
        assert f"port {port}" in done.stderr


def test_help_says_what_rate_means() -> None:
    done = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, timeout=10, check=True)
    assert "Events per second and shard." in done.stdout


def test_scenarios_are_listed_with_what_they_are_about() -> None:
    done = subprocess.run([*COMMAND, "--scenarios"], capture_output=True, text=True, timeout=10, check=True)
    listed = [line.split()[0] for line in done.stdout.splitlines()]
    assert listed == ["half-open", "identify-storm", "outage", "resume-host-dead", "rolling-restart"]


def test_a_scenario_is_said_while_it_is_played_and_summed_up_at_the_end(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "about: x\nbegins: at once\nsettings: {shards: 7, max_concurrency: 5}\n"
        "steps:\n  - {do: rest_fault, status: 503}\n  - {after: 100ms, say: that was it}\n"
    )
    with running("--scenario", str(file), "--max-concurrency", "2") as (process, api):
        assert process.stderr is not None
        said = [process.stderr.readline() for _ in range(4)]
        assert get(f"{api}/gateway/bot")[0] == 503
        body = get(f"{api}/gateway/bot")[1]
        assert (body["shards"], body["session_start_limit"]["max_concurrency"]) == (7, 2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
        rest = process.stderr.read()
    assert [line.split("s  ")[-1].strip() for line in said[:3]] == [
        "let REST fail (status: 503)",
        "that was it",
        "mine is over",
    ]
    assert "until it is stopped" in said[3]
    assert "REST calls   2: 1 503, 1 200" in rest


def test_a_scenario_that_is_wrong_ends_with_2_and_is_said(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("about: x\nsteps:\n  - do: op77\n")
    done = subprocess.run(
        [*COMMAND, "--scenario", str(file)], capture_output=True, text=True, timeout=10, check=False
    )
    assert done.returncode == 2
    assert f"{file}:3: steps[0].do: 'op77' is unknown; did you mean op7?" in done.stderr
