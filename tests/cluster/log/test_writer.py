from __future__ import annotations

from pathlib import Path

import pytest

from gwcluster.errors import LogError
from gwcluster.log import Reader
from gwcluster.wire.events import decode_header, parse_topic
from support.shard_log import AT, BIG, Wall, open_log, put, segments


def test_an_append_gives_the_three_frames(tmp_path: Path) -> None:
    writer = open_log(tmp_path, new_epoch=lambda: "0123456789abcdef")
    topic, header, payload = writer.append("READY", b'{"t":"READY"}', session=1, seq=1, at=10_000.5)
    assert topic == b"READY.3."
    assert payload == b'{"t":"READY"}'
    found = decode_header(header)
    assert (found.shard, found.shards, found.epoch) == (3, 16, "0123456789abcdef")
    assert (found.offset, found.prev, found.session, found.seq, found.at) == (0, None, 1, 1, 10_000.5)
    writer.close()


def test_offsets_are_contiguous_and_prev_links_events_of_one_name(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    frames = put(writer, "READY", "TYPING_START", "READY", "READY", "TYPING_START")
    assert [parse_topic(topic)[0] for topic, _, _ in frames] == [
        "READY",
        "TYPING_START",
        "READY",
        "READY",
        "TYPING_START",
    ]
    headers = [decode_header(header) for _, header, _ in frames]
    assert [header.offset for header in headers] == [0, 1, 2, 3, 4]
    assert [header.prev for header in headers] == [None, None, 0, 2, 1]
    assert writer.last_offsets == {"READY": 3, "TYPING_START": 4}
    assert writer.next_offset == 5
    writer.close()


def test_seq_counts_only_when_it_is_flushed(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    writer.append("READY", b"{}", session=1, seq=7, at=AT)
    assert (writer.session, writer.seq) == (0, None)
    writer.flush()
    assert (writer.session, writer.seq) == (1, 7)
    writer.append("GWCLUSTER_SHARD_STATE", b"{}", session=1, seq=None, at=AT)
    writer.flush()
    assert (writer.session, writer.seq) == (1, 7)
    writer.close()


def test_a_marker_moves_the_seq_but_no_offset(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    put(writer, "READY")
    writer.mark(1, 500, AT)
    assert writer.seq == 1
    writer.flush()
    assert (writer.seq, writer.next_offset) == (500, 1)
    writer.close()
    again = open_log(tmp_path)
    assert (again.session, again.seq, again.next_offset) == (1, 500, 1)
    assert [record.name for record in Reader(tmp_path).records()] == ["READY"]
    again.close()


def test_a_name_that_no_topic_can_carry_is_refused_and_takes_no_offset(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    for name in ("", "MESSAGE.CREATE", "É", "A" * 101):
        with pytest.raises(LogError, match="not an event name"):
            writer.append(name, b"{}", session=1, seq=1, at=AT)
    assert (writer.next_offset, writer.last_offsets) == (0, {})
    writer.close()


def test_everything_goes_on_after_reopening(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    put(writer, "READY", "TYPING_START")
    writer.close()
    again = open_log(tmp_path)
    assert again.epoch == writer.epoch
    assert (again.next_offset, again.session, again.seq) == (2, 1, 2)
    (_, header, _), *_ = put(again, "READY")
    assert (decode_header(header).offset, decode_header(header).prev) == (2, 0)
    again.close()
    assert len(segments(tmp_path)) == 1


@pytest.mark.parametrize("other", [{"shards": 32}, {"shard": 4}])
def test_another_shard_or_count_starts_anew(tmp_path: Path, other: dict[str, int]) -> None:
    writer = open_log(tmp_path)
    put(writer, "READY")
    writer.close()
    again = open_log(tmp_path, **other)
    assert again.epoch != writer.epoch
    assert (again.next_offset, again.seq, again.last_offsets) == (0, None, {})
    assert list(Reader(tmp_path).records()) == []
    again.close()


def test_foreign_files_are_left_alone(tmp_path: Path) -> None:
    for name in ("notes.log", "session.json", "1.log", "00000000000000000009.log.bak"):
        (tmp_path / name).write_text("mine")
    open_log(tmp_path).close()
    open_log(tmp_path, shards=2).close()
    assert (tmp_path / "notes.log").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 5


def test_full_segments_are_followed_by_others_and_the_oldest_go(tmp_path: Path) -> None:
    writer = open_log(tmp_path, retention_bytes=3 << 20)
    for _ in range(300):
        put(writer, "GUILD_CREATE", payload=BIG[:20_000])
        writer.sync()
        assert writer.stored_bytes == sum(path.stat().st_size for path in segments(tmp_path))
        assert writer.stored_bytes <= 3 << 20
    assert len(segments(tmp_path)) == 3
    reader = Reader(tmp_path)
    assert reader.oldest > 0
    assert [record.offset for record in reader.records()] == list(range(reader.oldest, 300))
    writer.close()


def test_prev_and_seq_outlive_the_segments_that_they_came_from(tmp_path: Path) -> None:
    writer = open_log(tmp_path, retention_bytes=1 << 20)
    put(writer, "READY")
    for _ in range(30):
        put(writer, "GUILD_CREATE", payload=BIG)
        writer.sync()
    writer.close()
    assert Reader(tmp_path).oldest > 0
    again = open_log(tmp_path, retention_bytes=1 << 20)
    assert (again.next_offset, again.seq) == (31, 31)
    (_, header, _), *_ = put(again, "READY")
    assert decode_header(header).prev == 0
    again.close()


def test_no_segment_goes_before_a_newer_one_is_on_the_disk(tmp_path: Path) -> None:
    writer = open_log(tmp_path, retention_bytes=1 << 20)
    for _ in range(30):
        put(writer, "GUILD_CREATE", payload=BIG)
    assert len(segments(tmp_path)) == 3
    writer.sync()
    writer.tidy(AT)
    assert len(segments(tmp_path)) == 1
    writer.close()


def test_age_ends_segments_and_removes_them_even_when_nothing_comes(tmp_path: Path) -> None:
    wall = Wall()
    writer = open_log(tmp_path, wall=wall, retention_age_s=800.0)
    put(writer, "READY")
    wall.now += 99.0
    writer.tidy(wall.now)
    assert len(segments(tmp_path)) == 1
    wall.now += 1.0
    writer.tidy(wall.now)
    writer.sync()
    assert len(segments(tmp_path)) == 2
    wall.now += 799.0
    writer.tidy(wall.now)
    assert len(list(Reader(tmp_path).records())) == 1
    wall.now += 1.0
    writer.tidy(wall.now)
    assert list(Reader(tmp_path).records()) == []
    assert len(segments(tmp_path)) == 1
    assert (writer.seq, writer.next_offset) == (1, 1)
    writer.close()
    again = open_log(tmp_path)
    assert (again.seq, again.next_offset, again.last_offsets) == (1, 1, {"READY": 0})
    again.close()


def test_markers_alone_never_fill_the_disk(tmp_path: Path) -> None:
    writer = open_log(tmp_path, retention_bytes=1 << 20)
    for seq in range(60_000):
        writer.mark(1, seq, AT)
        if seq % 1000 == 0:
            writer.flush()
            writer.sync()
            assert writer.stored_bytes == sum(path.stat().st_size for path in segments(tmp_path))
    writer.close()
    assert sum(path.stat().st_size for path in segments(tmp_path)) < 2 << 20
    again = open_log(tmp_path)
    assert (again.seq, again.next_offset) == (59_999, 0)
    again.close()


def test_dirty_until_synced(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    writer.sync()
    assert not writer.dirty
    put(writer, "READY")
    assert writer.dirty
    writer.sync()
    assert not writer.dirty
    assert writer.degraded is None
    writer.close()


def test_closing_twice_and_syncing_after_it_do_nothing(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    writer.append("READY", b"{}", session=1, seq=1, at=AT)
    writer.close()
    writer.close()
    writer.sync()
    assert [record.name for record in Reader(tmp_path).records()] == ["READY"]
