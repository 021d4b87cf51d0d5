from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gwcluster.identify.caution import Past
from gwcluster.identify.known import Known
from gwcluster.identify.ledger import Ledger, LedgerError

WALL = 1_790_000_000.0


@dataclass
class Clock:
    now: float = WALL

    def __call__(self) -> float:
        return self.now


def test_what_was_sent_and_what_may_have_been_counts_and_what_came_back_does_not(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger", clock=Clock())
    sent, silent, back = (ledger.granted(shard, 16, shard % 2, WALL - 100.0) for shard in (0, 1, 2))
    ledger.sent(sent, WALL - 99.0)
    ledger.outcome(sent, "READY")
    ledger.unused(back)
    assert silent
    assert ledger.spent_since(WALL - 86_400.0) == 2
    assert ledger.spent_since(WALL - 90.0) == 1  # the silent one may have been sent until -80
    assert ledger.spent_since(WALL) == 0
    ledger.close()


def test_the_last_identify_of_each_key_is_by_shard_id_and_the_given_concurrency(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger", clock=Clock())
    for shard, at in [(0, WALL - 50), (16, WALL - 40), (3, WALL - 30)]:
        ledger.sent(ledger.granted(shard, 32, shard % 16, at - 1), at)
    assert ledger.last_sent_by_key(16) == {0: WALL - 40, 3: WALL - 30}
    assert ledger.last_sent_by_key(1) == {0: WALL - 30}
    ledger.close()


def test_a_permit_without_a_report_counts_as_sent_at_the_end_of_its_lease_but_not_in_the_future(
    tmp_path: Path,
) -> None:
    ledger = Ledger(tmp_path / "ledger", clock=Clock())
    ledger.granted(0, 4, 0, WALL - 30)
    ledger.granted(1, 4, 1, WALL - 5)
    assert ledger.last_sent_by_key(4) == {0: WALL - 10, 1: WALL}
    ledger.close()


def test_a_killed_coordinator_leaves_all_that_it_granted(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    script = (
        "import os, pathlib, sys; from gwcluster.identify.ledger import Ledger\n"
        f"ledger = Ledger(pathlib.Path(sys.argv[1]), clock=lambda: {WALL})\n"
        f"ledger.granted(5, 8, 0, {WALL}); ledger.set_not_before({WALL} + 82721)\n"
        "os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(path)], check=False).returncode == -9
    ledger = Ledger(path, clock=Clock())
    assert ledger.last_sent_by_key(1) == {0: WALL}
    assert ledger.not_before == WALL + 82_721
    ledger.close()


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    (tmp_path / "ledger").touch(0o644)  # as somebody's copy of it may be
    try:
        ledger = Ledger(tmp_path / "ledger", clock=Clock())
        ledger.granted(0, 1, 0, WALL)
    finally:
        os.umask(before)
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        "ledger": 0o600,
        "ledger-wal": 0o600,
        "ledger-shm": 0o600,
    }
    ledger.close()


def test_not_before_ends_and_outlives_the_process(tmp_path: Path) -> None:
    clock = Clock()
    ledger = Ledger(tmp_path / "ledger", clock=clock)
    assert ledger.not_before is None
    ledger.set_not_before(WALL + 60)
    ledger.close()
    ledger = Ledger(tmp_path / "ledger", clock=clock)
    assert ledger.not_before == WALL + 60
    clock.now += 60
    assert ledger.not_before is None
    ledger.close()


def test_a_clock_that_jumped_back_a_year_closes_nothing_for_a_year(tmp_path: Path) -> None:
    path, year_s = tmp_path / "ledger", 365 * 86_400.0
    ledger = Ledger(path, clock=Clock(WALL + year_s))
    ledger.sent(ledger.granted(0, 1, 0, WALL + year_s), WALL + year_s)
    ledger.set_not_before(WALL + year_s + 60)
    ledger.close()
    clock = Clock()
    ledger = Ledger(path, clock=clock)
    assert ledger.last_sent_by_key(1) == {0: WALL}
    assert ledger.not_before is None
    assert ledger.spent_since(WALL - 86_400) == 1
    clock.now += 86_401
    assert ledger.spent_since(clock.now - 86_400) == 0
    ledger.close()


def test_rows_older_than_two_days_are_dropped(tmp_path: Path) -> None:
    clock = Clock()
    ledger = Ledger(tmp_path / "ledger", clock=clock)
    ledger.granted(0, 1, 0, WALL)
    clock.now += 172_801
    ledger.granted(0, 1, 0, clock.now)
    assert ledger.spent_since(0.0) == 1
    ledger.close()


def spoiled(path: Path, how: str) -> None:
    ledger = Ledger(path, clock=Clock())
    for shard in range(500):
        ledger.outcome(ledger.granted(shard, 500, 0, WALL), "x" * 200)
    ledger.close()
    data = bytearray(path.read_bytes())
    match how:
        case "text":
            data = bytearray(b"this is no database, but long enough to be looked at " * 100)
        case "pages":
            data[4096:] = b"\x5a" * (len(data) - 4096)
        case "half":
            del data[len(data) // 2 :]
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["text", "pages", "half"])
def test_a_damaged_file_is_moved_aside_and_every_key_counts_as_just_used(
    how: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "ledger"
    spoiled(path, how)
    ledger = Ledger(path, clock=Clock())
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "damaged" in caplog.messages[0]
    assert "\n" not in caplog.messages[0]
    assert (tmp_path / "ledger.damaged-1790000000").exists()
    assert ledger.last_sent_by_key(2) == {0: WALL, 1: WALL}
    assert ledger.spent_since(0.0) == 0
    ledger.granted(0, 1, 0, WALL)
    ledger.close()
    Ledger(path, clock=Clock(WALL + 1)).close()
    assert len(caplog.records) == 1


def test_a_file_of_a_newer_gwcluster_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 3")
    db.close()
    with pytest.raises(LedgerError, match="format 3"):
        Ledger(path, clock=Clock())
    assert [path.name for path in tmp_path.iterdir()] == ["ledger"]


def test_a_permit_that_cannot_be_kept_is_an_error_and_leaves_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    ledger = Ledger(path, clock=Clock())
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("CREATE TRIGGER full BEFORE INSERT ON identify BEGIN SELECT RAISE(FAIL, 'disk full'); END")
    with pytest.raises(LedgerError, match="disk full"):
        ledger.granted(0, 1, 0, WALL)
    other.execute("DROP TRIGGER full")
    other.close()
    assert ledger.spent_since(0.0) == 0
    assert ledger.granted(0, 1, 0, WALL) > 0
    ledger.close()


def test_a_folder_that_is_not_there_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"none.ledger"):
        Ledger(tmp_path / "none" / "ledger", clock=Clock())


def test_a_file_of_format_1_is_brought_up_to_date_and_keeps_what_it_counted(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    db = sqlite3.connect(path)
    db.executescript(
        "CREATE TABLE identify (id INTEGER PRIMARY KEY AUTOINCREMENT, shard INTEGER NOT NULL, "
        "shards INTEGER NOT NULL, key INTEGER NOT NULL, granted_at REAL NOT NULL, sent_at REAL, "
        "unused INTEGER NOT NULL DEFAULT 0, outcome TEXT);"
        "CREATE INDEX identify_granted_at ON identify (granted_at);"
        "CREATE TABLE moment (name TEXT PRIMARY KEY, wall REAL NOT NULL);"
        "INSERT INTO identify (shard, shards, key, granted_at, outcome) "
        f"VALUES (0, 1, 0, {WALL - 50}, 'ready');"
        "PRAGMA user_version = 1"
    )
    db.close()
    copy = Ledger(path, clock=Clock(), copy=True)
    assert copy.spent_since(0.0) == 1
    copy.close()
    ledger = Ledger(path, clock=Clock())
    assert ledger.spent_since(0.0) == 1
    assert ledger.past(0.0) == [Past(0, WALL - 50, WALL - 30, None, None)]
    assert ledger.known is None
    ledger.outcome(ledger.granted(1, 2, 1, WALL), "ready")
    assert ledger.past(0.0)[1].ready_at == WALL
    ledger.close()


def test_the_past_tells_what_became_of_each_identify_of_a_day_and_when(tmp_path: Path) -> None:
    clock = Clock()
    ledger = Ledger(tmp_path / "ledger", clock=clock)
    clock.now = WALL - 86_500
    ledger.granted(9, 16, 9, clock.now)
    clock.now = WALL - 100
    ready, refused, silent, back = (ledger.granted(shard, 16, shard, clock.now) for shard in range(4))
    for permit in (ready, refused):
        ledger.sent(permit, WALL - 99)
    ledger.unused(back)
    assert silent
    clock.now = WALL - 90
    ledger.outcome(ready, "ready")
    ledger.outcome(refused, "refused with op 9")
    clock.now = WALL
    assert ledger.past(10_000 - WALL) == [
        Past(0, 9_900.0, 9_901.0, 9_910.0, None),
        Past(1, 9_900.0, 9_901.0, None, 9_910.0),
        Past(2, 9_900.0, 9_920.0, None, None),
    ]
    ledger.close()


def test_what_is_known_of_the_gateway_outlives_the_process(tmp_path: Path) -> None:
    known = Known("http://127.0.0.1:8/api/v10", "ws://127.0.0.1:9", 16, 18)
    ledger = Ledger(tmp_path / "ledger", clock=Clock())
    assert ledger.known is None
    ledger.keep_known(replace(known, shards=8))
    ledger.keep_known(known)
    ledger.close()
    ledger = Ledger(tmp_path / "ledger", clock=Clock())
    assert ledger.known == known
    ledger.close()


def test_a_copy_is_taken_while_the_owner_writes_and_reaches_no_file(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger", clock=Clock())
    ledger.granted(0, 1, 0, WALL)
    copy = Ledger(tmp_path / "ledger", clock=Clock(), copy=True)
    copy.granted(0, 1, 0, WALL)
    copy.set_not_before(WALL + 60)
    assert copy.spent_since(0.0) == 2
    copy.close()
    assert (ledger.spent_since(0.0), ledger.not_before) == (1, None)
    ledger.close()


def test_a_copy_of_a_file_that_nobody_uses_leaves_nothing_beside_it(tmp_path: Path) -> None:
    Ledger(tmp_path / "ledger", clock=Clock()).close()
    Ledger(tmp_path / "ledger", clock=Clock(), copy=True).close()
    assert [path.name for path in tmp_path.iterdir()] == ["ledger"]


def test_a_copy_of_a_damaged_file_or_of_none_is_an_error_and_moves_nothing(tmp_path: Path) -> None:
    with pytest.raises(LedgerError):
        Ledger(tmp_path / "none", clock=Clock(), copy=True)
    spoiled(tmp_path / "ledger", "text")
    with pytest.raises(LedgerError):
        Ledger(tmp_path / "ledger", clock=Clock(), copy=True)
    assert [path.name for path in tmp_path.iterdir()] == ["ledger"]
