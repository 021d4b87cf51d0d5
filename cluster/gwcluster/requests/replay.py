"""Answers replays out of the shards' logs (does): one after the other, in a thread of its own.

A disk that hangs stops replays, and nothing else.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from gwcluster.errors import LogError
from gwcluster.log import Expired, LogReader, NoLog
from gwcluster.wire.events import topic
from gwcluster.wire.refusals import Refusal
from gwcluster.wire.requests import EXPIRED, WRONG_EPOCH, Replay, refused, replayed

RETRY_S: Final = 1.0
"""When to ask again for a log that isn't there yet, or that the disk can't read."""

MAX_READERS: Final = 256
_JOIN_S: Final = 1.0

log = logging.getLogger(__name__)


def replay(reader: LogReader, ask: Replay) -> bytes:
    """Return the answer to a replay."""
    try:
        if ask.epoch is not None and (epoch := reader.epoch) != ask.epoch:
            return _wrong_epoch(ask, epoch)
        page = reader.read(ask.after, names=ask.names, limit=ask.limit, max_bytes=ask.max_bytes)
    except Expired as error:
        return refused(ask.id, EXPIRED, str(error), oldest=error.oldest)
    except NoLog as error:
        return refused(ask.id, Refusal.NOT_READY, str(error), retry_after_s=RETRY_S, no_log=True)
    except LogError as error:
        return refused(ask.id, Refusal.NOT_READY, str(error), retry_after_s=RETRY_S)
    if ask.epoch not in (None, page.epoch):  # the log began anew in this very moment
        return _wrong_epoch(ask, page.epoch)
    return replayed(
        ask,
        epoch=page.epoch,
        events=[(topic(each.name, ask.shard), each.header, each.payload) for each in page.records],
        holes=page.holes,
        more=page.more,
        last=ask.after if page.last is None else page.last,
        oldest=page.oldest,
        newest=page.newest,
    )


def _wrong_epoch(ask: Replay, epoch: str) -> bytes:
    said = f"the log of shard {ask.shard} has epoch {epoch}, not {ask.epoch}: it began anew"
    return refused(ask.id, WRONG_EPOCH, said, epoch=epoch)


class Replays:
    """The thread that reads logs.

    Args:
        reader: returns one of a shard's log.
    """

    def __init__(self, reader: Callable[[int], LogReader]) -> None:
        self._open = reader
        self._readers: OrderedDict[int, LogReader] = OrderedDict()
        self._asked: queue.SimpleQueue[tuple[Replay, Callable[[bytes], None]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="replays", daemon=True)
        self._thread.start()

    def serve(self, ask: Replay, answer: Callable[[bytes], None]) -> None:
        """Read what is asked for and call `answer` with it, in this thread of ours."""
        self._asked.put((ask, answer))

    def close(self) -> None:
        """End after what is being read; a disk that hangs isn't waited for."""
        self._asked.put(None)
        self._thread.join(_JOIN_S)

    def _run(self) -> None:
        while (asked := self._asked.get()) is not None:
            ask, answer = asked
            try:
                body = replay(self._reader(ask.shard), ask)
            except Exception:
                log.exception("bug: a replay of shard %d can't be answered", ask.shard)
                said = "a bug of gwcluster's; its log says which"
                body = refused(ask.id, Refusal.NOT_READY, said, retry_after_s=RETRY_S)
            answer(body)

    def _reader(self, shard: int) -> LogReader:
        reader = self._readers.pop(shard, None) or self._open(shard)
        self._readers[shard] = reader
        if len(self._readers) > MAX_READERS:
            self._readers.popitem(last=False)
        return reader
