"""Decides nothing: what a test may do to the gateway, each turned into a call of the rules."""

from __future__ import annotations

import abc
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from gwsimulator.effects import Effect, Send
from gwsimulator.ledger import Ledger
from gwsimulator.links import BEAT_NOW, Link, Links
from gwsimulator.payloads import encode
from gwsimulator.rules import Gateway
from gwsimulator.scenario import Faults, Greeting, Mangle, Refusal, RestFault
from gwsimulator.world import Event

Order = Callable[[Gateway, float], list[Effect]]
"""Decides at a moment; what it returns is performed."""


class Controls(abc.ABC):
    """The same for a simulator in this event loop and for one in a thread of its own."""

    ledger: Ledger

    @abc.abstractmethod
    def order(self, order: Order) -> None:
        """Carry out an order before returning."""

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

    def op1(self, shard: int) -> None:
        """Ask for a heartbeat at once."""
        self._each(shard, lambda _, link, __: [Send(link.id, BEAT_NOW)])

    # ------------------------------------------------------------------ ends

    def op7(self, shard: int) -> None:
        """Ask the shard to reconnect."""
        self._each(shard, lambda links, link, now: links.ask_to_reconnect(link, now))

    def op9(self, shard: int, *, resumable: bool) -> None:
        """Invalidate the shard's session."""
        self._each(shard, lambda links, link, now: links.invalidate(link, now, resumable=resumable))

    def close(self, shard: int, code: int, reason: str = "") -> None:
        """Close the shard's connection with a code."""
        self._each(shard, lambda links, link, now: links.hang_up(link, code, reason, now))

    def abort(self, shard: int) -> None:
        """Reset the shard's connection."""
        self._each(shard, lambda links, link, now: links.cut(link, now))

    def forget_session(self, shard: int) -> None:
        """Forget the shard's sessions without a word: the next RESUME gets op 9."""

        def order(gateway: Gateway, _: float) -> list[Effect]:
            for session in gateway.sessions.on_shard(shard):
                gateway.sessions.drop(session)
            return []

        self.order(order)

    # ------------------------------------------------------------------ faults

    def drop_acks(self, shard: int, dropped: bool = True) -> None:
        """Answer no heartbeat of this shard, on this and later connections, until told otherwise."""
        if dropped:
            self._plan(lambda faults: faults.without_acks.add(shard))
        else:
            self._plan(lambda faults: faults.without_acks.discard(shard))

    def stall(self, shard: int, stalled: bool = True) -> None:
        """Stop reading and writing on the shard's connection, leaving it open; or go on."""
        self._each(shard, lambda links, link, now: links.stall(link, now, stalled=stalled))

    def mangle(self, shard: int, *how: Mangle) -> None:
        """Have the shard's next dispatches duplicated, preceded by a gap, or corrupted on the wire."""
        self._plan(lambda faults: faults.dispatches.setdefault(shard, deque()).extend(how))

    def greet(self, *how: Greeting) -> None:
        """Have the next connections met by silence, op 7, a refusal, ... instead of a plain HELLO."""
        self._plan(lambda faults: faults.greetings.extend(how))

    def refuse_identify(self, *how: Refusal) -> None:
        """Have the next IDENTIFYs that would be accepted end in a close code, `op9`, `silent` or `abort`."""
        self._plan(lambda faults: faults.identifies.extend(how))

    def refuse_resume(self, *how: Refusal) -> None:
        """Have the next RESUMEs that would be accepted end in a close code, `op9`, `silent` or `abort`."""
        self._plan(lambda faults: faults.resumes.extend(how))

    def rest_fault(
        self,
        *,
        status: int,
        headers: Mapping[str, str] | None = None,
        body: bytes | str = b"",
        times: int = 1,
        delay_s: float = 0.0,
        path: str | None = None,
    ) -> None:
        """Have REST answer the next `times` calls (of paths that end in `path`) with this; status 0 cuts."""
        raw = body.encode() if isinstance(body, str) else body
        fault = RestFault(status, raw, dict(headers or {}), delay_s, path)
        self._plan(lambda faults: faults.rest.extend([fault] * times))

    def _plan(self, change: Callable[[Faults], None]) -> None:
        def order(gateway: Gateway, _: float) -> list[Effect]:
            change(gateway.faults)
            return []

        self.order(order)

    def _each(self, shard: int, act: Callable[[Links, Link, float], list[Effect]]) -> None:
        def order(gateway: Gateway, now: float) -> list[Effect]:
            return [
                effect for link in gateway.links.of_shard(shard) for effect in act(gateway.links, link, now)
            ]

        self.order(order)
