"""What is worth a message, and when one may go (pure).

Level-triggered: a message is the difference between what is so and what was told. So there is no queue
that could grow, the next message makes up for one that never arrived, and 500 shards that fail are one line.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from gwcluster.sight import Sight

EVERY_S: Final = 30.0
"""Least time between two messages; what happens meanwhile is in the next one."""

GATHER_S: Final = 2.0
"""What begins within this time of the first is told with it: shards rarely fail alone."""

DEGRADED_S: Final = 60.0
DOWN_S: Final = 300.0
CALM_S: Final = 30.0
"""What was so and flickers is over only when it has stayed away for so long."""


class Kind(enum.StrEnum):
    """What is worth a message; the order is that of the lines."""

    REFUSED = "cluster_refused"
    FAILED = "shard_failed"
    EXHAUSTED = "identifies_exhausted"
    SLOWED = "identifies_held_back"
    DEGRADED = "shard_degraded"
    DOWN = "shards_down"


AFTER_S: Final = {Kind.DEGRADED: DEGRADED_S, Kind.DOWN: DOWN_S}
"""So long it has to last before it is told; everything else at once."""

_PER_SHARD: Final = frozenset({Kind.FAILED, Kind.DEGRADED})


@dataclass(frozen=True, slots=True)
class News:
    """One line of a message.

    Attributes:
        over: it was told before and is so no more.
        shards: whose, in order; empty: the cluster's.
        why: of the first of them.
        lasted_s: for how long it has been so, or was; of the first of them.
    """

    kind: Kind
    over: bool
    shards: tuple[int, ...]
    why: str
    lasted_s: float


Key = tuple[Kind, int]
"""What is so, and of which shard; -1: of the cluster."""


@dataclass(slots=True)
class _State:
    """Attributes: `gone_at`, since when it isn't so any more; None while it is. All in monotonic seconds."""

    since: float
    why: str
    gone_at: float | None = None
    told: bool = False

    def counts(self, kind: Kind, now: float) -> bool:
        return self.gone_at is None and now - self.since >= AFTER_S.get(kind, 0.0)


class Watch:
    """Look often, ask `news` as often, and say `told` once it has arrived."""

    def __init__(self) -> None:
        self._states: dict[Key, _State] = {}
        self._not_before = float("-inf")
        self._gathering_until: float | None = None

    def look(self, seen: Sight, now: float) -> None:
        """Take in how the cluster is at monotonic `now`."""
        if seen.stopping and seen.refused is None:
            return  # asked for: nothing that it brings is news
        found = _found(seen)
        for key, why in found.items():
            state = self._states.setdefault(key, _State(now, why))
            state.gone_at, state.why = None, why
        for key, state in list(self._states.items()):
            if key in found:
                continue
            if key[0] is Kind.FAILED and key[1] not in seen.live:
                state.gone_at = None
                continue  # somebody starts it again: it is well when it is live
            state.gone_at = state.gone_at if state.gone_at is not None else now
            if not state.told:
                del self._states[key]

    def news(self, now: float) -> list[News]:
        """Return what a message at monotonic `now` should tell, nothing while none may go."""
        began = self._difference(now, over=False)
        ended = self._difference(now, over=True)
        if not began and not ended:
            self._gathering_until = None
            return []
        if self._gathering_until is None:
            self._gathering_until = now + GATHER_S
        if now < max(self._gathering_until, self._not_before):
            return []
        return self._lines(began, now, over=False) + self._lines(ended, now, over=True)

    def last_words(self, now: float) -> list[News]:
        """Return what is still to be told when the program ends by itself; nothing is waited for."""
        return self._lines(self._difference(now, over=False), now, over=False)

    def told(self, news: Iterable[News], now: float) -> None:
        """This has arrived; the next message waits for a while."""
        for one in news:
            for shard in one.shards or (-1,):
                if one.over:
                    self._states.pop((one.kind, shard), None)
                elif (state := self._states.get((one.kind, shard))) is not None:
                    state.told = True
        self.wait(now, EVERY_S)

    def wait(self, now: float, seconds: float) -> None:
        """No message goes before this time has passed."""
        self._gathering_until = None
        self._not_before = now + seconds

    def _difference(self, now: float, *, over: bool) -> list[Key]:
        if over:
            gone = ((key, state.gone_at) for key, state in self._states.items() if state.told)
            return [key for key, at in gone if at is not None and now - at >= CALM_S]
        return [key for key, state in self._states.items() if not state.told and state.counts(key[0], now)]

    def _lines(self, keys: Iterable[Key], now: float, *, over: bool) -> list[News]:
        by_kind: dict[Kind, list[int]] = {}
        for kind, shard in keys:
            by_kind.setdefault(kind, []).append(shard)
        lines = []
        for kind in Kind:
            if shards := sorted(by_kind.get(kind, ())):
                state = self._states[kind, shards[0]]
                until = now if state.gone_at is None else state.gone_at
                of = tuple(shards) if kind in _PER_SHARD else ()
                lines.append(News(kind, over, of, state.why, until - state.since))
        return lines


def _found(seen: Sight) -> Mapping[Key, str]:
    found: dict[Key, str] = {}
    for kind, why in (
        (Kind.REFUSED, seen.refused),
        (Kind.EXHAUSTED, seen.exhausted),
        (Kind.SLOWED, seen.slowed),
    ):
        if why is not None:
            found[kind, -1] = why
    found.update(((Kind.FAILED, shard), why) for shard, why in seen.failed.items())
    found.update(((Kind.DEGRADED, shard), why) for shard, why in seen.degraded.items())
    if seen.counts is None:
        found[Kind.DOWN, -1] = "no shard runs yet: Discord has not told how many there are"
    elif seen.counts.ready < seen.counts.total:
        found[Kind.DOWN, -1] = f"{seen.counts.ready} of {seen.counts.total} shards are live"
    return found
