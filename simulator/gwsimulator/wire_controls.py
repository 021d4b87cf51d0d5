"""Decides nothing: what a test may do to the bytes of a connection that is there."""

from __future__ import annotations

from typing import Any

from gwsimulator.effects import Drip, Effect, Inflate, Later, Send, SendFrames, SendMessage
from gwsimulator.faults import Mangle
from gwsimulator.greetings import hello
from gwsimulator.links import Link, Links
from gwsimulator.orders import Orders, Shard
from gwsimulator.payloads import encode
from gwsimulator.rules import Gateway
from gwsimulator.streams import PING, frame
from gwsimulator.world import Event


class WireControls(Orders):
    """Faults of bytes and of time. `shard` None: every connection."""

    def mangle(self, shard: Shard, *how: Mangle, times: int | None = 1) -> None:
        """Have the shard's next dispatches duplicated, preceded by a gap, or spoilt on the wire."""
        self._plan(lambda faults: faults.dispatches.add(*how, where=shard, times=times))

    def send_raw(self, shard: Shard, data: bytes | str, *, text: bool | None = None) -> None:
        """Send a message that is none of Discord's.

        Args:
            shard: to the connections of this one.
            data: the message.
            text: None: as payloads are sent, through the compression if there is one. True or False:
                beside the compression, as a text or binary message.
        """
        raw = data.encode() if isinstance(data, str) else data

        def act(_: Links, link: Link, __: float) -> list[Effect]:
            return [Send(link.id, raw) if text is None else SendMessage(link.id, raw, text)]

        self._each(shard, act)

    def send_frames(self, shard: Shard, data: bytes) -> None:
        """Put bytes into the TCP stream: websocket frames, halves of them, or what is none."""
        self._each(shard, lambda _, link, __: [SendFrames(link.id, data)])

    def send_op(self, shard: Shard, op: int, d: Any = None) -> None:
        """Send a payload that is no dispatch, with any opcode."""
        self.send_raw(shard, encode({"t": None, "s": None, "op": op, "d": d}))

    def send_hello(self, shard: Shard, interval_ms: object = None) -> None:
        """Send another HELLO; by default with the usual interval."""

        def act(links: Links, link: Link, _: float) -> list[Effect]:
            usual = links.settings.heartbeat_interval_ms
            return [Send(link.id, hello(usual if interval_ms is None else interval_ms))]

        self._each(shard, act)

    def emit_glued(self, *events: tuple[str, Any], shard: int = 0) -> None:
        """Dispatch several events, name and `d`, to the sessions of a shard, all in one message."""

        def order(gateway: Gateway, now: float) -> list[Effect]:
            glued: dict[int, bytes] = {}
            for name, data in events:
                for effect in gateway.delivery.tell(shard, Event(name, encode(data), None), now):
                    if isinstance(effect, Send):
                        glued[effect.link] = glued.get(effect.link, b"") + effect.payload
            return [Send(link, payload) for link, payload in glued.items()]

        self.order(order)

    def bomb(self, shard: Shard, size: int = 1 << 30) -> None:
        """Send a message that inflates to `size` bytes; nothing where there is no compression."""

        def act(_: Links, link: Link, __: float) -> list[Effect]:
            return [Inflate(link.id, size)] if link.compress else []

        self._each(shard, act)

    def ping(self, shard: Shard, times: int = 1) -> None:
        """Send websocket pings."""
        self.send_frames(shard, frame(b"sim", PING) * times)

    def drip(self, shard: Shard, bytes_per_s: float | None) -> None:
        """Send no more than so many bytes per second on the shard's connection; None: as fast as it goes."""
        self._each(shard, lambda _, link, __: [Drip(link.id, bytes_per_s)])

    def stall(
        self,
        shard: Shard,
        stalled: bool = True,
        *,
        reads: bool = True,
        writes: bool = True,
        for_s: float | None = None,
    ) -> None:
        """Stop reading and writing on the shard's connection, leaving it open; or go on.

        Args:
            shard: whose connections.
            stalled: False: go on.
            reads: False: go on reading.
            writes: False: go on writing.
            for_s: go on by itself after so long.
        """

        def act(links: Links, link: Link, now: float) -> list[Effect]:
            if stalled and for_s is not None:
                links.timers.set(now + for_s, Later(lambda gateway, at: _thaw(gateway, link.id, at)))
            return links.stall(link, now, reads=stalled and reads, writes=stalled and writes)

        self._each(shard, act)


def _thaw(gateway: Gateway, link_id: int, now: float) -> list[Effect]:
    link = gateway.links.get(link_id)
    return [] if link is None else gateway.links.stall(link, now, reads=False, writes=False)
