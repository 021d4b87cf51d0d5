"""A gateway for a crowd of shards (does): the same events for all, encoded once, and an account of them.

Speaks just enough for one cluster, over zlib-stream: /gateway/bot, HELLO, READY, RESUMED with what was
missed, ACKs. A session gets messages of about 1 KB, evenly, each in a phase of its own, also while nobody
listens, as at Discord. `GET /flow?rate=20` sets how many a second, `GET /account` tells what was sent.

Events are raw deflate, compressed in chapters that begin without history. So a connection can join at the
beginning of any chapter. What it gets in between is compressed for it alone, as it is after an ACK, since
that moves what later bytes refer to.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import mmap
import random
import time
import zlib
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol

from bench import rest, traffic
from bench.link import HELLO

CHAPTER: Final = 100
"""Messages that share one history."""

RING: Final = 4096
"""So many moments of sending are kept of each shard; the subscriber is never that far behind."""

TICK_S: Final = 0.001
IDENTIFY_WINDOW_S: Final = 5.0


def raw() -> Any:
    """Return a compressor of the bytes within a zlib stream."""
    return zlib.compressobj(wbits=-zlib.MAX_WBITS)


def framed(compressor: Any, payload: bytes, before: bytes = b"") -> bytes:
    """Return a websocket message of a payload, compressed and flushed."""
    data = before + compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return Frame(Opcode.BINARY, data).serialize(mask=False)


class Book:
    """The events that every shard gets, READY being the first: number i has seq i + 2."""

    def __init__(self) -> None:
        self._bodies = traffic.bodies("chat", CHAPTER)
        self._frames: list[bytes] = []
        self._compressor = raw()

    def payload(self, number: int) -> bytes:
        """Return an event as text."""
        return traffic.dispatch(self._bodies[number % CHAPTER], number + 2)

    def frame(self, number: int) -> bytes:
        """Return an event for a connection that had all of its chapter before it, and nothing else."""
        while len(self._frames) <= number:
            if len(self._frames) % CHAPTER == 0:
                self._compressor = raw()
            self._frames.append(framed(self._compressor, self.payload(len(self._frames))))
        return self._frames[number]


class Shard:
    """One session and how far it is."""

    def __init__(self, number: int, phase: float) -> None:
        self.number = number
        self.phase = phase
        self.begun = False
        self.events = 0
        self.connection: Connection | None = None
        self.live_at = 0.0


class Crowd:
    """All shards, and what the account says of them."""

    def __init__(self, shards: int, max_concurrency: int, moments: Path) -> None:
        dice = random.Random(1)
        self.shards = [Shard(number, dice.random()) for number in range(shards)]
        self.max_concurrency = max_concurrency
        self.book = Book()
        self.port = 0
        self.identifies = self.resumes = self.too_early = 0
        self.behind_s = 0.0
        self._identified: dict[int, float] = {}
        self._rate = 0.0
        self._changed = asyncio.Event()
        with moments.open("r+b") as file:
            self._moments = memoryview(mmap.mmap(file.fileno(), 0)).cast("d")

    def account(self) -> dict[str, Any]:
        """Return what was sent; moments are monotonic seconds."""
        return {
            "identifies": self.identifies,
            "resumes": self.resumes,
            "too_early": self.too_early,
            "connected": sum(shard.connection is not None for shard in self.shards),
            "live_at": [shard.live_at for shard in self.shards],
            "events": [shard.events for shard in self.shards],
            "behind_s": self.behind_s,
        }

    def flow(self, rate: float) -> None:
        """Send so many events a second to each session from now on."""
        self._rate, self.behind_s = rate, 0.0
        self._changed.set()

    def identified(self, number: int) -> None:
        """An IDENTIFY came."""
        now, key = time.monotonic(), number % self.max_concurrency
        self.identifies += 1
        self.too_early += now - self._identified.get(key, -math.inf) < IDENTIFY_WINDOW_S
        self._identified[key] = now

    async def send(self) -> None:
        """Send events, evenly, for ever."""
        order = sorted(self.shards, key=lambda shard: shard.phase)
        while True:
            self._changed.clear()
            if not self._rate:
                await self._changed.wait()
                continue
            round_at, at, period = time.monotonic(), 0, 1 / self._rate
            while not self._changed.is_set():
                now = time.monotonic()
                while (due := round_at + period * order[at].phase) <= now:
                    self.behind_s = max(self.behind_s, now - due)
                    self._send_one(order[at])
                    at += 1
                    if at == len(order):
                        round_at, at = round_at + period, 0
                await asyncio.sleep(max(TICK_S, due - now))

    def _send_one(self, shard: Shard) -> None:
        if not shard.begun:
            return
        number = shard.events
        shard.events += 1
        self._moments[shard.number * RING + (number + 2) % RING] = time.monotonic()
        if shard.connection is not None:
            shard.connection.event(number)


class Connection(asyncio.Protocol):
    """One connection: a question over HTTP, or a shard's websocket."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._core: ServerProtocol | None = None
        self._head = b""
        self._own: Any = raw()
        self._shard: Shard | None = None
        self._transport: asyncio.Transport

    def event(self, number: int) -> None:
        """Send an event."""
        if number % CHAPTER == 0:
            self._own = None
        book = self._crowd.book
        data = book.frame(number) if self._own is None else framed(self._own, book.payload(number))
        self._transport.write(data)

    # asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer a request, greet, or take what a worker says."""
        if self._core is None:
            self._head += data
            if b"\r\n\r\n" in self._head:
                self._asked(self._head)
            return
        self._core.receive_data(data)
        for frame in self._core.events_received():
            assert isinstance(frame, Frame)
            if frame.opcode is not Opcode.TEXT:
                self._transport.close()
                return
            self._heard(json.loads(bytes(frame.data)))

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        """The session goes on without it."""
        if self._shard is not None and self._shard.connection is self:
            self._shard.connection = None

    def _asked(self, request: bytes) -> None:
        target = urlsplit(request.split(b" ", 2)[1].decode())
        if b"upgrade: websocket" in request.lower():
            self._core = ServerProtocol()
            self._core.receive_data(request)
            (opening,) = self._core.events_received()
            self._core.send_response(self._core.accept(opening))  # type: ignore[arg-type]
            stream = b"\x78\x9c"  # of zlib
            self._transport.write(b"".join(self._core.data_to_send()) + framed(self._own, HELLO, stream))
            return
        crowd = self._crowd
        answer: dict[str, Any] = {}
        if target.path.endswith("/gateway/bot"):
            url = f"ws://127.0.0.1:{crowd.port}"
            self._transport.write(rest.answer(request, url, len(crowd.shards), crowd.max_concurrency))
            self._transport.close()
            return
        if target.path == "/account":
            answer = crowd.account()
        elif target.path == "/flow":
            crowd.flow(float(parse_qs(target.query)["rate"][0]))
        body = json.dumps(answer).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        self._transport.write(head.encode() + body)
        self._transport.close()

    def _heard(self, said: dict[str, Any]) -> None:
        match said["op"]:
            case 1:
                self._own = raw()
                self._transport.write(framed(self._own, b'{"t":null,"s":null,"op":11,"d":null}'))
            case 2:
                self._identified(self._crowd.shards[said["d"]["shard"][0]])
            case 6:
                self._resumed(self._crowd.shards[int(said["d"]["session_id"], 16)], said["d"]["seq"])

    def _identified(self, shard: Shard) -> None:
        crowd = self._crowd
        crowd.identified(shard.number)
        shard.begun, shard.events = True, 0
        url = f"ws://127.0.0.1:{crowd.port}"
        data = {"v": 10, "session_id": f"{shard.number:032x}", "resume_gateway_url": url, "guilds": []}
        payload = {"t": "READY", "s": 1, "op": 0, "d": data}
        self._live(shard, json.dumps(payload, separators=(",", ":")).encode())

    def _resumed(self, shard: Shard, seq: int) -> None:
        self._crowd.resumes += 1
        for number in range(seq - 1, shard.events):
            self._transport.write(framed(self._own, self._crowd.book.payload(number)))
        self._live(shard, b'{"t":"RESUMED","s":%d,"op":0,"d":{}}' % (shard.events + 1))

    def _live(self, shard: Shard, payload: bytes) -> None:
        self._transport.write(framed(self._own, payload))
        self._shard, shard.connection, shard.live_at = shard, self, time.monotonic()


async def serve(crowd: Crowd) -> None:
    """Serve until killed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(crowd), "127.0.0.1", 0, backlog=4096)
    crowd.port = server.sockets[0].getsockname()[1]
    print(f"crowd: listening, api http://127.0.0.1:{crowd.port}/api/v10", flush=True)
    await crowd.send()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, required=True)
    parser.add_argument("--max-concurrency", type=int, required=True)
    parser.add_argument("--moments", type=Path, required=True, help="file of shards × 4096 doubles")
    args = parser.parse_args()
    asyncio.run(serve(Crowd(args.shards, args.max_concurrency, args.moments)))


if __name__ == "__main__":
    main()
