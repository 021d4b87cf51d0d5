"""Decides nothing: what a test may do to answers: ACKs, READY, RESUMED, replays and REST."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from gwsimulator.effects import Send
from gwsimulator.faults import (
    ACK,
    Break,
    Ending,
    Faults,
    Interruption,
    LateEnd,
    Refusal,
    Refused,
    RestFault,
)
from gwsimulator.orders import Orders, Shard


class AnswerControls(Orders):
    """Faults of what a client waits for.

    `shard` None: any shard. `times`: for so many occasions; None: until `accept`.
    """

    # ------------------------------------------------------------------ ACKs

    def drop_acks(self, shard: Shard, dropped: bool = True) -> None:
        """Answer no heartbeat of this shard, on this and later connections, until told otherwise."""
        self._acks(shard, payload=None if dropped else ACK)

    def delay_acks(self, shard: Shard, seconds: float) -> None:
        """Answer this shard's heartbeats so late, until told otherwise; 0: at once."""
        self._acks(shard, delay_s=seconds)

    def bare_acks(self, shard: Shard, bare: bool = True) -> None:
        """Answer this shard's heartbeats with `{"op":11}` and no other key, until told otherwise."""
        self._acks(shard, payload=b'{"op":11}' if bare else ACK)

    def send_acks(self, shard: Shard, times: int = 1) -> None:
        """Send ACKs that nobody asked for."""
        self._each(shard, lambda _, link, __: [Send(link.id, ACK)] * times)

    def _acks(self, shard: Shard, **changes: Any) -> None:
        def change(faults: Faults) -> None:
            if shard is None:
                faults.acks = {one: dataclasses.replace(acks, **changes) for one, acks in faults.acks.items()}
            faults.acks[shard] = dataclasses.replace(faults.acks_of(shard), **changes)

        self._plan(change)

    # ------------------------------------------------------------------ IDENTIFY, RESUME

    def refuse_identify(
        self,
        *how: Refusal,
        shard: Shard = None,
        times: int | None = 1,
        delay_s: float | None = None,
    ) -> None:
        """Have IDENTIFYs that would be accepted end in a close code, `op9`, `silent` or `abort`.

        Args:
            how: one for each of the next ones.
            shard: only for this one.
            times: each of `how` so often; None: for ever.
            delay_s: how long `op9` takes; None: as the settings say.
        """
        planned = [Refused(one, delay_s) for one in how]
        self._plan(lambda faults: faults.identifies.add(*planned, where=shard, times=times))

    def refuse_resume(
        self,
        *how: Refusal,
        shard: Shard = None,
        times: int | None = 1,
        delay_s: float | None = None,
    ) -> None:
        """Have RESUMEs that would be accepted end so; arguments as for `refuse_identify`."""
        planned = [Refused(one, delay_s) for one in how]
        self._plan(lambda faults: faults.resumes.add(*planned, where=shard, times=times))

    def during_replay(self, shard: Shard, *, after: int, what: Interruption, times: int | None = 1) -> None:
        """Break off the next replay after so many dispatches: by a code, `op7`, `op9`, `abort`, `eof`."""
        self._plan(lambda faults: faults.replays.add(Break(after, what), where=shard, times=times))

    def overlap_replay(self, shard: Shard, dispatches: int, *, times: int | None = 1) -> None:
        """Begin the next replay so many dispatches too early: with some that the client has."""
        self._plan(lambda faults: faults.overlaps.add(dispatches, where=shard, times=times))

    def close_after(
        self, seconds: float, how: Ending = 4000, *, shard: Shard = None, times: int | None = None
    ) -> None:
        """End connections so long after READY or RESUMED: by a close code, `abort` or `eof`."""
        self._plan(lambda faults: faults.live_ends.add(LateEnd(how, seconds), where=shard, times=times))

    def accept(self, *, shard: Shard = None) -> None:
        """Forget what is planned for IDENTIFYs, RESUMEs, replays and what follows them."""

        def forget(faults: Faults) -> None:
            for plan in (
                faults.identifies,
                faults.resumes,
                faults.replays,
                faults.overlaps,
                faults.live_ends,
            ):
                plan.clear(shard)

        self._plan(forget)

    # ------------------------------------------------------------------ REST

    def rest_fault(
        self,
        *,
        status: int,
        headers: Mapping[str, str] | None = None,
        body: bytes | str = b"",
        times: int | None = 1,
        delay_s: float = 0.0,
        path: str | None = None,
    ) -> None:
        """Have REST answer the next `times` calls with this; None: until `answer_rest`.

        Args:
            status: of HTTP; 0: reset the connection instead.
            headers: of the answer.
            body: of the answer.
            times: so many calls.
            delay_s: that much later.
            path: only calls of paths that end so.
        """
        raw = body.encode() if isinstance(body, str) else body
        fault = RestFault(status, raw, dict(headers or {}), delay_s, path)
        self._plan(lambda faults: faults.rest.add(fault, times=times))

    def gateway_bot(self, **fields: Any) -> None:
        """Have `/gateway/bot` say something else from now on; `...` leaves a key out.

        Args:
            fields: `url`, `shards`, `session_start_limit`, or one of that one's four keys.
        """
        self._plan(lambda faults: faults.gateway_bot.update(fields))

    def answer_rest(self) -> None:
        """Forget what is planned for REST, and let it say the truth."""

        def forget(faults: Faults) -> None:
            faults.rest.clear()
            faults.gateway_bot.clear()

        self._plan(forget)
