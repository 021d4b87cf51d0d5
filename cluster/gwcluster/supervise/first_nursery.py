"""The nursery that a start begins with, before anything asks for it (does).

It loads a worker's code and rehearses for the better part of a second, and needs nothing for that: neither
the shards' number nor Discord. So it does beside the coordinator what would else come after it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from types import TracebackType

from gwcluster.supervise.nursery_link import Listener, NurseryLink
from gwcluster.wire.control import Message

log = logging.getLogger(__name__)


class FirstNursery:
    """A nursery that runs as long as the block, unless somebody takes it. Use as a context manager.

    Args:
        environ: the nurseries' environment; must not hold the token.
        jetstream: whether workers keep their logs in JetStream.
    """

    def __init__(self, environ: Mapping[str, str], *, jetstream: bool = False) -> None:
        self._make = partial(NurseryLink, environ=environ, jetstream=jetstream)
        self._link: NurseryLink | None = None

    async def __aenter__(self) -> FirstNursery:
        link = self._make(self)
        try:
            await link.start()
        except OSError:  # whoever needs a nursery tries again, and says what is wrong
            return self
        self._link = link
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._link is not None:
            await self._link.stop()

    def take(self, listener: Listener) -> NurseryLink:
        """Return the line to it, whose owner `listener` is now; later ones are still to be started."""
        link, self._link = self._link, None
        if link is None:
            return self._make(listener)
        link.listener = listener
        return link

    # Until it is taken, it can say only one thing

    def forked(self, shard: int, pid: int) -> None:
        """See `nursery_link.Listener`."""
        raise AssertionError(f"nobody asked for a worker of shard {shard}, but {pid} is one")

    def exited(self, shard: int, pid: int, status: int) -> None:
        """See `nursery_link.Listener`."""
        raise AssertionError(f"nobody asked for a worker of shard {shard}: {pid} ended with {status}")

    def said(self, shard: int, message: Message) -> None:
        """See `nursery_link.Listener`."""
        raise AssertionError(f"nobody asked for a worker of shard {shard}: {message}")

    def nursery_ended(self, status: int) -> None:
        """The next one is started when it is needed."""
        log.warning("the nursery ended with status %d before it was needed", status)
        self._link = None
