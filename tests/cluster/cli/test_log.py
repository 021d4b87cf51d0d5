"""`gwcluster log` as people call it, at logs that two shards left."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gwcluster.cli import main
from gwcluster.log import Reader
from support.sample_logs import sample_logs
from support.shard_log import open_log, segments


@pytest.fixture
def state(tmp_path: Path) -> Path:
    sample_logs(tmp_path / "state")
    return tmp_path / "state"


def called(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["log", *map(str, arguments)])


@pytest.mark.parametrize("command", ["verify", "dump"])
def test_each_command_explains_itself(command: str) -> None:
    assert command in called("--help").stdout
    assert "FOLDER" in called(command, "--help").stdout


def test_one_log_may_be_whole_while_another_is_not(state: Path) -> None:
    assert called("verify", state).exit_code == 1
    assert called("verify", state / "shards").exit_code == 1
    assert called("verify", state / "shards" / "1").exit_code == 1
    whole = called("verify", state / "shards" / "0")
    assert whole.exit_code == 0
    assert whole.stdout.startswith("shard 0: whole; 4 segments, ")


def test_a_torn_tail_alone_is_whole(state: Path) -> None:
    log = state / "shards" / "0"
    last = segments(log)[-1]
    last.write_bytes(last.read_bytes()[:-1])
    result = called("verify", log)
    assert result.exit_code == 0
    assert "note: 00000000000000000030.log, byte 191: the last 43 bytes are the beginning of" in result.stdout


def test_json_is_one_object_a_log_with_its_findings(state: Path) -> None:
    result = called("verify", state, "--json")
    assert result.exit_code == 1
    one, two = map(json.loads, result.stdout.splitlines())
    assert (one["shard"], one["shards"], one["damages"], one["findings"]) == (0, 2, 0, [])
    assert (one["first"], one["next"], one["events"], one["session"], one["seq"]) == (0, 30, 30, 1, 30)
    assert (two["damages"], two["missing"], two["more"], two["error"]) == (2, 1, 0, None)
    assert two["findings"][1] == {
        "file": str(state / "shards" / "1" / "00000000000000000010.log"),
        "at": 734,
        "damage": True,
        "what": "offset 12 was lost",
        "means": "subscribers are told of a gap",
    }


def test_of_very_many_findings_the_first_are_printed_and_all_counted(state: Path) -> None:
    first, *_ = segments(state / "shards" / "0")
    data = first.read_bytes()
    at = len(data) - 179
    first.write_bytes(data + data[at:] * 150)
    result = called("verify", state / "shards" / "0")
    assert len(result.stdout.splitlines()) == 102
    assert result.stdout.splitlines()[-1] == "  and 50 more"
    assert "shard 0: 150 damages" in result.stdout


def test_a_log_that_can_not_be_read_is_1_and_the_others_are_looked_at(state: Path) -> None:
    (state / "shards" / "0" / "00000000000000000005.log").mkdir()
    result = called("verify", state)
    assert result.exit_code == 1
    first, second, *_ = result.stdout.splitlines()
    assert first.startswith(f"{state / 'shards' / '0'}: can't be read: ")
    assert second.startswith("shard 1: 2 damages")


@pytest.mark.parametrize("command", ["verify", "dump"])
@pytest.mark.parametrize("name", ["", "nowhere", "file"])
def test_a_folder_without_a_log_is_wrong_usage_and_says_what_is_right(
    tmp_path: Path, command: str, name: str
) -> None:
    (tmp_path / "file").write_text("")
    result = called(command, tmp_path / name)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Name a cluster's state folder" in result.stderr
    assert "STATE/shards/0" in result.stderr


def test_dump_prints_every_shard_in_order(state: Path) -> None:
    result = called("dump", state)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert len(lines) == 60
    assert [line.split()[2] for line in lines if " shard " in line] == ["0"] * 30 + ["1"] * 29
    assert lines[42] == f"offset 12 is not in {state / 'shards' / '1'}"


def test_dump_chooses_by_offset_name_and_number(state: Path) -> None:
    log = state / "shards" / "1"
    chosen = (
        "dump",
        log,
        "--after",
        "8",
        "--event",
        "TYPING_START",
        "--event",
        "READY",
        "--limit",
        "3",
        "--json",
    )
    found = [json.loads(line) for line in called(*chosen).stdout.splitlines()]
    assert [one.get("offset") for one in found] == [9, None, 15, 18]
    assert found[1] == {"folder": str(log), "missing": [12, 12]}
    assert (found[0]["name"], found[0]["dispatch"]["s"], found[0]["prev"]) == ("TYPING_START", 10, 6)
    assert called("dump", log, "--after", "29").stdout == ""
    assert called("dump", log, "--after", "99").stdout == ""


def test_after_is_an_offset_of_one_log(state: Path) -> None:
    result = called("dump", state, "--after", "3")
    assert result.exit_code == 2
    assert f"name one, such as {state / 'shards' / '0'}" in result.stderr


def test_expired_offsets_have_a_line(state: Path) -> None:
    log = state / "shards" / "0"
    segments(log)[0].unlink()
    lines = called("dump", log, "--after", "3").stdout.splitlines()
    assert lines[0] == f"offsets 4 to 9 are not in {log}"
    assert len(lines) == 21


def test_pages_follow_each_other_without_a_seam(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    for seq in range(1, 2501):
        writer.append("TYPING_START", b"{}", session=1, seq=seq, at=1.0)
    writer.close()
    found = [json.loads(line)["offset"] for line in called("dump", tmp_path, "--json").stdout.splitlines()]
    assert found == list(range(2500))
    assert Reader(tmp_path).last == 2499


def test_a_closed_pipe_ends_it_without_a_word(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    for seq in range(1, 20_001):
        writer.append("TYPING_START", b"{}", session=1, seq=seq, at=1.0)
    writer.close()
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "gwcluster", "log", "dump", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (0, b"")
