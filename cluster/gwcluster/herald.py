"""What the coordinator itself tells subscribers (does)."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from functools import partial

from gwcluster.board import Counts
from gwcluster.config import Retention
from gwcluster.errors import LogError
from gwcluster.fanin import Fanin
from gwcluster.log.interface import LogWriter
from gwcluster.log.writer import Writer
from gwcluster.state_folder import StateFolder
from gwcluster.wire.events import NO_EPOCH, Header, encode_header, topic
from gwcluster.wire.notices import CLUSTER_STATE, SHARD_STATE, ShardState, cluster_state, shard_state

Borrow = Callable[[int, Callable[[LogWriter], None]], None]

log = logging.getLogger(__name__)


class Herald:
    """Publishes the cluster's state, and the state of shards that have no worker to speak for them.

    Args:
        fanin: the way to subscribers.
        state: where the shards' logs are.
        shards: shard count of the bot.
        first: lowest shard id of this cluster; notices about the whole of it carry this one.
        retention: of the logs.
        borrow: opens a shard's log, calls back with its writer, and closes it, now or later; raises LogError
            if that can't be. None: the log is in the state folder.
    """

    def __init__(
        self,
        fanin: Fanin,
        state: StateFolder,
        shards: int,
        first: int,
        retention: Retention,
        *,
        borrow: Borrow | None = None,
    ) -> None:
        self._fanin = fanin
        self._state = state
        self._shards = shards
        self._first = first
        self._retention = retention
        self._borrow = borrow or self._borrow_file

    def retain(self, retention: Retention) -> None:
        """Keep so much of logs from now on."""
        self._retention = retention

    def cluster(self, counts: Counts) -> None:
        """Publish the cluster's counts; not logged, but said again every few seconds."""
        header = Header(self._first, self._shards, NO_EPOCH, 0, None, 0, None, time.time())
        payload = cluster_state(counts.ready, counts.total, counts.degraded, counts.failed)
        self._fanin.publish(topic(CLUSTER_STATE, self._first), encode_header(header), payload)

    def failed(self, shard: int, reason: str) -> None:
        """Log and publish that a shard is failed; its worker is dead, so its log is free for us."""
        try:
            self._borrow(shard, partial(self._say_failed, shard, reason))
        except LogError as error:
            log.error("shard %d: its log doesn't say that it is failed: %s", shard, error)

    def _say_failed(self, shard: int, reason: str, writer: LogWriter) -> None:
        payload = shard_state(shard, ShardState.FAILED, reason)
        frames = writer.append(SHARD_STATE, payload, session=writer.session, seq=None, at=time.time())
        writer.flush(partial(self._fanin.publish, *frames))

    def _borrow_file(self, shard: int, use: Callable[[LogWriter], None]) -> None:
        writer = Writer.open(
            self._state.shard(shard),
            shard=shard,
            shards=self._shards,
            retention_bytes=self._retention.bytes,
            retention_age_s=self._retention.age_s,
            new_epoch=lambda: secrets.token_hex(8),
            wall=time.time,
        )
        try:
            use(writer)
        finally:
            writer.close()
