"""REST for bots that answer (does): a simulator's, and in front of it what that hasn't."""

from __future__ import annotations

import asyncio
import json
import threading
from types import TracebackType
from typing import Any, Final

import aiohttp
from aiohttp import web

from gwsimulator import ThreadedSimulator

JSON: Final = {"Content-Type": "application/json"}
"""Without a charset, or discord.py takes it for text."""


class MessageRest:
    """Takes messages, knows guilds, and hands every other question on to a simulator.

    Attributes:
        api: its address.
        messages: channel id and content of each message that was sent.
        calls: paths of all requests.
    """

    def __init__(self, sim: ThreadedSimulator) -> None:
        self.api = ""
        self.messages: list[tuple[int, str]] = []
        self.calls: list[str] = []
        self._sim = sim
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> MessageRest:
        self._thread.start()
        self._do(self._begin())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _begin(self) -> None:
        self._client = aiohttp.ClientSession()
        app = web.Application()
        app.router.add_post("/api/v10/channels/{channel}/messages", self._message)
        app.router.add_get("/api/v10/users/@me/guilds", self._guilds)
        app.router.add_get("/api/v10/guilds/{guild}{what:.*}", self._guild)
        app.router.add_get("/api/v10/{path:.*}", self._hand_on)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.api = f"http://{host}:{port}/api/v10"

    async def _end(self) -> None:
        await self._runner.cleanup()
        await self._client.close()

    async def _message(self, request: web.Request) -> web.Response:
        self.calls.append(request.path)
        sent, channel = await request.json(), request.match_info["channel"]
        self.messages.append((int(channel), sent["content"]))
        message = {"id": "1", "channel_id": channel, "content": sent["content"], "type": 0, "flags": 0}
        message |= {"author": self._sim.world.bot, "timestamp": "2026-01-01T12:00:00+00:00", "tts": False}
        message |= {"edited_timestamp": None, "mention_everyone": False, "pinned": False}
        message |= {name: [] for name in ("mentions", "mention_roles", "attachments", "embeds", "components")}
        return _json(message)

    async def _guilds(self, request: web.Request) -> web.Response:
        self.calls.append(request.path)
        after = int(request.query.get("after", 0))
        ids = [each for each in sorted(self._sim.world.guild_ids) if each > after]
        return _json([{"id": str(each), "name": "", "icon": None, "features": []} for each in ids])

    async def _guild(self, request: web.Request) -> web.Response:
        self.calls.append(request.path)
        known = json.loads(self._sim.world.guild_create(int(request.match_info["guild"])).d)
        match request.match_info["what"].split("/")[1:]:
            case ["channels"]:
                return _json(known["channels"])
            case ["threads", "active"]:
                return _json({"threads": [], "members": []})
            case ["members", _]:
                return _json(known["members"][0] | {"user": self._sim.world.bot})
            case _:
                kept = ("id", "name", "roles", "emojis", "stickers", "features", "owner_id", "icon")
                return _json({key: known.get(key) for key in kept})

    async def _hand_on(self, request: web.Request) -> web.Response:
        self.calls.append(request.path)
        headers = {name: request.headers[name] for name in ("Authorization", "User-Agent")}
        url = f"{self._sim.api}/{request.match_info['path']}"
        async with self._client.get(url, headers=headers) as answer:
            return web.Response(body=await answer.read(), status=answer.status, headers=JSON)


def _json(value: Any) -> web.Response:
    return web.Response(body=json.dumps(value).encode(), headers=JSON)
