"""A gateway that only sends (does): events encoded beforehand, so that the sender is no bottleneck.

Speaks just enough for one cluster: /gateway/bot, HELLO, READY, ACKs. After READY each shard gets
`--events` messages of about 1 KB, `--burst` of them every `--every` seconds; prints one line per shard when
all were written.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import zlib
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol

from gwsimulator import payloads
from gwsimulator.snowflakes import snowflake

HEARTBEAT_MS = 41_250


def messages(count: int, seed: int) -> Iterator[bytes]:
    """Yield the `d` of `count` messages, each filled up to about 1 KB as a dispatch."""
    dice = random.Random(seed)
    for index in range(count):
        ids = [snowflake(1_700_000_000_000 + index, dice.randrange(4096)) for _ in range(4)]
        yield payloads.encode(payloads.message(dice, *ids))


class Encoder:
    """Dispatches as websocket frames of one connection, in one of the three compressions."""

    def __init__(self, compression: str) -> None:
        self._seq = 0
        self._zlib = zlib.compressobj() if compression == "zlib-stream" else None
        self._zstd = None
        if compression == "zstd-stream":
            from backports.zstd import ZstdCompressor

            self._zstd = ZstdCompressor(level=6)

    def dispatch(self, name: str, data: bytes) -> bytes:
        self._seq += 1
        return self.frame(b'{"t":"%s","s":%d,"op":0,"d":%s}' % (name.encode(), self._seq, data))

    def frame(self, payload: bytes) -> bytes:
        if self._zlib is not None:
            payload = self._zlib.compress(payload) + self._zlib.flush(zlib.Z_SYNC_FLUSH)
        elif self._zstd is not None:
            payload = self._zstd.compress(payload) + self._zstd.flush(self._zstd.FLUSH_BLOCK)
        else:
            return Frame(Opcode.TEXT, payload).serialize(mask=False)
        return Frame(Opcode.BINARY, payload).serialize(mask=False)


class Flood:
    """The whole server."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._port = 0

    async def serve(self) -> None:
        server = await asyncio.start_server(self._client, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        print(f"flood: listening, api http://127.0.0.1:{self._port}/api/v10", flush=True)
        await server.serve_forever()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if b"/gateway/bot" in request.split(b"\r\n", 1)[0]:
            body = json.dumps(
                {
                    "url": f"ws://127.0.0.1:{self._port}",
                    "shards": self._args.shards,
                    "session_start_limit": {
                        "total": 100_000,
                        "remaining": 100_000,
                        "reset_after": 86_400_000,
                        "max_concurrency": self._args.shards,
                    },
                }
            ).encode()
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()
            writer.close()
            return
        await self._gateway(request, reader, writer)

    async def _gateway(
        self, request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        core = ServerProtocol()
        core.receive_data(request)
        (opening,) = core.events_received()
        core.send_response(core.accept(opening))  # type: ignore[arg-type]
        writer.writelines(core.data_to_send())
        target = request.split(b" ", 2)[1].decode()
        compression = parse_qs(urlsplit(target).query).get("compress", ["none"])[0]
        encoder = Encoder(compression)
        writer.write(
            encoder.frame(b'{"t":null,"s":null,"op":10,"d":{"heartbeat_interval":%d}}' % HEARTBEAT_MS)
        )
        sending: asyncio.Task[None] | None = None
        try:
            while data := await reader.read(65_536):
                core.receive_data(data)
                for frame in core.events_received():
                    assert isinstance(frame, Frame)
                    if frame.opcode is not Opcode.TEXT:
                        return
                    said = json.loads(bytes(frame.data))
                    if said["op"] == 2:
                        sending = asyncio.create_task(self._send(encoder, said["d"]["shard"], writer))
        except (ConnectionResetError, BrokenPipeError):
            pass
        finally:
            if sending is not None:
                sending.cancel()
            writer.close()

    async def _send(self, encoder: Encoder, shard: list[int], writer: asyncio.StreamWriter) -> None:
        args = self._args
        ready = {
            "v": 10,
            "session_id": f"{shard[0]:032x}",
            "resume_gateway_url": f"ws://127.0.0.1:{self._port}",
            "guilds": [],
        }
        writer.write(encoder.dispatch("READY", json.dumps(ready).encode()))
        frames = [encoder.dispatch("MESSAGE_CREATE", data) for data in messages(args.events, shard[0])]
        await asyncio.sleep(args.wait)
        burst = args.burst or len(frames)
        for start in range(0, len(frames), burst):
            writer.write(b"".join(frames[start : start + burst]))
            await writer.drain()
            if args.every:
                await asyncio.sleep(args.every)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--events", type=int, default=0, help="per shard")
    parser.add_argument("--burst", type=int, default=0, help="events written at once; 0: all")
    parser.add_argument("--every", type=float, default=0.0, help="seconds between bursts")
    parser.add_argument("--wait", type=float, default=1.0, help="seconds from READY to the first event")
    asyncio.run(Flood(parser.parse_args()).serve())


if __name__ == "__main__":
    main()
