"""Decides nothing: what a test may do to the gateway, each turned into a call of the rules."""

from __future__ import annotations

from typing import Any, Final

from gwsimulator.answer_controls import AnswerControls
from gwsimulator.dial_controls import DialControls
from gwsimulator.effects import Effect, Later, Send
from gwsimulator.ledger import Ledger
from gwsimulator.links import BEAT_NOW, Link, Links
from gwsimulator.orders import Order, Shard
from gwsimulator.payloads import encode
from gwsimulator.rules import Gateway
from gwsimulator.wire_controls import WireControls
from gwsimulator.world import Event

__all__ = ["Controls", "Order"]

_USUAL: Final = object()


class Controls(DialControls, AnswerControls, WireControls):
    """The same for a simulator in this event loop and for one in a thread of its own.

    `shard` None stands for every connection, also those that have no shard yet.
    """

    ledger: Ledger

    # ------------------------------------------------------------------ events

    def emit(self, name: str, data: Any, *, shard: int = 0) -> None:
        """Dispatch now to every session of a shard, connected or not, whatever its intents.

        Args:
            name: the event, e.g. `MESSAGE_CREATE`.
            data: `d`: a JSON value, or bytes that are sent as they are.
            shard: the shard id.
        """
        d = data if isinstance(data, bytes) else encode(data)
        self.order(lambda gateway, now: gateway.delivery.tell(shard, Event(name, d, None), now))

    def emit_random(self, shard: int, count: int = 1) -> None:
        """Let `count` events of the mix happen in the guilds of a shard; intents apply."""

        def order(gateway: Gateway, now: float) -> list[Effect]:
            effects: list[Effect] = []
            for _ in range(count):
                event = gateway.world.happening(shard)
                if event is not None:
                    effects += gateway.delivery.happen(event, now)
            return effects

        self.order(order)

    def op1(self, shard: Shard, times: int = 1) -> None:
        """Ask for a heartbeat at once, several times over."""
        self._each(shard, lambda links, link, _: [links.plain(link, BEAT_NOW)] * times)

    # ------------------------------------------------------------------ ends

    def op7(self, shard: Shard) -> None:
        """Ask the shard to reconnect."""
        self._each(shard, lambda links, link, now: links.ask_to_reconnect(link, now))

    def op9(
        self,
        shard: Shard,
        *,
        resumable: bool = False,
        d: Any = _USUAL,
        without_d: bool = False,
        delay_s: float = 0.0,
    ) -> None:
        """Invalidate the shard's session.

        Args:
            shard: whose session.
            resumable: it can still be resumed; what `d` says too, unless one of the next two is given.
            d: what to write there, e.g. null or a text.
            without_d: leave `d` out.
            delay_s: send it so late; the session ends then.
        """

        def act(links: Links, link: Link, now: float) -> list[Effect]:
            effects = links.invalidate(link, now, resumable=resumable)
            if without_d:
                return [Send(link.id, b'{"t":null,"s":null,"op":9}')]
            if d is not _USUAL:
                return [Send(link.id, encode({"t": None, "s": None, "op": 9, "d": d}))]
            return effects

        def later(links: Links, link: Link, now: float) -> list[Effect]:
            def due(gateway: Gateway, at: float) -> list[Effect]:
                there = gateway.links.get(link.id)
                return [] if there is None else act(links, there, at)

            links.timers.set(now + delay_s, Later(due))
            return []

        self._each(shard, later if delay_s > 0 else act)

    def close(self, shard: Shard, code: int, reason: str = "") -> None:
        """Close the shard's connection with a code.

        Raises:
            ValueError: no frame can carry it; for an end without a frame there are `abort` and `eof`.
        """
        if not (1000 <= code <= 4999) or code in {1004, 1005, 1006, 1015}:
            raise ValueError(f"{code} is no close code that can be sent")
        self._each(shard, lambda links, link, now: links.hang_up(link, code, reason, now))

    def abort(self, shard: Shard) -> None:
        """Reset the shard's connection."""
        self._each(shard, lambda links, link, now: links.cut(link, now))

    def eof(self, shard: Shard) -> None:
        """End the shard's connection by an end of file, without a close frame."""
        self._each(shard, lambda links, link, now: links.cut(link, now, in_turn=True, fin=True))

    def forget_session(self, shard: int) -> None:
        """Forget the shard's sessions without a word: the next RESUME gets op 9."""

        def order(gateway: Gateway, _: float) -> list[Effect]:
            for session in gateway.sessions.on_shard(shard):
                gateway.sessions.drop(session)
            return []

        self.order(order)
