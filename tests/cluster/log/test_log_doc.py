"""Decodes what docs/log.md shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gwcluster.log.record import EVENT, Ending, Scan, encode
from gwcluster.log.state import decode_start
from support.sample_logs import sample_logs

PAGE = (Path(__file__).parents[3] / "docs" / "log.md").read_text()
BLOCKS = dict(re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))


def test_the_record_on_the_page_is_one_of_ours() -> None:
    data = bytes.fromhex(BLOCKS["hex"])
    assert data == b"".join(encode(EVENT, b"READY", b"\x80", b"{}", 1, 7, 1, 10_000.0))
    scan = Scan(data)
    (entry,) = scan
    assert scan.ending is Ending.WHOLE
    assert (entry.session, entry.offset, entry.seq, entry.at) == (1, 7, 1, 10_000.0)
    assert data[entry.name : entry.header] == b"READY"


def test_the_start_on_the_page_can_be_read() -> None:
    data = b"".join(encode(1, b"", b"", BLOCKS["json"].encode(), 1, 7, 1, 10_000.0))
    state = decode_start(next(iter(Scan(data))), data)
    assert state is not None
    assert (state.epoch, state.shard, state.shards) == ("9f86d081884c7d65", 12, 16)
    assert (state.last_offsets, state.floor, state.next_offset) == ({"READY": 0}, None, 7)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["verify", "state"], 1),
        (["dump", "state/shards/1", "--after", "10", "--limit", "2"], 0),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_the_commands_print_is_what_they_print(tmp_path: Path, command: list[str], code: int) -> None:
    sample_logs(tmp_path / "state")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "gwcluster", "log", *command],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "TZ": "UTC"},
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr, done.returncode) == (BLOCKS[command[0]], "", code)
