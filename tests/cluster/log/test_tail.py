from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from gwcluster.log import Reader
from gwcluster.log.record import MARKER, encode
from gwcluster.log.tail import Tail
from support.shard_log import AT, BIG, open_log, put, segments

MARK = b"".join(encode(MARKER, b"", b"", b"", 1, 0, 1, 10_000.0))


def open_tail(folder: Path) -> Tail:
    tail = Tail(folder, os.open(folder, os.O_RDONLY))
    tail.go_on_in(os.open(folder / "a", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), 0, 0)
    return tail


def test_a_descriptor_that_refuses_is_told_and_nothing_counts_as_written(tmp_path: Path) -> None:
    tail = open_tail(tmp_path)
    tail.go_on_in(os.open("/dev/full", os.O_WRONLY), 0, 0)
    assert tail.put(MARK) == 0
    assert tail.refusal is not None
    assert tail.refusal.strerror == "No space left on device"
    assert tail.size == 0
    tail.go_on_in(os.open(tmp_path / "b", os.O_WRONLY | os.O_CREAT), 0, 0)
    assert tail.put(MARK) == len(MARK)
    assert str(tail.refusal) == "None"
    tail.close()


def test_the_flag_is_the_files_mode(tmp_path: Path) -> None:
    tail = open_tail(tmp_path)
    tail.flag(unrecorded=True)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o400
    tail.flag(unrecorded=False)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    tail.close()


def test_a_sync_that_the_disk_refuses_stays_dirty_and_is_told(tmp_path: Path) -> None:
    tail = open_tail(tmp_path)
    read_end, write_end = os.pipe()  # a pipe can't be synced
    tail.go_on_in(write_end, 0, 0)
    tail.sync()
    assert tail.sync_refusal is not None
    assert tail.dirty
    assert tail.durable_first == -1
    tail.go_on_in(os.open(tmp_path / "b", os.O_WRONLY | os.O_CREAT), 5, 0)
    tail.sync()
    assert tail.dirty  # the segment before belongs to what has to be synced
    tail.sync()
    assert str(tail.sync_refusal) == "None"
    assert not tail.dirty
    assert tail.durable_first == 5
    tail.close()
    os.close(read_end)


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(2):
        writer = open_log(tmp_path, retention_bytes=2 << 20)
        for _ in range(200):
            put(writer, "GUILD_CREATE", payload=BIG)
        writer.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.timeout(30)
def test_another_thread_may_sync_while_segments_come_and_go(tmp_path: Path) -> None:
    writer = open_log(tmp_path, retention_bytes=2 << 20)
    done = threading.Event()
    failed: list[OSError] = []

    def sync_all_the_time() -> None:
        try:
            while not done.is_set():
                writer.sync()
        except OSError as error:
            failed.append(error)

    threads = [threading.Thread(target=sync_all_the_time) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(400):
        put(writer, "GUILD_CREATE", payload=BIG)
    done.set()
    for thread in threads:
        thread.join()
    writer.sync()
    assert failed == []
    writer.tidy(AT)
    assert (writer.degraded, writer.dirty) == (None, False)
    assert len(segments(tmp_path)) <= 2
    writer.close()
    offsets = [record.offset for record in Reader(tmp_path).records()]
    assert offsets == list(range(offsets[0], 400))


@pytest.mark.parametrize(("code", "astray"), [(errno.EIO, True), (errno.EROFS, True), (errno.ENOSPC, False)])
def test_a_segment_that_could_be_opened_for_writing_is_another_disks(
    tmp_path: Path, code: int, astray: bool
) -> None:
    tail = Tail(tmp_path, os.open(tmp_path, os.O_RDONLY))
    path = tmp_path / f"{7:020d}.log"
    tail.go_on_in(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), 7, 0)
    tail.look_again()
    assert not tail.astray
    tail.refusal = OSError(code, "refused")
    tail.look_again()
    assert tail.astray is astray
    path.unlink()
    path.mkdir()
    tail.look_again()
    assert tail.astray
    tail.close()
