"""A gateway that hands out guilds, with or without TLS (does): what the start of a large bot brings.

Speaks just enough for one cluster: /gateway/bot, HELLO, READY, ACKs. After READY and `--wait` seconds each
shard gets `--guilds` GUILD_CREATEs as Discord sends them, several KB to 200 KB each. All shards get the same
bytes, made beforehand. Prints one line per shard that got all.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import ssl
from urllib.parse import parse_qs, urlsplit

from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol

from bench import rest, traffic
from bench.encoding import Chapter
from bench.link import HELLO
from gwsimulator import payloads
from gwsimulator.snowflakes import snowflake

_CHUNK = 1 << 16
_WINDOW_LOG = 18
"""Of zstd-stream: Discord's frames ask for 256 KiB, which a receiver holds while it is connected."""


def sizes(count: int, dice: random.Random) -> list[int]:
    """Return how large each guild is, bytes: most are small, one in thirty is not."""
    kinds = ((3_000, 10_000), (10_000, 40_000), (40_000, 200_000))
    return [dice.randint(*dice.choices(kinds, (80, 17, 3))[0]) for _ in range(count)]


def guild(guild_id: int, size: int, dice: random.Random) -> bytes:
    """Return the `d` of a GUILD_CREATE of about `size` bytes, its own id behind those of its members."""
    members = []
    for _ in range(max(size // 700, 1)):
        user = payloads.user(dice, snowflake(1_700_000_000_000, dice.randrange(4096)))
        members.append({**payloads.member(dice), "user": user})
    fields = {"name": payloads.words(dice, 1, 4), "members": members, "id": str(guild_id), "large": False}
    return payloads.encode(fields)


class Gateway:
    """The whole server; one port for HTTP, one for websockets."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._url = ""
        dice = random.Random(1)
        self._ids = [snowflake(1_600_000_000_000 + index, 1) for index in range(args.guilds)]
        self._guilds = [
            guild(id_, size, dice) for id_, size in zip(self._ids, sizes(args.guilds, dice), strict=True)
        ]
        self._streams: dict[str, tuple[bytes, bytes, bytes]] = {}

    async def serve(self) -> None:
        """Listen until killed."""
        tls = None
        if self._args.certificate:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(self._args.certificate)
        gateway = await asyncio.start_server(self._websocket, "127.0.0.1", 0, ssl=tls)
        port = gateway.sockets[0].getsockname()[1]
        self._url = f"wss://localhost:{port}" if tls else f"ws://127.0.0.1:{port}"
        api = await asyncio.start_server(self._api, "127.0.0.1", 0)
        print(f"guilds: api http://127.0.0.1:{api.sockets[0].getsockname()[1]}/api/v10", flush=True)
        async with gateway, api:
            await asyncio.gather(gateway.serve_forever(), api.serve_forever())

    async def _api(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        writer.write(rest.answer(request, self._url, self._args.shards, self._args.shards))
        await writer.drain()
        writer.close()

    def _stream(self, compression: str) -> tuple[bytes, bytes, bytes]:
        """Return the frames of HELLO, of READY and of all guilds."""
        if compression not in self._streams:
            stream = Chapter(compression, first=True, window_log=_WINDOW_LOG)
            hello = stream.frame(HELLO)
            bodies = [(b"GUILD_CREATE", d) for d in self._guilds]
            ready = {
                "v": 10,
                "session_id": f"{1:032x}",
                "resume_gateway_url": self._url,
                "guilds": [{"id": str(id_), "unavailable": True} for id_ in self._ids],
            }
            self._streams[compression] = (
                hello,
                stream.frame(traffic.dispatch((b"READY", json.dumps(ready).encode()), 1)),
                b"".join(map(stream.frame, traffic.numbered(bodies, len(bodies)))),
            )
        return self._streams[compression]

    async def _websocket(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        core = ServerProtocol()
        core.receive_data(request)
        (opening,) = core.events_received()
        core.send_response(core.accept(opening))  # type: ignore[arg-type]
        writer.writelines(core.data_to_send())
        target = request.split(b" ", 2)[1].decode()
        stream = self._stream(parse_qs(urlsplit(target).query).get("compress", ["none"])[0])
        writer.write(stream[0])
        sending: asyncio.Task[None] | None = None
        try:
            while data := await reader.read(_CHUNK):
                core.receive_data(data)
                for frame in core.events_received():
                    assert isinstance(frame, Frame)
                    if frame.opcode is not Opcode.TEXT:
                        return
                    said = json.loads(bytes(frame.data))
                    if said["op"] == 2:
                        sending = asyncio.create_task(self._send(stream, said["d"]["shard"][0], writer))
        except (ConnectionResetError, BrokenPipeError):
            pass
        finally:
            if sending is not None:
                sending.cancel()
            writer.close()

    async def _send(
        self, stream: tuple[bytes, bytes, bytes], shard: int, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(stream[1])
        await writer.drain()
        await asyncio.sleep(self._args.wait)
        for start in range(0, len(stream[2]), _CHUNK):
            writer.write(stream[2][start : start + _CHUNK])
            await writer.drain()
        print(f"shard {shard} has its guilds", flush=True)


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--guilds", type=int, default=2_500, help="per shard")
    parser.add_argument("--wait", type=float, default=10.0, help="seconds from READY to the first guild")
    parser.add_argument("--certificate", help="PEM file of certificate and key: speak TLS")
    asyncio.run(Gateway(parser.parse_args()).serve())


if __name__ == "__main__":
    main()
