"""Keeps every identify of the last two days on disk, whatever crashes (shell).

A permit is in the ledger before it leaves, and what wasn't reported counts as sent: after a crash the
ledger may say too much, never too little. Moments are Unix seconds, as they outlive the machine's uptime.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from gwcluster.errors import GwclusterError
from gwcluster.identify.gate import LEASE_S
from gwcluster.identify.gateway_info import LONGEST_WAIT_S

KEEP_S: Final = 172_800.0
"""Twice the day over which Discord counts."""

FORMAT: Final = 1

_TABLES: Final = f"""
CREATE TABLE identify (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    shard INTEGER NOT NULL,
    shards INTEGER NOT NULL,
    key INTEGER NOT NULL,
    granted_at REAL NOT NULL,
    sent_at REAL,
    unused INTEGER NOT NULL DEFAULT 0,
    outcome TEXT
);
CREATE INDEX identify_granted_at ON identify (granted_at);
CREATE TABLE moment (name TEXT PRIMARY KEY, wall REAL NOT NULL);
PRAGMA user_version = {FORMAT};
"""

log = logging.getLogger(__name__)


class LedgerError(GwclusterError):
    """The ledger can't be read or written (disk full, say).

    For `granted` that means: take the permit back, as after a crash nobody would know of it.
    """


class Ledger:
    """One SQLite file, mode 0600, flushed to the disk with each call; a call takes some milliseconds.

    A damaged file is moved aside, said loudly, and begun anew. What it knew of the day's budget is then
    known to Discord alone (`remaining`), and the windows are assumed the worst of: every key counts as
    identified on at that moment, which costs a start five seconds.

    Args:
        path: the file; its folder exists and belongs to one coordinator.
        clock: Unix seconds.

    Raises:
        LedgerError: the file can't be opened, or a newer gwcluster wrote it; the coordinator ends.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        with self._failures():
            try:
                self._db = _opened(path)
            except sqlite3.OperationalError:
                raise  # not readable, not damaged
            except sqlite3.DatabaseError as error:
                aside = _moved_aside(path, int(clock()))
                log.error(
                    "the identify ledger %s is damaged (%s): moved to %s and begun anew; "
                    "identifies of the last 24 h are now known to Discord alone",
                    path,
                    error,
                    aside.name,
                )
                self._db = _opened(path)
                self._set("anew", clock())
            self._forget()

    def granted(self, shard: int, shards: int, key: int, at_wall: float) -> int:
        """Keep a permit, before it leaves; return the id by which its fate is told.

        Raises:
            LedgerError: it isn't kept; don't let the permit leave.
        """
        with self._failures(), self._transaction():
            self._forget()
            row = self._db.execute(
                "INSERT INTO identify (shard, shards, key, granted_at) VALUES (?, ?, ?, ?)",
                (shard, shards, key, at_wall),
            )
            assert row.lastrowid is not None  # an INSERT has one
            return row.lastrowid

    def sent(self, permit: int, at_wall: float) -> None:
        """IDENTIFY was written at `at_wall`. Raises LedgerError; the permit then still counts as sent."""
        self._run("UPDATE identify SET sent_at = ? WHERE id = ?", at_wall, permit)

    def unused(self, permit: int) -> None:
        """The permit came back. Raises LedgerError; the permit then still counts as sent."""
        self._run("UPDATE identify SET unused = 1 WHERE id = ?", permit)

    def outcome(self, permit: int, text: str) -> None:
        """Keep what became of the identify, for people. Raises LedgerError; nothing depends on it."""
        self._run("UPDATE identify SET outcome = ? WHERE id = ?", text, permit)

    def spent_since(self, wall: float) -> int:
        """Return how many identifies were or may have been sent from `wall` (Unix seconds) on."""
        rows = self._run(
            "SELECT count(*) FROM identify WHERE NOT unused AND coalesce(sent_at, granted_at + ?) >= ?",
            LEASE_S,
            wall,
        )
        return int(rows[0][0])

    def last_sent_by_key(self, max_concurrency: int) -> dict[int, float]:
        """Return the Unix second of the last IDENTIFY of each key that had one, never one in the future.

        A permit without a report counts as sent at the end of its lease, or now if that is still to come.
        """
        now = self._clock()
        rows = self._run(
            "SELECT shard % ?, max(coalesce(sent_at, granted_at + ?)) FROM identify "
            "WHERE NOT unused GROUP BY 1",
            max_concurrency,
            LEASE_S,
        )
        anew = self._get("anew")
        last = {} if anew is None else dict.fromkeys(range(max_concurrency), anew)
        for key, at in rows:
            last[int(key)] = max(at, last.get(int(key), at))
        return {key: min(at, now) for key, at in last.items()}

    @property
    def not_before(self) -> float | None:
        """Unix second before which Discord's REST must not be asked; None if that is over.

        One further away than Discord ever asked for comes from a clock that jumped, and is dropped.
        """
        wall = self._get("not_before")
        now = self._clock()
        return wall if wall is not None and now < wall <= now + LONGEST_WAIT_S + 60.0 else None

    def set_not_before(self, wall: float) -> None:
        """Keep the Unix second before which Discord's REST must not be asked.

        Raises:
            LedgerError: it isn't kept; wait all the same.
        """
        self._run("INSERT OR REPLACE INTO moment VALUES ('not_before', ?)", wall)

    def close(self) -> None:
        """Close the file; nothing may be asked afterwards."""
        self._db.close()

    def _forget(self) -> None:
        """Drop what is older than two days; what the clock says is yet to come counts as of now.

        The latter happens when the clock jumped back; such rows would count for as long as it jumped.
        """
        now = self._clock()
        self._db.execute("DELETE FROM identify WHERE granted_at < ?", (now - KEEP_S,))
        self._db.execute(
            "UPDATE identify SET granted_at = min(granted_at, ?1), sent_at = min(sent_at, ?1) "
            "WHERE granted_at > ?1 OR sent_at > ?1",
            (now,),
        )

    def _get(self, name: str) -> float | None:
        rows = self._run("SELECT wall FROM moment WHERE name = ?", name)
        return float(rows[0][0]) if rows else None

    def _set(self, name: str, wall: float) -> None:
        self._run("INSERT OR REPLACE INTO moment VALUES (?, ?)", name, wall)

    def _run(self, statement: str, *values: object) -> list[tuple[float, ...]]:
        with self._failures():
            return self._db.execute(statement, values).fetchall()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(f"identify ledger {self._path}: {error}") from error


def _opened(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    path.chmod(0o600)  # SQLite gives its -wal and -shm files the same mode
    db = sqlite3.connect(path, isolation_level=None, timeout=5.0)
    try:
        _prepare(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(" ".join(verdict.split()))
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > FORMAT:
        raise LedgerError(
            f"identify ledger {path} has format {version}; this gwcluster reads up to {FORMAT}: upgrade"
        )
    if version == 0:
        db.executescript(f"BEGIN IMMEDIATE; {_TABLES} COMMIT;")


def _moved_aside(path: Path, wall: int) -> Path:
    aside = path.with_name(f"{path.name}.damaged-{wall}")
    for suffix in ("", "-wal", "-shm"):  # left-over ones would be taken into the new file
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside
