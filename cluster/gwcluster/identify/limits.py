"""Joins what Discord says of a bot's limits to gate and ledger (does)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from gwcluster.identify.any_ledger import AnyLedger
from gwcluster.identify.budget import UNKNOWN, Budget
from gwcluster.identify.gate import Gate
from gwcluster.identify.gateway_info import GatewayInfo
from gwcluster.identify.hindrance import ASK_CEILING_S
from gwcluster.identify.known import Known
from gwcluster.identify.ledger import DAY_S, LedgerError
from gwcluster.identify.start import ABSURD, Start, StartError, refusal, reset_in_words, shortage, told

ROLL_CALL_S: Final = 5.0
"""How long shards of higher buckets wait for those of lower ones to be started and connected."""

MOVED_S: Final = 120.0
"""Between two looks at the gateway's address while shards can't connect."""

log = logging.getLogger(__name__)


def budget_of(
    info: GatewayInfo, start: Start, spent: int, *, now: float, reserve: float, use_reserve: bool = False
) -> Budget:
    """Return what may be spent on a start, by Discord's answer and our own count.

    Args:
        info: Discord's answer.
        start: what is to run.
        spent: identifies of the last 24 h.
        now: the seconds in which the budget's moment of reset is to be told.
        reserve: part of the daily limit, 0.0 to 1.0.
        use_reserve: the operator lets this start have what it needs of the reserve.
    """
    return Budget.of(
        info.total,
        info.remaining,
        now + info.reset_after_s,
        fraction=reserve,
        shards=len(start.ids),
        spent=spent,
        approved=len(start.identifying) if use_reserve else 0,
    )


class Limits:
    """Opens the gate with Discord's first answer, and tells it every later one.

    Args:
        gate: one of an unknown budget.
        ledger: what earlier coordinators did; what Discord says is kept in it.
        start: what runs.
        api: who is asked.
        reserve, use_reserve: as for `budget_of`.
        clock: monotonic seconds.
        wall: Unix seconds.

    Attributes:
        info: the last answer, None before the first.
        stranded: says whether shards can't connect, so that the gateway may have moved.
    """

    def __init__(
        self,
        gate: Gate,
        ledger: AnyLedger,
        start: Start,
        *,
        api: str,
        reserve: float,
        use_reserve: bool,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self.info: GatewayInfo | None = None
        self.stranded: Callable[[], bool] = lambda: False
        self._told_at = float("-inf")
        self.gate = gate
        self._ledger = ledger
        self._start = start
        self._api = api
        self._reserve = reserve
        self._use_reserve = use_reserve
        self._clock = clock
        self._wall = wall

    @property
    def recommended(self) -> int | None:
        """How many shards Discord recommends, None before the first answer."""
        return None if self.info is None else self.info.shards

    @property
    def due(self) -> bool:
        """Whether Discord is to be asked now: the first time, when the budget is used up, or is old news.

        Old news matters once a shard wants to identify: another process with this token may have spent it.
        The gateway's address is asked for again when it is of no use any more.

        Sources:
            https://docs.discord.com/developers/events/gateway#get-gateway
        """
        at, now = self.gate.ask_again_at, self._clock()
        if self.info is None or (at is not None and now >= at):
            return True
        if self.gate.waiting and now >= self._told_at + ASK_CEILING_S:
            return True
        return now >= self._told_at + MOVED_S and self.stranded()

    def keep(self, reserve: float) -> None:
        """Keep this part of the daily limit from now on; what a start was let have of it, it keeps."""
        self._reserve = reserve
        budget = self.gate.budget
        if budget is UNKNOWN:
            return
        left, reset_at, shards = budget.remaining, budget.reset_at, len(self._start.ids)
        kept = Budget.of(budget.total, left, reset_at, fraction=reserve, shards=shards).reserve
        self.gate.budget = replace(budget, reserve=min(kept, budget.reserve) if self._use_reserve else kept)

    def admit(self, info: GatewayInfo, *, fresh: bool) -> None:
        """Judge a start by Discord's first answer, before anything is begun.

        Args:
            info: the answer.
            fresh: the operator wants every session given up.

        Raises:
            StartError: the budget doesn't suffice, and sessions that live would be lost.
        """
        wall = self._wall()
        budget = self._budget(info, wall)
        lack = shortage(self._start, budget, reset_in_words(wall + info.reset_after_s, wall))
        if lack is not None and (why := refusal(self._start, lack, fresh=fresh)) is not None:
            raise StartError(why)
        if fresh:
            log.warning(
                "--fresh: this start costs %d of the %d identifies that may be spent",
                len(self._start.identifying),
                budget.spendable,
            )

    def take(self, info: GatewayInfo) -> None:
        """Take an answer of Discord's.

        Raises:
            LedgerError: the ledger can't be read, so nothing was taken; ask again later.
        """
        now, wall = self._clock(), self._wall()
        budget = self._budget(info, wall)
        last_sent = self._ledger.last_sent_by_key(info.max_concurrency)
        if self.info is not None:
            self.gate.refill(budget, now, max_concurrency=info.max_concurrency)
        else:
            past = self._ledger.past(now - wall)
            self.gate.refill(budget, now, max_concurrency=info.max_concurrency)
            self.gate.restore({key: sent_at + now - wall for key, sent_at in last_sent.items()})
            self.gate.remember(past)
            self.gate.expect(self._start.identifying, now + ROLL_CALL_S)
            self._say(info, budget, wall)
        self.info, self._told_at = info, now
        try:
            recommended = self._believable(info.shards)
            self._ledger.keep_known(Known(self._api, info.url, self._start.shards, recommended))
        except LedgerError as error:
            log.error("%s; the next start will wait for Discord's answer", error)

    def _believable(self, recommended: int) -> int:
        """Return what the next start is to compare with: an absurd count would let that one pass."""
        known = self._ledger.known
        last = max(self._start.shards, known.recommended if known is not None else 0)
        return recommended if recommended <= ABSURD * last else last

    def _budget(self, info: GatewayInfo, wall: float) -> Budget:
        return budget_of(
            info,
            self._start,
            self._ledger.spent_since(wall - DAY_S),
            now=self._clock(),
            reserve=self._reserve,
            use_reserve=self._use_reserve,
        )

    def _say(self, info: GatewayInfo, budget: Budget, wall: float) -> None:
        start = self._start
        log.info("%s", told(start, info.max_concurrency))
        if start.given_up:
            log.warning(
                "%d sessions could be resumed, but not with this shard count and these intents: they are "
                "given up, and what happened since they ended is lost",
                start.given_up,
            )
        if info.shards != start.shards:
            log.warning(
                "Discord recommends %d shards, and %d are run: a restart keeps the number of those that can "
                "be resumed; to change it set shards.count, or start with --fresh",
                info.shards,
                start.shards,
            )
        lack = shortage(start, budget, reset_in_words(wall + info.reset_after_s, wall))
        if lack is not None:
            late = len(start.identifying) - budget.spendable
            log.error("identify budget: %s. Until then %d of them wait", lack, late)
