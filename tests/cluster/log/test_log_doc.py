"""Decodes what docs/log.md shows."""

from __future__ import annotations

import re
from pathlib import Path

from gwcluster.log.record import EVENT, Ending, Scan, encode
from gwcluster.log.state import decode_start

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
