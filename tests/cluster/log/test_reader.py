from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gwcluster.errors import LogError
from gwcluster.log import Hole, Reader, Record
from support.shard_log import AT, BIG, damage, open_log, put, segments


def test_a_record_holds_the_frames_as_they_were_published(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    (_, header, payload), *_ = put(writer, "READY", payload=b'{"t":"READY"}', session=4, first_seq=9)
    assert list(Reader(tmp_path).records()) == [Record("READY", header, payload, 0, 4, 9, 10_000.0)]
    writer.close()


def test_reading_goes_on_while_it_is_written(tmp_path: Path) -> None:
    writer, reader = open_log(tmp_path), Reader(tmp_path)
    assert (reader.epoch, reader.oldest, reader.last) == (writer.epoch, 0, None)
    assert list(reader.records()) == []
    for offset in range(3):
        put(writer, "READY")
        assert [record.offset for record in reader.records(after=offset - 1)] == [offset]
        assert reader.last == offset
    assert list(reader.records(after=2)) == []
    assert list(reader.entries(after=99)) == []
    writer.close()


def test_a_position_is_found_in_any_segment(tmp_path: Path) -> None:
    writer = open_log(tmp_path, retention_bytes=8 << 20)
    for _ in range(40):
        put(writer, "GUILD_CREATE", payload=BIG)
    reader = Reader(tmp_path)
    assert len(segments(tmp_path)) == 4
    for after in range(-1, 40):
        assert [record.offset for record in reader.records(after)] == list(range(after + 1, 40))
    assert reader.last == 39
    writer.close()


def test_a_record_that_is_being_written_is_not_there_yet(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    put(writer, "READY", "RESUMED")
    (only,) = segments(tmp_path)
    whole = only.read_bytes()
    for size in range(len(whole) - 100, len(whole)):
        only.write_bytes(whole[:size])
        assert list(Reader(tmp_path).entries()) == list(Reader(tmp_path).entries())[:1]
    writer.close()


def test_segments_may_go_while_they_are_read(tmp_path: Path) -> None:
    writer = open_log(tmp_path, retention_bytes=8 << 20)
    for _ in range(40):
        put(writer, "GUILD_CREATE", payload=BIG)
    found = Reader(tmp_path).entries()
    assert next(found) == next(Reader(tmp_path).entries())
    _, second, third, _ = segments(tmp_path)
    second.unlink()
    rest = list(found)
    hole = next(entry for entry in rest if isinstance(entry, Hole))
    assert hole == Hole(int(second.stem), int(third.stem) - 1)
    assert sum(isinstance(entry, Record) for entry in rest) == 39 - (hole.last - hole.first + 1)
    writer.close()


def test_what_is_cut_off_while_it_is_read_is_a_hole(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    for _ in range(20):
        put(writer, "GUILD_CREATE", payload=BIG)
    found = Reader(tmp_path).entries()
    assert isinstance(next(found), Record)
    damage(segments(tmp_path)[0], lambda data: data.__delitem__(slice(15 * len(BIG), None)))
    rest = list(found)
    assert [entry.offset for entry in rest if isinstance(entry, Record)] == list(range(1, 14))
    assert rest[-1] == Hole(14, 19)
    writer.close()


def test_expired_offsets_are_a_hole(tmp_path: Path) -> None:
    writer = open_log(tmp_path, retention_bytes=1 << 20)
    for _ in range(15):
        put(writer, "GUILD_CREATE", payload=BIG)
    writer.sync()
    writer.tidy(AT)
    reader = Reader(tmp_path)
    assert reader.oldest == 11
    assert next(reader.entries(after=4)) == Hole(5, 10)
    assert next(reader.records(after=4)).offset == 11
    assert next(reader.entries(after=10)) == next(reader.entries())
    writer.close()


def test_a_damaged_record_is_not_given_out_and_its_place_is_a_hole(tmp_path: Path) -> None:
    writer = open_log(tmp_path, retention_bytes=8 << 20)
    for _ in range(15):
        put(writer, "GUILD_CREATE", payload=BIG)
    first, second = segments(tmp_path)
    damage(first, lambda data: data.__setitem__(len(data) - 150_000, 0))
    broken = int(second.stem) - 2
    assert [
        (entry.first, entry.last) if isinstance(entry, Hole) else entry.offset
        for entry in Reader(tmp_path).entries()
    ] == [*range(broken), (broken, broken), *range(broken + 1, 15)]
    writer.close()


def test_a_segment_of_another_epoch_is_not_read(tmp_path: Path) -> None:
    older = open_log(tmp_path / "older")
    put(older, "READY")
    older.close()
    writer = open_log(tmp_path / "log", retention_bytes=1 << 20)
    for _ in range(15):
        put(writer, "GUILD_CREATE", payload=BIG)
        writer.sync()
    writer.tidy(AT)
    shutil.copy(segments(tmp_path / "older")[0], tmp_path / "log")
    reader = Reader(tmp_path / "log")
    assert (reader.epoch, reader.oldest, reader.last) == (writer.epoch, 11, 14)
    assert [record.offset for record in reader.records()] == [11, 12, 13, 14]
    writer.close()


def test_another_process_reads_what_is_flushed(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    put(writer, "READY", "RESUMED")
    code = (
        "import sys; from pathlib import Path; from gwcluster.log import Reader;"
        "print([record.name for record in Reader(Path(sys.argv[1])).records()])"
    )
    answer = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, check=True)
    assert answer.stdout == b"['READY', 'RESUMED']\n"
    writer.close()


def test_what_the_disk_cannot_read_is_an_error_that_names_the_segment(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    put(writer, "READY")
    bad = tmp_path / f"{5:020d}.log"
    bad.mkdir()
    reader = Reader(tmp_path)
    for ask in (
        lambda: reader.epoch,
        lambda: reader.last,
        lambda: reader.oldest,
        lambda: [*reader.entries()],
    ):
        with pytest.raises(LogError, match=bad.name):
            ask()
    writer.close()


def test_no_log_is_an_error_that_names_the_folder(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(LogError, match=folder.name):
            list(Reader(folder).records())
        with pytest.raises(LogError, match=folder.name):
            _ = Reader(folder).last
