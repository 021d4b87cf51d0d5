"""Questions as replay asks them: `Reader.read`."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gwcluster.errors import LogError
from gwcluster.log import Expired, Page, Reader, Writer
from support.shard_log import AT, BIG, Wall, damage, open_log, put, segments

KB = b"x" * 1000
MIB = 1 << 20


def ask(
    reader: Reader, after: int | None, *names: str, limit: int = 1000, max_bytes: int = MIB
) -> tuple[list[int], list[tuple[int, int]], int | None, bool]:
    page = reader.read(after, names=frozenset(names) or None, limit=limit, max_bytes=max_bytes)
    return [record.offset for record in page.records], page.holes, page.last, page.more


def bytes_read(what: Callable[[], object]) -> int:
    """Return how many bytes this process reads in order to do it."""

    def so_far() -> int:
        with open("/proc/self/io") as file:  # noqa: PTH123 - as few reads as can be
            return int(file.readline().split()[1])

    before = so_far()
    what()
    return so_far() - before


def fill(writer: Writer, count: int, name: str = "MESSAGE_CREATE", payload: bytes = KB) -> None:
    for _ in range(count):
        writer.append(name, payload, session=1, seq=writer.next_offset + 1, at=AT)
        if writer.next_offset % 50 == 0:
            writer.flush()
    writer.flush()


def test_a_page_tells_what_was_asked_for_and_where_the_log_stands(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    reader = Reader(tmp_path)
    assert reader.read(None, names=None, limit=10, max_bytes=MIB) == Page(
        writer.epoch, [], [], None, False, 0, None
    )
    put(writer, "READY", "TYPING_START", "READY", "TYPING_START")
    page = reader.read(0, names=frozenset({"READY"}), limit=10, max_bytes=MIB)
    assert [record.offset for record in page.records] == [2]
    assert page == Page(writer.epoch, page.records, [], 3, False, 0, 3)
    assert ask(reader, None) == ([0, 1, 2, 3], [], 3, False)
    assert ask(reader, None, limit=2) == ([0, 1], [], 1, True)
    assert ask(reader, 1, limit=2) == ([2, 3], [], 3, False)
    assert ask(reader, None, limit=0) == ([], [], None, True)
    assert ask(reader, 1, limit=0) == ([], [], 1, True)
    assert ask(reader, 3) == ([], [], 3, False)
    assert ask(reader, 99) == ([], [], 99, False)
    writer.close()


def test_a_page_holds_no_more_bytes_than_asked_for_but_always_one_event(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    frames = put(writer, "READY", "READY", "READY", payload=KB)
    reader = Reader(tmp_path)
    two = sum(len(frame) for frames in frames[:2] for frame in frames)
    assert ask(reader, None, max_bytes=two) == ([0, 1], [], 1, True)
    assert ask(reader, None, max_bytes=two - 1) == ([0], [], 0, True)
    assert ask(reader, 0, max_bytes=1) == ([1], [], 1, True)
    writer.close()


def test_a_page_ends_before_what_does_not_fit_and_behind_what_was_passed(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    put(writer, "READY", "TYPING_START", "TYPING_START", "READY", payload=KB)
    reader = Reader(tmp_path)
    assert ask(reader, None, "READY", max_bytes=1) == ([0], [], 2, True)
    assert ask(reader, None, "READY", max_bytes=1500) == ([0], [], 2, True)
    assert ask(reader, 0, "READY", max_bytes=1) == ([3], [], 3, False)
    writer.close()


def test_a_record_longer_than_any_chunk_is_read(tmp_path: Path) -> None:
    writer = open_log(tmp_path, retention_bytes=64 * MIB)
    put(writer, "READY")
    put(writer, "GUILD_CREATE", payload=bytes(5 * MIB))
    put(writer, "READY")
    assert ask(Reader(tmp_path), None, max_bytes=1) == ([0], [], 0, True)
    assert ask(Reader(tmp_path), 0, max_bytes=1) == ([1], [], 1, True)
    assert ask(Reader(tmp_path), 0, "READY") == ([2], [], 2, False)
    writer.close()


def test_expired_offsets_are_refused_with_the_oldest_that_is_left(tmp_path: Path) -> None:
    writer = open_log(tmp_path, retention_bytes=MIB)
    for _ in range(15):
        put(writer, "GUILD_CREATE", payload=BIG)
    writer.sync()
    writer.tidy(AT)
    reader = Reader(tmp_path)
    with pytest.raises(Expired) as expired:
        ask(reader, 9)
    assert expired.value.oldest == 11
    assert isinstance(expired.value, LogError)
    assert ask(reader, 10) == ask(reader, None) == ([11, 12, 13, 14], [], 14, False)
    writer.close()


def test_a_log_of_which_all_has_expired_tells_what_comes_next(tmp_path: Path) -> None:
    wall = Wall()
    writer = open_log(tmp_path, retention_age_s=80.0, wall=wall)
    put(writer, "READY", "READY")
    for _ in range(2):
        wall.now += 100.0
        writer.tidy(wall.now)
        writer.sync()
    writer.tidy(wall.now)
    page = Reader(tmp_path).read(None, names=None, limit=10, max_bytes=MIB)
    assert page == Page(writer.epoch, [], [], 1, False, 2, 1)
    with pytest.raises(Expired):
        ask(Reader(tmp_path), 0)
    writer.close()


def test_a_question_near_the_end_reads_little_and_stays_right_while_it_grows(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    fill(writer, 4000)
    reader = Reader(tmp_path)
    ask(reader, 3998)
    for _ in range(30):
        fill(writer, 7)
        last = writer.next_offset - 1
        assert ask(reader, last - 3) == ([last - 2, last - 1, last], [], last, False)
    assert bytes_read(lambda: ask(reader, last - 3)) < 80_000
    assert bytes_read(lambda: ask(reader, last)) < 2_000
    assert bytes_read(lambda: ask(reader, 10, limit=3)) < 80_000
    writer.close()


def test_one_question_reads_a_bounded_stretch_of_the_log(tmp_path: Path) -> None:
    writer = open_log(tmp_path, retention_bytes=256 * MIB)
    put(writer, "READY")
    fill(writer, 400, payload=b"x" * 60_000)
    put(writer, "READY")
    reader = Reader(tmp_path)
    after, pages, most = None, 0, 0
    found: list[int] = []
    while True:
        page = reader.read(after, names=frozenset({"READY"}), limit=1000, max_bytes=MIB)
        found += [record.offset for record in page.records]
        pages += 1
        assert page.last is not None
        if not page.more:
            break
        most = max(most, bytes_read(lambda: ask(reader, page.last, "READY")))  # noqa: B023
        assert after is None or page.last > after
        after = page.last
    assert found == [0, 401]
    assert 3 <= pages <= 5
    assert most < 26 * MIB
    for after in (0, 100, 300):
        assert bytes_read(lambda: ask(reader, after, "READY")) < 9.5 * MIB  # noqa: B023
    writer.close()


def test_every_page_of_a_log_adds_up_whatever_its_size(tmp_path: Path) -> None:
    dice = random.Random(3)
    writer = open_log(tmp_path, retention_bytes=64 * MIB)
    writer._output._chain._full_bytes = writer._output._chain.full_at = 200_000  # many segments
    names = [f"N{dice.randrange(4)}" for _ in range(1500)]
    for name in names:
        fill(writer, 1, name, bytes(dice.randrange(2000)))
        if dice.random() < 0.1:
            writer.mark(1, writer.next_offset + 1, AT)
    reader = Reader(tmp_path)
    for wanted in (frozenset({"N1"}), frozenset({"N0", "N2"}), None):
        after, found = None, []
        while True:
            page = reader.read(
                after, names=wanted, limit=dice.randrange(1, 90), max_bytes=dice.randrange(1, 60_000)
            )
            assert page.holes == []
            found += [(record.name, record.offset) for record in page.records]
            after = page.last
            if not page.more:
                break
        assert found == [(n, at) for at, n in enumerate(names) if wanted is None or n in wanted]
    writer.close()


def test_what_was_remembered_is_of_no_use_when_the_log_is_another_one(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    fill(writer, 500)
    reader = Reader(tmp_path)
    assert ask(reader, 498)[0] == [499]
    writer.close()
    shutil.rmtree(tmp_path)
    writer = open_log(tmp_path)
    fill(writer, 600, payload=b"y" * 1000)
    page = reader.read(498, names=None, limit=1, max_bytes=MIB)
    assert (page.epoch, page.records[0].payload) == (writer.epoch, b"y" * 1000)
    writer.close()


def test_a_log_that_starts_anew_in_the_same_files_is_seen(tmp_path: Path) -> None:
    older, newer, seen = tmp_path / "older", tmp_path / "newer", tmp_path / "seen"
    for folder, payload in ((older, KB), (newer, b"y" * 1000)):
        writer = open_log(folder)
        fill(writer, 300, payload=payload)
        writer.close()
    shutil.copytree(older, seen)
    reader = Reader(seen)
    assert ask(reader, 298)[0] == [299]
    (segment,) = segments(seen)
    stat = segment.stat()
    segment.write_bytes(segments(newer)[0].read_bytes())
    os.utime(segment, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert segment.stat().st_ino == stat.st_ino
    page = reader.read(298, names=None, limit=1, max_bytes=MIB)
    assert (page.epoch, page.records[0].payload) == (Reader(newer).epoch, b"y" * 1000)


def test_a_segment_without_events_that_is_replaced_is_seen(tmp_path: Path) -> None:
    wall = Wall()
    writer = open_log(tmp_path, wall=wall)
    put(writer, "READY")
    writer.close()
    open_log(tmp_path, wall=wall, boot=lambda: "boot-2").close()
    reader = Reader(tmp_path)
    assert ask(reader, None) == ([0], [], 0, False)
    before = segments(tmp_path)[1].read_bytes()
    writer = open_log(tmp_path, boot=lambda: "boot-3")
    assert segments(tmp_path)[1].read_bytes() != before
    put(writer, "RESUMED")
    assert ask(reader, None) == ([0, 1], [], 1, False)
    assert ask(reader, 0) == ([1], [], 1, False)
    writer.close()


def test_a_torn_tail_that_is_cut_and_written_over_is_seen(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    fill(writer, 100)
    (only,) = segments(tmp_path)
    reader = Reader(tmp_path)
    whole = only.stat().st_size
    with only.open("ab") as file:
        file.write(only.read_bytes()[-1100:-20])
    assert ask(reader, 97) == ([98, 99], [], 99, False)
    os.truncate(only, whole)
    assert ask(reader, 97) == ([98, 99], [], 99, False)
    fill(writer, 30, payload=b"z" * 333)
    assert ask(reader, 97) == (list(range(98, 130)), [], 129, False)
    writer.close()


def test_segments_that_expire_take_their_memory_along(tmp_path: Path) -> None:
    writer = open_log(tmp_path, retention_bytes=MIB)
    reader = Reader(tmp_path)
    for _ in range(20):
        fill(writer, 1200)
        writer.sync()
        writer.tidy(AT)
        last = writer.next_offset - 1
        assert ask(reader, last) == ([], [], last, False)
        ask(reader, None)
    assert len(reader._surveys) == len(segments(tmp_path)) <= 3
    writer.close()


def test_readers_see_what_another_process_writes_in_order_and_whole(tmp_path: Path) -> None:
    writer = open_log(tmp_path, retention_bytes=8 * MIB)
    readers = [Reader(tmp_path) for _ in range(3)]
    at: list[int | None] = [None, None, None]
    dice = random.Random(5)
    while writer.next_offset < 6000:
        fill(writer, dice.randrange(200))
        for which, reader in enumerate(readers):
            if dice.random() < 0.3 * (which + 1):
                offsets, holes, last, _ = ask(reader, at[which], limit=150)
                before = -1 if (known := at[which]) is None else known
                assert offsets == list(range(before + 1, before + 1 + len(offsets)))
                assert holes == []
                at[which] = last
    writer.close()


def test_a_bad_folder_is_an_error_that_names_it(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(LogError, match=folder.name):
            ask(Reader(folder), None)


def test_damage_that_comes_after_the_index_was_made_is_seen(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    fill(writer, 300)
    reader = Reader(tmp_path)
    assert ask(reader, 250) == (list(range(251, 300)), [], 299, False)
    (only,) = segments(tmp_path)
    stat = only.stat()
    place = only.read_bytes().rindex(b"x" * 1000) - 20_000
    damage(only, lambda data: data.__setitem__(place, 1))
    os.utime(only, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    offsets, holes, last, _ = ask(reader, 250)
    ((hole, end),) = holes
    assert hole == end
    assert offsets == [offset for offset in range(251, 300) if offset != hole]
    assert last == 299
    fill(writer, 3)
    assert ask(reader, 298) == ([299, 300, 301, 302], [], 302, False)
    writer.close()
