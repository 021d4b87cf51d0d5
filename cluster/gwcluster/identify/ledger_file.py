"""The file of the identify ledger (does): opening, repairing and bringing it up to date."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from pathlib import Path
from typing import Final

from gwcluster.errors import GwclusterError

FORMAT: Final = 2

_TABLES: Final = (
    """
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
""",
    """
ALTER TABLE identify ADD COLUMN outcome_at REAL;
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL);
""",
)
"""What leads from each format to the next one."""

log = logging.getLogger(__name__)


class LedgerError(GwclusterError):
    """The ledger can't be read or written (disk full, say).

    For `granted` that means: take the permit back, as after a crash nobody would know of it.
    """


def open_file(path: Path) -> sqlite3.Connection:
    """Open the file, mode 0600, made if it isn't there.

    Raises:
        LedgerError: a newer gwcluster wrote it.
        sqlite3.OperationalError, OSError: it can't be opened.
        sqlite3.DatabaseError: it is damaged.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    path.chmod(0o600)  # SQLite gives its -wal and -shm files the same mode
    db = sqlite3.connect(path, isolation_level=None, timeout=5.0)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        _prepare(db, path)
    except BaseException:
        db.close()
        raise
    return db


def copy_file(path: Path) -> sqlite3.Connection:
    """Return a copy in memory of what is in the file now; its owner doesn't notice.

    Raises:
        LedgerError, sqlite3.Error: as `open_file`.
    """
    in_use = path.with_name(f"{path.name}-wal").exists()
    # A file that nobody uses is read as it is: else SQLite would leave files of its own beside it.
    uri = f"{path.absolute().as_uri()}?mode=ro{'' if in_use else '&immutable=1'}"
    copy = sqlite3.connect(":memory:", isolation_level=None)
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=5.0)) as db:
            db.backup(copy)
        _prepare(copy, path)
    except BaseException:
        copy.close()
        raise
    return copy


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(" ".join(verdict.split()))
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > FORMAT:
        raise LedgerError(
            f"identify ledger {path} has format {version}; this gwcluster reads up to {FORMAT}: upgrade"
        )
    for number, tables in enumerate(_TABLES[version:], version + 1):
        db.executescript(f"BEGIN IMMEDIATE; {tables} PRAGMA user_version = {number}; COMMIT;")


def move_aside(path: Path, wall: int) -> Path:
    """Rename a damaged file, and what SQLite left beside it; return its new path."""
    aside = path.with_name(f"{path.name}.damaged-{wall}")
    for suffix in ("", "-wal", "-shm"):  # left-over ones would be taken into the new file
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside
