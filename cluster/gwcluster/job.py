"""What a worker is told of its shard, out of the configuration (pure)."""

from __future__ import annotations

from gwcluster.config import Config
from gwcluster.discord import is_loopback_url
from gwcluster.state_folder import StateFolder
from gwcluster.wire.control import Job


def job_of(config: Config, state: StateFolder, shard: int, shards: int, url: str) -> Job:
    """Return the job of one worker.

    Args:
        config: of the cluster.
        state: where its log is.
        shard, shards: shard id, from 0, and shard count.
        url: of the gateway, as `/gateway/bot` told it.
    """
    include = config.events.include
    return Job(
        shard=shard,
        shards=shards,
        token=config.token.get_secret_value(),
        gateway_url=url,
        plain_ok=is_loopback_url(config.gateway.api),
        intents=config.intents,
        compression=config.gateway.compression,
        large_threshold=config.gateway.large_threshold,
        presence=config.presence,
        identify=config.gateway.identify,
        include=None if include is None else sorted(include),
        exclude=sorted(config.events.exclude),
        folder=str(state.shard(shard)),
        fanin=state.fanin,
        retention_bytes=config.log.retention.bytes,
        retention_age_s=config.log.retention.age_s,
    )
