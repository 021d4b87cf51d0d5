from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gwcluster.errors import LogError
from gwcluster.log import Hole, Reader, Record, Writer
from gwcluster.log.record import START, Scan, encode
from gwcluster.wire.events import decode_header
from support.shard_log import AT, BIG, damage, new_epoch, open_log, put, segments

SKIP = 1_073_741_824


def abandon(writer: Writer) -> None:
    """Let go like a process that is killed: nothing is flushed, synced or written any more."""
    writer._output._tail.close()


def no_epoch() -> str:
    raise AssertionError("the log must not start anew")


def entries(folder: Path, after: int | None = None) -> list[object]:
    return [
        (entry.first, entry.last) if isinstance(entry, Hole) else entry.offset
        for entry in Reader(folder).entries(after)
    ]


def test_a_tail_torn_at_any_byte_of_the_last_record_is_cut(tmp_path: Path) -> None:
    writer = open_log(tmp_path / "whole")
    put(writer, "READY", "TYPING_START")
    (whole,) = segments(tmp_path / "whole")
    before = whole.stat().st_size
    put(writer, "READY", payload=b'{"d":1}')
    abandon(writer)
    for size in range(before, whole.stat().st_size):
        folder = tmp_path / f"{size}"
        shutil.copytree(tmp_path / "whole", folder)
        with (folder / whole.name).open("r+b") as file:
            file.truncate(size)
        again = open_log(folder, new_epoch=no_epoch)
        assert (again.next_offset, again.seq, again.last_offsets) == (2, 2, {"READY": 0, "TYPING_START": 1})
        (_, header, _), *_ = put(again, "READY")
        assert (decode_header(header).offset, decode_header(header).prev) == (2, 0)
        again.close()
        assert entries(folder) == [0, 1, 2]
        assert len(segments(folder)) == 1


FLIP = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
_runs = itertools.count()


@FLIP
@given(st.integers(0, 1_000_000))
def test_a_flipped_bit_never_yields_a_bad_record_or_an_offset_twice(tmp_path: Path, bit: int) -> None:
    folder = tmp_path / f"{next(_runs)}"
    writer = open_log(folder)
    good = put(writer, "READY", "TYPING_START", "READY", payload=b'{"d":1}')
    abandon(writer)
    (only,) = segments(folder)
    place = bit % (8 * only.stat().st_size)

    def flip(data: bytearray) -> None:
        data[place // 8] ^= 1 << place % 8

    damage(only, flip)
    again = open_log(folder)
    given_out = [header for _, header, _ in good]
    if again.epoch == writer.epoch:
        assert again.next_offset >= 3
        put(again, "READY")
    records = list(Reader(folder).records())
    for record in records:
        if record.offset < 3 and again.epoch == writer.epoch:
            assert record.header == given_out[record.offset]
            assert record.payload == b'{"d":1}'
    again.close()


def test_behind_damage_offsets_go_on_far_ahead_and_every_chain_is_broken(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    put(writer, "READY", "TYPING_START", "RESUMED", "READY")
    abandon(writer)
    damage(segments(tmp_path)[0], lambda data: data.__setitem__(-1, 0))
    again = open_log(tmp_path, new_epoch=no_epoch)
    assert (again.next_offset, again.seq) == (3 + SKIP, 3)
    frames = put(again, "READY", "USER_UPDATE", "READY")
    headers = [decode_header(header) for _, header, _ in frames]
    assert [header.prev for header in headers] == [2 + SKIP, 2 + SKIP, 3 + SKIP]
    assert again.last_offsets["TYPING_START"] == 2 + SKIP
    again.close()
    assert entries(tmp_path) == [0, 1, 2, (3, 2 + SKIP), 3 + SKIP, 4 + SKIP, 5 + SKIP]
    third = open_log(tmp_path, new_epoch=no_epoch)
    assert third.next_offset == 6 + SKIP
    (_, header, _), *_ = put(third, "CHANNEL_CREATE")
    assert decode_header(header).prev == 2 + SKIP
    third.close()


def test_an_unreadable_newest_segment_falls_back_to_the_one_before(tmp_path: Path) -> None:
    writer = open_log(tmp_path, retention_bytes=8 << 20)
    for _ in range(12):
        put(writer, "GUILD_CREATE", payload=BIG)
    abandon(writer)
    older, newest = segments(tmp_path)
    damage(newest, lambda data: data.__setitem__(9, 255))
    again = open_log(tmp_path, new_epoch=no_epoch)
    rotated_at = int(newest.stem)
    assert again.seq == rotated_at
    assert again.next_offset == rotated_at + SKIP
    assert entries(tmp_path) == [*range(12), (12, rotated_at + SKIP - 1)]
    assert older.exists()
    again.close()


def test_without_any_readable_segment_the_log_starts_anew(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    put(writer, "READY")
    abandon(writer)
    segments(tmp_path)[0].write_bytes(b"\0" * 4096)
    again = open_log(tmp_path)
    assert again.epoch != writer.epoch
    assert (again.next_offset, again.seq) == (0, None)
    again.close()


def test_a_removed_log_starts_anew(tmp_path: Path) -> None:
    writer = open_log(tmp_path / "log")
    put(writer, "READY")
    writer.close()
    shutil.rmtree(tmp_path / "log")
    again = open_log(tmp_path / "log")
    assert (again.epoch != writer.epoch, again.next_offset) == (True, 0)
    again.close()


def test_after_the_machine_went_down_unsynced_offsets_are_not_used_again(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    put(writer, "READY")
    abandon(writer)
    again = open_log(tmp_path, boot=lambda: "boot-2", new_epoch=no_epoch)
    assert (again.next_offset, again.seq) == (1 + SKIP, 1)
    abandon(again)
    third = open_log(tmp_path, boot=lambda: "boot-2", new_epoch=no_epoch)
    assert third.next_offset == 1 + SKIP
    third.close()


def test_a_log_that_was_closed_goes_on_without_a_gap_in_another_boot(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    put(writer, "READY")
    writer.close()
    for boot in ("boot-2", "boot-3"):
        again = open_log(tmp_path, boot=lambda boot=boot: boot, new_epoch=no_epoch)
        assert (again.next_offset, again.seq) == (1, 1)
        again.close()
    last = open_log(tmp_path, boot=lambda: "boot-3", new_epoch=no_epoch)
    put(last, "READY")
    abandon(last)
    assert entries(tmp_path) == [0, 1]
    killed = open_log(tmp_path, boot=lambda: "boot-3", new_epoch=no_epoch)
    assert killed.next_offset == 2
    killed.close()


def test_an_event_out_of_its_place_is_damage_so_that_no_offset_is_used_twice(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    put(writer, "READY")
    put(writer, *["TYPING_START"] * 8)
    abandon(writer)
    data = segments(tmp_path)[0].read_bytes()
    start, ready, *_ = Scan(data)
    segments(tmp_path)[0].write_bytes(data + data[start.end : ready.end])
    writer = open_log(tmp_path, new_epoch=no_epoch)
    assert writer.next_offset == 9 + SKIP
    writer.close()


def test_a_segment_under_the_name_of_another_offset_is_nobodys(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    put(writer, "READY", "RESUMED")
    shutil.copyfile(segments(tmp_path)[0], tmp_path / f"{1:020d}.log")
    put(writer, "READY")
    assert Reader(tmp_path).last == 2
    assert [record.offset for record in Reader(tmp_path).records()] == [0, 1, 2]
    abandon(writer)
    writer = open_log(tmp_path, new_epoch=no_epoch)
    assert writer.next_offset == 3 + SKIP, "the copy may have been a newer one's"
    writer.close()


def test_names_beyond_all_offsets_are_foreign_files(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    put(writer, "READY")
    for first in (9_007_199_254_740_992, 10**20 - 1):
        (tmp_path / f"{first:020d}.log").write_bytes(b"")
    abandon(writer)
    assert Reader(tmp_path).last == 0
    assert open_log(tmp_path, new_epoch=no_epoch).next_offset == 1


def test_a_log_without_offsets_left_is_refused(tmp_path: Path) -> None:
    open_log(tmp_path).close()
    (tmp_path / f"{9_007_199_254_740_991:020d}.log").write_bytes(b"")
    with pytest.raises(LogError, match="would go on at offset 9007200328482815"):
        open_log(tmp_path)


def test_an_unfinished_segment_is_cleared_away(tmp_path: Path) -> None:
    open_log(tmp_path).close()
    (tmp_path / "00000000000000000009.tmp").write_bytes(b"half")
    open_log(tmp_path, new_epoch=no_epoch).close()
    assert [path.suffix for path in tmp_path.iterdir()] == [".log"]


def test_a_log_of_a_newer_format_is_refused_and_kept(tmp_path: Path) -> None:
    newer = b"".join(encode(START, b"", b"", b'{"format":2}', 0, 0, None, AT))
    (tmp_path / "00000000000000000000.log").write_bytes(newer)
    with pytest.raises(LogError, match="upgrade"):
        open_log(tmp_path)
    assert segments(tmp_path)[0].read_bytes() == newer


def test_the_default_boot_is_the_machines(tmp_path: Path) -> None:
    for offset in range(2):
        writer = Writer.open(
            tmp_path,
            shard=0,
            shards=1,
            retention_bytes=1,
            retention_age_s=1.0,
            new_epoch=new_epoch,
            wall=lambda: AT,
        )
        assert writer.next_offset == offset
        put(writer, "READY")
        abandon(writer)
    assert [isinstance(entry, Record) for entry in Reader(tmp_path).entries()] == [True, True]
