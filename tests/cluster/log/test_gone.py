"""A folder that is taken away from under its writer, and what comes in its place."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gwcluster.log import Hole, LogBusy, Reader, Writer
from gwcluster.log.audit import Audit
from gwcluster.wire.events import decode_header
from support.shard_log import AT, Wall, open_log, put, segments


def opened(folder: Path) -> tuple[Writer, Wall]:
    wall = Wall()
    writer = open_log(folder, wall=wall)
    put(writer, "READY", "TYPING_START", "TYPING_START")
    writer.sync()
    return writer, wall


def missed(writer: Writer, wall: Wall) -> None:
    """Let an event go where nobody finds it, and the writer look."""
    put(writer, "TYPING_START")
    writer.sync()
    wall.now += 1.0


def offsets(folder: Path) -> list[object]:
    return [
        (entry.first, entry.last) if isinstance(entry, Hole) else entry.offset
        for entry in Reader(folder).entries()
    ]


def test_a_folder_that_is_there_is_not_gone(tmp_path: Path) -> None:
    writer, wall = opened(tmp_path / "0")
    for _ in range(3):
        missed(writer, wall)
        writer.tidy(wall.now)
    assert (writer.degraded, writer.moves, offsets(tmp_path / "0")) == (None, 0, [0, 1, 2, 3, 4, 5])
    writer.close()


def test_a_removed_folder_is_made_again_and_the_log_goes_on_in_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "0"
    writer, wall = opened(folder)
    shutil.rmtree(folder)
    missed(writer, wall)
    assert writer.degraded is not None
    assert "the log's folder is gone" in writer.degraded
    ((_, header, _),) = put(writer, "READY")
    assert decode_header(header).prev == 0
    assert (str(writer.degraded), writer.moves, writer.seq) == ("None", 1, 5)
    assert offsets(folder) == [4]
    assert folder.stat().st_mode & 0o777 == 0o700
    with pytest.raises(LogBusy):
        open_log(folder)
    writer.close()
    again = open_log(folder)
    assert (again.epoch, again.next_offset, again.seq) == (writer.epoch, 5, 5)
    assert again.last_offsets == {"READY": 4, "TYPING_START": 3}
    again.close()
    assert [record.getMessage() for record in caplog.records] == [
        "the log's folder of shard 3 is gone",
        "the log of shard 3 has a folder again",
        "the log of shard 3 is written again",
    ]


def test_what_comes_while_there_is_no_folder_waits_for_one(tmp_path: Path) -> None:
    folder = tmp_path / "0"
    writer, wall = opened(folder)
    shutil.rmtree(folder)
    folder.write_text("in the way")
    missed(writer, wall)
    put(writer, "READY", "TYPING_START")
    assert writer.degraded is not None
    assert "File exists" in writer.degraded
    assert (writer.next_offset, writer.seq) == (6, 4)
    folder.unlink()
    put(writer, "USER_UPDATE")
    assert writer.seq == 4, "it is tried once a second"
    wall.now += 1.0
    writer.flush()
    assert (str(writer.degraded), writer.seq, offsets(folder)) == ("None", 5, [4, 5, 6])
    writer.close()
    assert not any(finding.remark.damage for finding in Audit(folder).findings())


def test_a_folder_that_comes_back_is_gone_on_with(tmp_path: Path) -> None:
    folder = tmp_path / "0"
    writer, wall = opened(folder)
    folder.rename(tmp_path / "elsewhere")
    folder.write_text("in the way")
    missed(writer, wall)
    put(writer, "READY")
    assert segments(tmp_path / "elsewhere")[0].stat().st_mode & 0o777 == 0o400
    folder.unlink()
    (tmp_path / "elsewhere").rename(folder)
    wall.now += 1.0
    put(writer, "READY")
    assert (writer.degraded, writer.moves, offsets(folder)) == (None, 0, [0, 1, 2, 3, 4, 5])
    assert segments(folder)[0].stat().st_mode & 0o777 == 0o600
    writer.close()


def test_an_older_copy_of_the_log_is_gone_on_with_and_the_gap_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "0"
    writer, wall = opened(folder)
    shutil.copytree(folder, tmp_path / "copy")
    put(writer, "READY")
    shutil.rmtree(folder)
    (tmp_path / "copy").rename(folder)
    missed(writer, wall)
    put(writer, "READY")
    assert (writer.degraded, writer.moves, offsets(folder)) == (None, 1, [0, 1, 2, (3, 4), 5])
    writer.close()


def test_a_segment_alone_that_was_removed_is_followed_by_another(tmp_path: Path) -> None:
    folder = tmp_path / "0"
    writer, wall = opened(folder)
    segments(folder)[0].unlink()
    missed(writer, wall)
    put(writer, "READY")
    assert (writer.degraded, offsets(folder)) == (None, [4])
    with pytest.raises(LogBusy):
        open_log(folder)
    writer.close()


def test_another_log_in_the_place_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "0"
    writer, wall = opened(folder)
    shutil.rmtree(folder)
    other = open_log(folder)
    missed(writer, wall)
    put(writer, "READY")
    assert "another process writes the log" in str(writer.degraded)
    for _ in range(20):
        put(other, "READY")
    other.tidy(AT + 10_000)
    other.close()
    wall.now += 1.0
    put(writer, "READY")
    assert "holds another log" in str(writer.degraded)
    assert offsets(folder) == list(range(20))
    writer.close()
