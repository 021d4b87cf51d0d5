"""The shard's log: one writer, any number of readers, and the session that is kept beside it."""

from gwcluster.log.interface import LogReader, LogWriter, SessionStore
from gwcluster.log.lock import LogBusy
from gwcluster.log.page import Expired, Hole, NoLog, Page, Record
from gwcluster.log.reader import Reader
from gwcluster.log.session_state import FileSessions, SavedSession
from gwcluster.log.writer import Writer

__all__ = [
    "Expired",
    "FileSessions",
    "Hole",
    "LogBusy",
    "LogReader",
    "LogWriter",
    "NoLog",
    "Page",
    "Reader",
    "Record",
    "SavedSession",
    "SessionStore",
    "Writer",
]
