"""The saved session in JetStream (does): a value of the bucket `state`, put there between records."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from gwcluster.errors import LogError
from gwcluster.log.jetstream import names
from gwcluster.log.jetstream.answers import NoAnswer, outcome
from gwcluster.log.jetstream.flight import Item
from gwcluster.log.jetstream.link import Link
from gwcluster.log.jetstream.stream import last_of
from gwcluster.log.session_state import SavedSession, decode_session, encode_session

_OPERATION: Final = "KV-Operation"

log = logging.getLogger(__name__)


class OvertakenError(LogError):
    """Somebody else has put another value there: the log is theirs."""


class Sessions:
    """Keeps the session of one shard.

    Args:
        stage: puts what is to be kept into the writer's pipeline.
    """

    def __init__(self, link: Link, name: str, shard: int) -> None:
        self.stage: Callable[[Item], None] | None = None
        self._link = link
        self._stream = names.bucket_stream(name, "state")
        self._subject = names.session_subject(name, shard)
        self._revision = 0
        self._data = b""

    async def take(self) -> None:
        """Read what is kept, and put it there again: what an earlier owner is still sending is refused then.

        Raises:
            LogError: JetStream doesn't answer, or somebody else writes; try again.
        """
        await self._look()
        await self.put(self._item(self._data))

    async def look(self) -> SavedSession | None:
        """Return what is kept, and change nothing.

        Raises:
            LogError: JetStream doesn't answer.
        """
        await self._look()
        return self.load()

    def load(self) -> SavedSession | None:
        """See `SessionStore`."""
        if not self._data:
            return None
        try:
            return decode_session(self._data)
        except (ValueError, RecursionError) as error:
            log.warning("the saved session %s can't be used: %s", self._subject, error)
            return None

    def save(self, saved: SavedSession) -> None:
        """See `SessionStore`."""
        self._keep(encode_session(saved))

    def forget(self) -> None:
        """See `SessionStore`."""
        self._keep(b"")

    def _keep(self, data: bytes) -> None:
        assert self.stage is not None, "only a writer's sessions are changed"
        self._data = data
        self.stage(self._item(data))

    def _item(self, data: bytes) -> Item:
        headers = {} if data else {_OPERATION: "DEL"}
        return Item(None, self._subject, headers, data, len(data) + len(self._subject))

    async def put(self, item: Item) -> None:
        """Bring a value there, once, though this is called again after an error.

        Raises:
            OvertakenError: somebody else has.
            NoAnswer: JetStream doesn't take it now, or doesn't answer.
        """
        headers = item.headers | {"Nats-Expected-Last-Subject-Sequence": str(self._revision)}
        got = await self._link.request(self._subject, item.data, headers=headers)
        result = outcome(got.headers, got.data)
        if isinstance(result, int):
            self._revision = result
            return
        found = await last_of(self._link, self._stream, self._subject)
        revision = 0 if found is None else found[0]
        if revision == self._revision:
            raise NoAnswer(f"the session isn't kept: {result}")
        if found is None or found[3] != item.data:
            raise OvertakenError(f"somebody else keeps a session in {self._subject}")
        self._revision = revision  # it was ours, and its answer was lost

    async def _look(self) -> None:
        found = await last_of(self._link, self._stream, self._subject)
        self._revision, self._data = (0, b"") if found is None else (found[0], found[3])
        if found is not None and found[2].get(_OPERATION) in {"DEL", "PURGE"}:
            self._data = b""
