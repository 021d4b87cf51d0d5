from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gwcluster.errors import LogError
from gwcluster.log import Hole, Reader, Writer
from gwcluster.wire.events import decode_header
from support.shard_log import AT, Wall, no_file_beyond, open_log, put, segments

KB = b"x" * 1000


def stage(writer: Writer, count: int, first_seq: int) -> None:
    for seq in range(first_seq, first_seq + count):
        writer.append("TYPING_START", KB, session=1, seq=seq, at=AT)


def entries(folder: Path) -> list[object]:
    return [
        (entry.first, entry.last) if isinstance(entry, Hole) else entry.offset
        for entry in Reader(folder).entries()
    ]


def test_what_fits_is_written_and_the_seq_stays_at_the_last_record(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    put(writer, "READY")
    with no_file_beyond(writer.stored_bytes + 2500):
        stage(writer, 4, first_seq=2)
        writer.flush()
    assert writer.degraded is not None
    assert "File too large" in writer.degraded
    assert (writer.seq, writer.next_offset) == (3, 5)
    assert entries(tmp_path) == [0, 1, 2]
    assert segments(tmp_path)[0].stat().st_size == writer.stored_bytes
    writer.close()


def test_the_backlog_follows_within_a_second_and_leaves_no_hole(tmp_path: Path) -> None:
    wall = Wall()
    writer = open_log(tmp_path, wall=wall)
    with no_file_beyond(writer.stored_bytes + 1500):
        stage(writer, 4, first_seq=1)
        writer.flush()
        writer.mark(1, 50, AT)
        writer.flush()
    wall.now += 0.9
    stage(writer, 1, first_seq=60)
    writer.flush()
    assert (writer.degraded is None, writer.seq) == (False, 1)
    wall.now += 0.1
    writer.flush()
    assert (writer.degraded, writer.seq) == (None, 60)
    assert entries(tmp_path) == [0, 1, 2, 3, 4]
    assert segments(tmp_path)[0].stat().st_mode & 0o777 == 0o600
    writer.close()
    again = open_log(tmp_path)
    assert (again.seq, again.next_offset) == (60, 5)
    again.close()


def test_a_clock_that_is_set_back_does_not_stop_the_retries(tmp_path: Path) -> None:
    wall = Wall()
    writer = open_log(tmp_path, wall=wall)
    with no_file_beyond(writer.stored_bytes):
        put(writer, "READY")
    wall.now -= 5000.0
    writer.tidy(wall.now)
    assert (writer.degraded, writer.seq) == (None, 1)
    writer.close()


def test_beyond_the_backlog_the_oldest_are_a_hole_with_broken_chains(tmp_path: Path) -> None:
    wall = Wall()
    writer = open_log(tmp_path, wall=wall, backlog_bytes=5000)
    put(writer, "READY", "TYPING_START")
    with no_file_beyond(writer.stored_bytes):
        for seq in range(3, 13):
            put(writer, "TYPING_START", payload=KB, first_seq=seq)
        put(writer, "USER_UPDATE", first_seq=13)
    wall.now += 1.0
    (_, header, _), *_ = put(writer, "READY", first_seq=14)
    assert (writer.degraded, writer.seq) == (None, 14)
    assert decode_header(header).prev == 0
    found = entries(tmp_path)
    assert found[:3] == [0, 1, (2, 7)]
    assert found[3:] == [8, 9, 10, 11, 12, 13]
    records = {record.offset: decode_header(record.header) for record in Reader(tmp_path).records()}
    assert records[8].prev == 7
    with no_file_beyond(writer.stored_bytes):
        put(writer, "USER_UPDATE", first_seq=15)
    writer.close()
    assert entries(tmp_path)[2:] == [(2, 7), 8, 9, 10, 11, 12, 13, 14]
    again = open_log(tmp_path)
    assert (again.next_offset, again.seq) == (15, 15)
    assert again.last_offsets == {"READY": 13, "TYPING_START": 11, "USER_UPDATE": 14}
    (_, header, _), *_ = put(again, "CHANNEL_CREATE")
    assert decode_header(header).prev == 7
    again.close()


def test_offsets_published_without_a_record_are_not_given_away_again(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    put(writer, "READY")
    with no_file_beyond(writer.stored_bytes):
        put(writer, "TYPING_START", first_seq=2)
    assert segments(tmp_path)[0].stat().st_mode & 0o777 == 0o400
    writer._output._tail.close()  # as if killed
    again = open_log(tmp_path)
    assert (again.epoch, again.seq) == (writer.epoch, 1)
    assert again.next_offset == 1 + 1_073_741_824
    assert again.last_offsets == {"READY": 1_073_741_824}
    again.close()


def test_closing_tries_once_more(tmp_path: Path) -> None:
    writer = open_log(tmp_path)
    with no_file_beyond(writer.stored_bytes):
        put(writer, "READY")
    writer.close()
    assert entries(tmp_path) == [0]
    assert (writer.degraded, writer.seq) == (None, 1)


def test_a_log_that_can_not_begin_is_an_error_and_lets_go_of_the_lock(tmp_path: Path) -> None:
    with no_file_beyond(10), pytest.raises(LogError, match="can't open the log"):
        open_log(tmp_path)
    assert list(tmp_path.iterdir()) == []
    open_log(tmp_path).close()


def test_a_segment_that_can_not_begin_leaves_the_one_before_in_use(tmp_path: Path) -> None:
    wall = Wall()
    writer = open_log(tmp_path, wall=wall, retention_age_s=800.0)
    put(writer, "READY")
    wall.now += 100.0
    (tmp_path / f"{1:020d}.tmp").mkdir()
    writer.tidy(wall.now)
    put(writer, "READY")
    assert (len(segments(tmp_path)), writer.degraded, writer.seq) == (1, None, 2)
    (tmp_path / f"{1:020d}.tmp").rmdir()
    writer.tidy(wall.now)
    assert len(segments(tmp_path)) == 2
    assert entries(tmp_path) == [0, 1]
    writer.close()


ON_A_SMALL_DISK = """
import json, subprocess, sys
from pathlib import Path
from support.shard_log import Wall, open_log, put
from gwcluster.log import Hole, Reader
disk = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "none", disk], check=True)
seen, wall = [], Wall()
writer = open_log(disk / "log", wall=wall)
def fill(count):
    for _ in range(count):
        wall.now += 1.0
        put(writer, "GUILD_CREATE", payload=bytes(50_000), first_seq=writer.next_offset)
        writer.sync()
    found = list(Reader(disk / "log").entries())
    assert not any(isinstance(entry, Hole) for entry in found)
    seen.append([writer.degraded, writer.seq, found[0].offset, found[-1].offset])
writer._output._chain._full_bytes = writer._output._chain.full_at = 1 << 20
fill(100)
fill(100)
writer._output._chain.full_at = 1 << 30
fill(150)
subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
fill(1)
print(json.dumps(seen))
"""


def test_without_room_the_oldest_segments_go_then_the_log_is_degraded_and_nothing_is_missed(
    tmp_path: Path,
) -> None:
    unshare = shutil.which("unshare")
    command = [unshare or "unshare", "--user", "--map-root-user", "--mount"]
    if unshare is None or subprocess.run([*command, "true"], capture_output=True).returncode != 0:
        pytest.skip("no namespace in which to mount a small disk")
    child = subprocess.run(
        [*command, sys.executable, "-c", ON_A_SMALL_DISK, tmp_path],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": os.pathsep.join(sys.path), "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"},
    )
    assert child.returncode == 0, child.stderr
    roomy, full, stuck, helped = json.loads(child.stdout)
    assert roomy == [None, 99, 0, 99]
    assert full[:2] == [None, 199]
    assert 80 <= full[2] < 110
    assert full[3] == 199
    assert stuck[0] == "the log can't be written: [Errno 28] No space left on device"
    assert stuck[1] == stuck[3] < 349
    assert helped == [None, 350, stuck[2], 350]
