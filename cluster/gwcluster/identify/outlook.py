"""What a start would cost and whether it may happen, from all that is known of it (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gwcluster.identify.breaker import HOLD_S, PROBE_S
from gwcluster.identify.budget import Budget
from gwcluster.identify.caution import Caution
from gwcluster.identify.gateway_info import GatewayInfo
from gwcluster.identify.start import Start, ranges, refusal, reset_in_words, shortage
from gwcluster.spans import moment, span


@dataclass(frozen=True, slots=True)
class Hitch:
    """Something that keeps a start from happening, and what helps."""

    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Party:
    """The hosts that share the start of a whole cluster.

    Attributes:
        me: the host that is to start.
        others: those that run already and take shards.
        silence: why nobody could be asked: then this host is taken for the only one. None: NATS was asked.
    """

    me: str
    others: tuple[str, ...]
    silence: str | None

    def share(self, shards: int) -> int:
        """Return how many of all shards this host will have at most, once all have their share."""
        return -(-shards // (len(self.others) + 1))

    def text(self, shards: int | None) -> str:
        """Return it in words, with its share of `shards`; None: they aren't known."""
        share = (
            "" if shards is None else f"; the share of {self.me} is {self.share(shards)} of {shards} shards"
        )
        if self.silence is not None:
            return f"{self.me} alone, as far as anybody knows: {self.silence}"
        if not self.others:
            return f"{self.me} alone: no other one runs{share}"
        return f"{len(self.others) + 1}: {self.me} joins {', '.join(self.others)}{share}"

    def document(self, shards: int | None) -> dict[str, Any]:
        """Return it for programs."""
        share = None if shards is None else self.share(shards)
        return {"me": self.me, "others": list(self.others), "share": share, "unanswered": self.silence}


@dataclass(frozen=True, slots=True)
class Outlook:
    """A start, seen from Unix second `now`; moments are Unix seconds, but the budget's too.

    Attributes:
        start: None if not even the shard count is known.
        objection: why such a start is refused whatever the budget, if it is.
        info: Discord's answer.
        silence: why there is none.
        budget: None without an answer.
        spent: identifies of the last 24 h by our own ledger.
        caution: as the ledger leaves it, settled for this start.
        not_before: until when Discord must not be asked.
        owner: process that runs the cluster.
        party: with whom it is shared; None: it runs on one host.
    """

    now: float
    start: Start | None
    objection: str | None
    info: GatewayInfo | None
    silence: str | None
    budget: Budget | None
    spent: int
    caution: Caution
    not_before: float | None
    owner: int | None
    party: Party | None = None

    @property
    def waits(self) -> bool:
        """Whether nothing at all begins before Discord answers."""
        return self.silence is not None and (self.start is None or not self.start.resumable)

    @property
    def least_s(self) -> float | None:
        """Seconds until the last IDENTIFY can have left, if nothing goes wrong; None if that isn't known."""
        start, info, budget = self.start, self.info, self.budget
        if start is None or info is None or budget is None:
            return None
        shards, tries_at = start.identifying, self.caution.due
        waits = [start.least_s(info.max_concurrency)]
        waits += [self.caution.opens_at(shard) - self.now for shard in shards]
        if shards and tries_at is not None:  # one tries, and the others begin when it has lasted
            waits.append(tries_at - self.now + (HOLD_S if len(shards) > 1 else 0.0))
        if len(shards) > budget.spendable:
            waits.append(budget.reset_at - self.now)
        return max(waits)

    @property
    def refused(self) -> bool:
        """Whether `run` would not even begin; otherwise it starts what it can."""
        if self.objection is not None:
            return True
        lack = self.start and self.budget and shortage(self.start, self.budget, "")
        return bool(lack and self.start and refusal(self.start, lack, fresh=False))

    @property
    def hitches(self) -> list[Hitch]:
        """What speaks against the whole of the start; nothing: it may happen."""
        if self.objection is not None:
            return [Hitch(self.objection, "Nothing starts before one of the two is done")]
        start = self.start
        if start is not None and not start.identifying:
            return []
        found: list[Hitch] = []
        if self.silence is not None:
            found.append(self._unanswered(start, self.silence))
        if start is not None and self.budget is not None:
            lack = shortage(start, self.budget, reset_in_words(self.budget.reset_at, self.now))
            if lack is not None:
                found.append(self._short(start, self.budget, lack))
        if self.info is not None and (slow := self._slow()) is not None:
            found.append(slow)
        return found

    def _slow(self) -> Hitch | None:
        """What earlier identifies that bore nothing mean for this start."""
        breaker, failing = self.caution.breaker, self.caution.retries.probing
        if breaker.probe_at is not None:
            at = moment(breaker.probe_at, self.now)
            return Hitch(
                f"{breaker.fruitless} identifies of the last 24 h gained no shard that lasted a minute: one "
                f"shard tries every {span(PROBE_S)} until one lasts",
                f"Look into the log for why shards are refused; the next try may leave at {at}",
            )
        if failing is None or self.budget is None or self.budget.spendable == 0:
            return None
        return Hitch(
            f"{failing} shards have identified in vain again and again, too many for what may be spent: one "
            f"of them tries every {span(PROBE_S)} until that lasts",
            "Look into the log for why shards are refused",
        )

    def _unanswered(self, start: Start | None, silence: str) -> Hitch:
        if start is None:
            remedy = (
                "With `shards.count: auto` nothing starts before Discord answers; `run` asks until it does"
            )
        elif not start.resumable:
            remedy = f"`run` asks until Discord answers; then {len(start.identifying)} shards identify"
            if start.given_up:
                remedy += (
                    f". Sooner: {start.given_up} sessions can still be resumed, but not with this "
                    "configuration; put the old shard count and intents back"
                )
        else:
            remedy = (
                f"`run` resumes {len(start.resumable)} shards at once; shards {ranges(start.identifying)} "
                "wait until Discord answers"
            )
        return Hitch(f"Nothing from Discord: {silence}", remedy)

    def _short(self, start: Start, budget: Budget, lack: str) -> Hitch:
        if refusal(start, lack, fresh=False) is not None:
            return Hitch(
                f"{lack}. {start.given_up} sessions can still be resumed, but not with this configuration",
                "Put the old shard count and intents back, wait for the reset, or `run --use-reserve`",
            )
        late = len(start.identifying) - budget.spendable
        remedy = f"Wait for the reset. `run` starts what it can, in order, and {late} shards wait until then"
        if budget.remaining > budget.spendable:
            remedy += ", unless --use-reserve lets them have of the reserve"
        return Hitch(lack, remedy)

    def document(self) -> dict[str, Any]:
        """Return all of it for programs."""
        start, info, budget = self.start, self.info, self.budget
        return {
            "may_start": not self.hitches,
            "refused": self.refused,
            "hitches": [{"reason": hitch.reason, "remedy": hitch.remedy} for hitch in self.hitches],
            "shards": start and start.shards,
            "ids": start and list(start.ids),
            "resume": start and sorted(start.resumable),
            "identify": start and list(start.identifying),
            "given_up": start and start.given_up,
            "least_s": self.least_s,
            "recommended": info and info.shards,
            "max_concurrency": info and info.max_concurrency,
            "total": info and info.total,
            "remaining": info and info.remaining,
            "reset_at": info and self.now + info.reset_after_s,
            "reset_after_s": info and info.reset_after_s,
            "spent_24h": self.spent,
            "reserve": budget and budget.reserve,
            "spendable": budget and budget.spendable,
            "fruitless_24h": self.caution.breaker.fruitless,
            "failing": info and self.caution.retries.probing,
            "next_try_at": info and self.caution.breaker.probe_at,
            "not_before": self.not_before,
            "unanswered": self.silence,
            "running_pid": self.owner,
            "hosts": self.party and self.party.document(None if start is None else len(start.ids)),
        }
