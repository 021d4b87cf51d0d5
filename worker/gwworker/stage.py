"""Who a worker talks to in a rehearsal (does): gateway, coordinator and fan-in, which know one way to go."""

from __future__ import annotations

import asyncio
import json
import sys
import zlib
from collections.abc import Callable
from typing import Any, Final, cast

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from gwcluster.discord import Op
from gwcluster.wire import control as c
from gwcluster.wire.notices import ShardState
from gwworker.zmtp import GREETING, READY

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdCompressor
else:
    from backports.zstd import ZstdCompressor

BEATS: Final = 3
"""After which a life ends. The first comes by itself and at once, and the others are asked for."""

MESSAGES: Final = 12
_INTERVAL_MS: Final = 41_250
"""A life is over before another beat comes by itself: it would have to be waited for, and one that comes soon
is missed on a busy machine, where the connection would be taken for dead."""
_GUILD: Final = 1 << 40


class Coordinator(asyncio.Protocol):
    """Hands out a job and a permit, and has a command sent once the shard is live."""

    def __init__(self, job: c.Job, clock: Callable[[], float]) -> None:
        self._job = job
        self._clock = clock
        self._unframer = c.Unframer()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say what to do."""
        self._transport = cast(asyncio.Transport, transport)
        self._tell(self._job)

    def data_received(self, data: bytes) -> None:
        """Answer."""
        for message in self._unframer.feed(data):
            match message:
                case c.AskPermit():
                    self._tell(c.Permit(self._clock() + 9.0))
                case c.StateChanged(state=ShardState.LIVE):
                    self._tell(c.Conditions({}, 0.0, self._clock()))
                    self._tell(c.PresenceChanged(None))
                    self._tell(c.Command(1, Op.PRESENCE_UPDATE, _PRESENCE, None))
                    self._tell(c.Command(2, Op.REQUEST_GUILD_MEMBERS, {}, None))
                case _:
                    pass

    def _tell(self, message: c.Message) -> None:
        assert self._transport is not None
        self._transport.write(c.encode(message))


_PRESENCE: Final[dict[str, Any]] = {"since": None, "activities": [], "status": "online", "afk": False}


class Pull(asyncio.Protocol):
    """The coordinator's end of the fan-in: says that it is one, and reads."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say so."""
        cast(asyncio.Transport, transport).write(GREETING + READY.replace(b"PUSH", b"PULL"))


class Gateway:
    """Greets, acknowledges, and sends a few events of each kind; each connection ends after some beats.

    Args:
        compression: `none`, `zlib-stream` or `zstd-stream`.
        url: of this gateway; the session is to be resumed there, too.
        at_end: called when it has seen enough.
    """

    def __init__(self, compression: str, *, url: str, at_end: Callable[[], None]) -> None:
        self._compression = compression
        self._url = url
        self._at_end = at_end

    def connection(self) -> asyncio.Protocol:
        """Return the protocol of a new connection."""
        return _Connection(_compressor(self._compression), self._url, self._at_end)


class _Connection(asyncio.Protocol):
    def __init__(self, compress: Callable[[bytes], bytes], url: str, at_end: Callable[[], None]) -> None:
        self._core = ServerProtocol()
        self._compress = compress
        self._url = url.encode()
        self._at_end = at_end
        self._seq = 0
        self._beats = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._core.receive_data(data)
        for event in self._core.events_received():
            if isinstance(event, Request):
                self._core.send_response(self._core.accept(event))
                self._flush()
                self._say(b'{"t":null,"s":null,"op":10,"d":{"heartbeat_interval":%d}}' % _INTERVAL_MS)
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self._heard(json.loads(bytes(event.data)))
        self._flush()
        assert self._transport is not None
        if self._core.close_rcvd is not None:
            self._transport.close()

    def _heard(self, said: dict[str, Any]) -> None:
        match said["op"]:
            case Op.IDENTIFY:
                self._dispatch(
                    b"READY",
                    b'{"v":10,"session_id":"x","resume_gateway_url":"%s",'
                    b'"guilds":[{"id":"%d","unavailable":true}]}' % (self._url, _GUILD),
                )
                self._events()
            case Op.RESUME:
                self._seq = said["d"]["seq"]
                self._dispatch(b"RESUMED", b"{}")
                self._events()
            case Op.HEARTBEAT:
                self._say(b'{"op":11}')
                self._beats += 1
                if self._beats == BEATS:
                    self._at_end()
                elif self._seq:  # live, so that each is followed by another
                    self._say(b'{"op":1}')
            case _:
                pass

    def _events(self) -> None:
        for number in range(MESSAGES):
            self._dispatch(b"GUILD_CREATE", b'{"id":"%d"}' % (_GUILD + number // 6))
            self._dispatch(b"MESSAGE_CREATE", '{"content":"ä"}'.encode())
        self._dispatch(b"GUILD_DELETE", b'{"id":"%d"}' % (_GUILD + 1))
        self._say(b'{"op":1}')

    def _dispatch(self, name: bytes, data: bytes) -> None:
        self._seq += 1
        self._say(b'{"t":"%s","s":%d,"op":0,"d":%s}' % (name, self._seq, data))

    def _say(self, payload: bytes) -> None:
        data = self._compress(payload)
        opcode = Opcode.TEXT if data is payload else Opcode.BINARY
        assert self._transport is not None
        self._transport.write(Frame(opcode, data).serialize(mask=False))

    def _flush(self) -> None:
        assert self._transport is not None
        for data in self._core.data_to_send():
            if data:
                self._transport.write(data)


def _compressor(compression: str) -> Callable[[bytes], bytes]:
    match compression:
        case "zlib-stream":
            flat = zlib.compressobj()
            return lambda payload: flat.compress(payload) + flat.flush(zlib.Z_SYNC_FLUSH)
        case "zstd-stream":
            standard = ZstdCompressor(level=1)
            return lambda payload: standard.compress(payload, ZstdCompressor.FLUSH_BLOCK)
        case _:
            return lambda payload: payload
