from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from gwcluster.wire.events import decode_header
from support.outlet_rig import Rig
from support.shard_log import AT, open_log


@pytest.fixture
def rig(tmp_path: Path) -> Iterable[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.writer.close()


def test_nothing_is_pushed_before_it_is_in_the_log(rig: Rig) -> None:
    rig.dispatch("A", 1)
    rig.dispatch("B", 2)
    assert rig.fanin.events == []
    assert rig.writer.seq is None, "what is not written does not count"
    rig.outlet.flush()
    assert rig.fanin.names == ["A", "B"]
    assert rig.fanin.logged == [True, True]
    assert rig.writer.seq == 2


def test_an_event_is_pushed_as_topic_header_and_the_bytes_that_came(rig: Rig) -> None:
    rig.dispatch("MESSAGE_CREATE", 7, b'{ "whatever": "came" }')
    rig.outlet.flush()
    topic, header, payload = rig.fanin.events[0]
    assert topic == b"MESSAGE_CREATE.3."
    told = decode_header(header)
    assert (told.shard, told.shards, told.offset, told.prev) == (3, 16, 0, None)
    assert (told.session, told.seq, told.at) == (1, 7, AT + 7)
    assert payload == b'{ "whatever": "came" }'


def test_a_flush_pushes_each_event_once(rig: Rig) -> None:
    rig.dispatch("A", 1)
    rig.outlet.flush()
    rig.outlet.flush()
    assert rig.fanin.names == ["A"]


def test_a_megabyte_of_events_does_not_wait_for_the_end_of_a_read(rig: Rig) -> None:
    for seq in range(1, 4):
        rig.dispatch("GUILD_CREATE", seq, b"x" * 400_000)
    assert len(rig.fanin.events) == 3
    assert all(rig.fanin.logged)


def test_a_notice_has_no_seq_and_leaves_the_logs_seq_alone(rig: Rig) -> None:
    rig.dispatch("A", 5)
    rig.outlet.notice("GWCLUSTER_SHARD_STATE", b"{}", 1)
    rig.outlet.flush()
    assert decode_header(rig.fanin.events[1][1]).seq is None
    assert rig.writer.seq == 5
    assert rig.outlet.events == 1, "a notice is no dispatch"


@pytest.mark.parametrize(
    ("include", "exclude", "kept"),
    [
        (None, [], ["READY", "A", "B", "C"]),
        (None, ["B"], ["READY", "A", "C"]),
        (["A", "B"], [], ["A", "B"]),
        (["A", "B"], ["B"], ["A"]),
        ([], [], []),
    ],
)
def test_only_what_is_included_and_not_excluded_is_logged_and_pushed(
    tmp_path: Path, include: list[str] | None, exclude: list[str], kept: list[str]
) -> None:
    rig = Rig(tmp_path, include=include, exclude=exclude)
    for seq, name in enumerate(["READY", "A", "B", "C"], 1):
        rig.dispatch(name, seq)
    rig.outlet.notice("GWCLUSTER_SHARD_STATE", b"{}", 1)
    rig.outlet.flush()
    assert rig.fanin.names == [*kept, "GWCLUSTER_SHARD_STATE"], "notices pass every filter"
    assert rig.writer.next_offset == len(kept) + 1, "what is dropped gets no offset"
    assert rig.outlet.events == len(kept)
    rig.writer.close()


def test_the_seq_of_dropped_events_counts_once_it_is_marked(tmp_path: Path) -> None:
    rig = Rig(tmp_path, exclude=["TYPING_START"])
    rig.dispatch("A", 1)
    rig.dispatch("TYPING_START", 2)
    rig.dispatch("TYPING_START", 3)
    rig.outlet.flush()
    assert rig.writer.seq == 1
    rig.outlet.mark()
    assert rig.writer.seq == 3
    assert rig.fanin.names == ["A"]
    rig.writer.close()
    again = open_log(tmp_path)
    assert (again.session, again.seq) == (1, 3), "a successor resumes from there"
    again.close()


def test_there_is_nothing_to_mark_when_a_kept_event_came_later(tmp_path: Path) -> None:
    rig = Rig(tmp_path, exclude=["TYPING_START"])
    rig.dispatch("TYPING_START", 1)
    rig.dispatch("A", 2)
    rig.outlet.flush()
    size = rig.writer.stored_bytes
    rig.outlet.mark()
    assert (rig.writer.seq, rig.writer.stored_bytes) == (2, size)
    rig.writer.close()


def test_a_seq_is_marked_once(tmp_path: Path) -> None:
    rig = Rig(tmp_path, exclude=["TYPING_START"])
    rig.dispatch("TYPING_START", 1)
    rig.outlet.mark()
    size = rig.writer.stored_bytes
    rig.outlet.mark()
    assert rig.writer.stored_bytes == size
    rig.writer.close()
