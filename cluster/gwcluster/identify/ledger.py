"""Keeps every identify of the last two days on disk, whatever crashes (shell).

A permit is in the ledger before it leaves, and what wasn't reported counts as sent: after a crash the
ledger may say too much, never too little. Moments are Unix seconds, as they outlive the machine's uptime.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from gwcluster.identify.caution import Past
from gwcluster.identify.gate import LEASE_S
from gwcluster.identify.gateway_info import LONGEST_WAIT_S
from gwcluster.identify.known import Known, decode
from gwcluster.identify.ledger_file import LedgerError, copy_file, move_aside, open_file

__all__ = ["DAY_S", "READY", "REFUSED", "Ledger", "LedgerError"]

DAY_S: Final = 86_400.0
"""Over which Discord counts."""

KEEP_S: Final = 2 * DAY_S

READY: Final = "ready"
REFUSED: Final = "refused with op 9"
"""Outcomes from which a later coordinator learns."""

log = logging.getLogger(__name__)


class Ledger:
    """One SQLite file, mode 0600, flushed to the disk with each call; a call takes some milliseconds.

    A damaged file is moved aside, said loudly, and begun anew. What it knew of the day's budget is then
    known to Discord alone (`remaining`), and the windows are assumed the worst of: every key counts as
    identified on at that moment, which costs a start five seconds.

    Args:
        path: the file; its folder exists and belongs to one coordinator.
        clock: Unix seconds.
        copy: look at the file as it is now, whoever owns it; what is written then reaches no file.

    Raises:
        LedgerError: the file can't be opened, or a newer gwcluster wrote it; the coordinator ends.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float], copy: bool = False) -> None:
        self._path = path
        self._clock = clock
        with self._failures():
            self._db = copy_file(path) if copy else self._opened()
            self._forget()

    def _opened(self) -> sqlite3.Connection:
        try:
            return open_file(self._path)
        except sqlite3.OperationalError:
            raise  # not readable, not damaged
        except sqlite3.DatabaseError as error:
            aside = move_aside(self._path, int(self._clock()))
            log.error(
                "the identify ledger %s is damaged (%s): moved to %s and begun anew; "
                "identifies of the last 24 h are now known to Discord alone",
                self._path,
                error,
                aside.name,
            )
            db = open_file(self._path)
            db.execute("INSERT INTO moment VALUES ('anew', ?)", (self._clock(),))
            return db

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
        """Keep what became of the identify, as of now. Raises LedgerError; go on then."""
        self._run("UPDATE identify SET outcome = ?, outcome_at = ? WHERE id = ?", text, self._clock(), permit)

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

    def past(self, offset_s: float) -> list[Past]:
        """Return every identify of the last day, in the order in which they were granted.

        Args:
            offset_s: monotonic minus Unix seconds.
        """
        rows = self._run(
            "SELECT shard, granted_at, coalesce(sent_at, granted_at + ?1), "
            "CASE outcome WHEN ?2 THEN min(outcome_at, ?4) END, "
            "CASE outcome WHEN ?3 THEN min(outcome_at, ?4) END "
            "FROM identify WHERE NOT unused AND granted_at >= ?4 - ?5 ORDER BY granted_at, id",
            LEASE_S,
            READY,
            REFUSED,
            self._clock(),
            DAY_S,
        )

        def moment(wall: float | None) -> float | None:
            return None if wall is None else wall + offset_s

        return [
            Past(int(shard), granted + offset_s, sent + offset_s, moment(ready), moment(refused))
            for shard, granted, sent, ready, refused in rows
        ]

    @property
    def known(self) -> Known | None:
        """What `keep_known` was last told, None if nothing."""
        with self._failures():
            rows = self._db.execute("SELECT value FROM fact WHERE name = 'gateway'").fetchall()
        return decode(rows[0][0]) if rows else None

    def keep_known(self, known: Known) -> None:
        """Keep what Discord said. Raises LedgerError; the next start then waits for Discord's answer."""
        self._run("INSERT OR REPLACE INTO fact VALUES ('gateway', ?)", known.encode())

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

    @property
    def shared_in(self) -> str | None:
        """Which ledger of several hosts knows what this one does, None: none. Raises LedgerError."""
        with self._failures():
            rows = self._db.execute("SELECT value FROM fact WHERE name = 'shared in'").fetchall()
        return str(rows[0][0]) if rows else None

    def keep_shared_in(self, name: str) -> None:
        """Keep that a ledger of several hosts knows all of this one. Raises LedgerError."""
        self._run("INSERT OR REPLACE INTO fact VALUES ('shared in', ?)", name)

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
