"""What a host that isn't there yet finds in NATS (does): who runs, what is agreed, which sessions are kept.

It asks and changes nothing, not even by making what is missing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import nats.errors
import nats.js.errors
from nats.js import JetStreamContext

from gwcluster.errors import GwclusterError
from gwcluster.hosts.entries import HostEntry, host_in
from gwcluster.log.jetstream import names
from gwcluster.log.jetstream.link import Link
from gwcluster.log.jetstream.sessions import Sessions
from gwcluster.log.session_state import SavedSession, token_digest
from gwcluster.nats_login import NatsLogin

CONNECT_S: Final = 3.0
SURVEY_S: Final = 20.0
AT_ONCE: Final = 32
"""Shards whose sessions are asked for at the same time."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found.

    Attributes:
        hosts: that run now.
        shards: the count that they agreed upon, None if nobody has said one.
        sessions: of the bot, by shard; how old they are isn't known.
        silence: why nothing was found: nobody answers. None: somebody did.
    """

    hosts: tuple[HostEntry, ...] = ()
    shards: int | None = None
    sessions: dict[int, SavedSession] = field(default_factory=dict)
    silence: str | None = None


async def survey(login: NatsLogin, *, cluster: str, token: str, shards: int | None) -> Survey:
    """Ask NATS.

    Args:
        login: where it is.
        cluster: `name` of cluster.yaml.
        token: of the bot: sessions of another one are nobody's business.
        shards: as configured; None: what was agreed.
    """
    try:
        async with asyncio.timeout(SURVEY_S):
            link = await Link.connect(login, name=f"gwcluster plan {cluster}", timeout_s=CONNECT_S)
            try:
                return await _ask(link, cluster, token, shards)
            finally:
                await link.close()
    except TimeoutError:
        return Survey(silence=f"NATS has not told everything within {SURVEY_S:.0f} s")
    except (GwclusterError, nats.errors.Error, OSError) as error:
        return Survey(silence=str(error))


async def _ask(link: Link, cluster: str, token: str, shards: int | None) -> Survey:
    context = link.client.jetstream()
    found = await _values(context, names.bucket(cluster, "hosts"))
    layout = (await _values(context, names.bucket(cluster, "state"), "layout")).get("layout")
    if layout is None:
        return Survey()  # no host has ever been started, so nothing is kept
    agreed = int(json.loads(layout)["shards"])
    sessions = await _sessions(link, cluster, range(shards or agreed))
    digest = token_digest(token)
    return Survey(
        hosts=tuple(host_in(value, name) for name, value in sorted(found.items())),
        shards=agreed,
        sessions={shard: saved for shard, saved in sessions.items() if saved.token_digest == digest},
    )


async def _values(context: JetStreamContext, bucket: str, *keys: str) -> dict[str, bytes]:
    """Return what a bucket has under these keys, or all; nothing, if there is no such bucket."""
    found: dict[str, bytes] = {}
    try:
        kv = await context.key_value(bucket)
        for key in keys or await kv.keys():
            found[key] = (await kv.get(key)).value or b""
    except (nats.js.errors.NotFoundError, nats.js.errors.NoKeysError):
        return found
    return found


async def _sessions(link: Link, cluster: str, shards: Sequence[int]) -> dict[int, SavedSession]:
    room = asyncio.Semaphore(AT_ONCE)

    async def look(shard: int) -> tuple[int, SavedSession | None]:
        async with room:
            return shard, await Sessions(link, cluster, shard).look()

    return {shard: saved for shard, saved in await asyncio.gather(*map(look, shards)) if saved is not None}
