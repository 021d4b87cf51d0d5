"""The shard's log: one writer, any number of readers, and the session that is kept beside it."""

from gwcluster.log.lock import LogBusy
from gwcluster.log.reader import Hole, Reader, Record
from gwcluster.log.session_state import SavedSession
from gwcluster.log.writer import Writer

__all__ = ["Hole", "LogBusy", "Reader", "Record", "SavedSession", "Writer"]
