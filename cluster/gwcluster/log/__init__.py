"""The shard's log: one writer, any number of readers, and the session that is kept beside it."""

from gwcluster.log.lock import LogBusy
from gwcluster.log.writer import Writer

__all__ = ["LogBusy", "Writer"]
