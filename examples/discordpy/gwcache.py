"""Fills the cache of a bot that joins a cluster which has been running for long (does).

What discord.py knows of guilds it has from READY and from what came since. While the shard's log still has
that READY, all of it is read again there, up to where the bot goes on; else REST is asked for the guilds.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any, Final

import discord
import msgpack
import zmq
import zmq.asyncio
from discord.http import Route

import gwcluster
from gwcluster.client.cursor import Cursor
from gwcluster.client.place import Place, Step

ANSWER_MS: Final = 5_000
AT_ONCE: Final = 10
"""Guilds that REST is asked for at a time; discord.py keeps its limits."""

NAMES: Final = [
    *("READY", "USER_UPDATE", "VOICE_STATE_UPDATE", "GUILD_MEMBERS_CHUNK"),
    *(f"GUILD_{what}" for what in ("CREATE", "UPDATE", "DELETE", "EMOJIS_UPDATE", "STICKERS_UPDATE")),
    *(f"GUILD_MEMBER_{what}" for what in ("ADD", "UPDATE", "REMOVE")),
    *(f"GUILD_ROLE_{what}" for what in ("CREATE", "UPDATE", "DELETE")),
    *(f"GUILD_SCHEDULED_EVENT_{what}" for what in ("CREATE", "UPDATE", "DELETE")),
    *(f"GUILD_SOUNDBOARD_SOUND_{what}" for what in ("CREATE", "UPDATE", "DELETE")),
    *(f"CHANNEL_{what}" for what in ("CREATE", "UPDATE", "DELETE")),
    *(f"THREAD_{what}" for what in ("CREATE", "UPDATE", "DELETE", "LIST_SYNC", "MEMBERS_UPDATE")),
    *(f"STAGE_INSTANCE_{what}" for what in ("CREATE", "UPDATE", "DELETE")),
]
"""What the cache is made of. Presences are too many; those of a cache that was read again are older."""

_log = logging.getLogger("gwfeed")


class Cache:
    """Where a bot's cache comes from.

    Args:
        requests: ZeroMQ address of the cluster's `requests.bind`.
        shards: the bot's shard count.
        curve: the keys, if the cluster asks for any.
    """

    def __init__(
        self, bot: discord.Client, requests: str, shards: int, curve: gwcluster.Curve | None = None
    ) -> None:
        self._bot = bot
        self._requests = requests
        self._curve = curve
        self._shards = shards
        self._guilds: list[int] | None = None

    async def places(self, cursor: str | os.PathLike[str], ids: Iterable[int]) -> dict[int, Place | None]:
        """Return where the bot goes on in each shard's log, and note it for shards that begin now.

        None: the shard has no log yet.
        """
        noted = Cursor(Path(cursor))
        places: dict[int, Place | None] = {}
        try:
            for shard in ids:
                place = noted.places.get(shard)
                if place is None and (log := await self._ask(shard=shard, limit=0)) is not None:
                    newest = -1 if log["newest"] is None else log["newest"]
                    place = Place(log["epoch"], newest)
                    noted.finished(Step(shard, place.epoch, place.upto))
                places[shard] = place
        finally:
            noted.close()
        return places

    async def fill(self, shard: int, place: Place | None) -> AsyncIterator[bytes]:
        """Iterate over what the cache has to know before the bot goes on at `place`, as dispatches."""
        log = await self._ask(shard=shard, limit=0)
        if place is None or log is None:
            return  # READY is yet to come
        if log["epoch"] != place.epoch:  # started anew: the bot goes on with all that it has
            place = Place(log["epoch"], log["oldest"] - 1)
        last_ready = None
        async for offset, _ in self._replay(shard, place.epoch, None, ["READY"]):
            if offset > place.upto and last_ready is None:
                return  # it comes as an event
            if offset <= place.upto:
                last_ready = offset
        read = 0
        if last_ready is not None:
            async for offset, payload in self._replay(shard, place.epoch, last_ready - 1, NAMES):
                if offset > place.upto:
                    break
                read += 1
                yield payload
        if read == 0:
            _log.warning("the log of shard %d doesn't go back to READY: asking REST for its guilds", shard)
            async for payload in self._by_rest(shard):
                yield payload

    async def _replay(
        self, shard: int, epoch: str, after: int | None, names: list[str]
    ) -> AsyncIterator[tuple[int, bytes]]:
        """Iterate over events of a log, as offset and payload; it ends early where they have expired."""
        while True:
            page = await self._ask(shard=shard, epoch=epoch, after=after, names=names)
            if page is None:
                return
            for _, header, payload in page["events"]:
                yield msgpack.unpackb(header)["offset"], payload
            if not page["more"]:
                return
            after = page["last"]

    async def _ask(self, **keys: Any) -> dict[str, Any] | None:
        """Ask for a replay until there is an answer; None: the log has nothing of that, or there is none."""
        while True:
            with zmq.asyncio.Context.instance().socket(zmq.REQ) as req:
                req.linger = 0
                if self._curve is not None:
                    req.curve_serverkey = self._curve.server_key.encode("ascii")
                    req.curve_publickey = self._curve.public_key.encode("ascii")
                    req.curve_secretkey = self._curve.secret_key.encode("ascii")
                req.connect(self._requests)
                await req.send(msgpack.packb({"v": 1, "op": "replay", **keys}))
                answer = msgpack.unpackb(await req.recv()) if await req.poll(ANSWER_MS) else None
            if answer is None:
                continue
            if answer["ok"]:
                return dict(answer)
            error = answer["error"]
            if error["code"] in ("expired", "wrong_epoch") or error.get("no_log"):
                return None
            if error["code"] not in ("not_ready", "rate_limited"):
                raise RuntimeError(f"{error['code']}: {error['message']}")
            await asyncio.sleep(error.get("retry_after", 1.0))

    async def _by_rest(self, shard: int) -> AsyncIterator[bytes]:
        """Iterate over what READY and GUILD_CREATE would have been, but for voice states and presences."""
        http = self._bot.http
        user = await http.request(Route("GET", "/users/@me"))
        if self._guilds is None:
            self._guilds = [guild.id async for guild in self._bot.fetch_guilds(limit=None)]
        ids = [guild for guild in self._guilds if (guild >> 22) % self._shards == shard]
        guilds = [{"id": str(guild), "unavailable": True} for guild in ids]
        place = {
            "shard": [shard, self._shards],
            "session_id": "",
            "resume_gateway_url": "wss://gateway.discord.gg",
        }
        yield _dispatch("READY", {"user": user, "guilds": guilds, **place})
        for some in (ids[first : first + AT_ONCE] for first in range(0, len(ids), AT_ONCE)):
            for guild in await asyncio.gather(*(self._guild(one, int(user["id"])) for one in some)):
                if guild is not None:
                    yield _dispatch("GUILD_CREATE", guild)

    async def _guild(self, guild_id: int, me: int) -> dict[str, Any] | None:
        http = self._bot.http
        try:
            guild = await http.get_guild(guild_id)
            channels = await http.get_all_guild_channels(guild_id)
            threads = await http.get_active_threads(guild_id)
            member = await http.get_member(guild_id, me)
        except discord.HTTPException as error:
            _log.warning("guild %d is not in the cache: %s", guild_id, error)
            return None
        members = {
            "members": [member],
            "member_count": guild.get("approximate_member_count", 1),
            "large": True,
        }
        return {**guild, "channels": channels, "threads": threads["threads"], "unavailable": False, **members}


def _dispatch(name: str, data: dict[str, Any]) -> bytes:
    return json.dumps({"t": name, "s": None, "op": 0, "d": data}).encode()
