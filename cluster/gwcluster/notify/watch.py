"""What is worth a message, and when one may go (pure).

Level-triggered: a message is the difference between what is so and what was told. So there is no queue
that could grow, the next message makes up for one that never arrived, and 500 shards that fail are one line.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from gwcluster.notify.roll_call import RollCall
from gwcluster.sight import Neighbours, Sight

EVERY_S: Final = 30.0
"""Least time between two messages; what happens meanwhile is in the next one."""

GATHER_S: Final = 2.0
"""What begins within this time of the first is told with it: shards rarely fail alone."""

DEGRADED_S: Final = 60.0
DOWN_S: Final = 300.0
FREE_S: Final = 60.0
GONE_S: Final = 60.0
"""A host that is started anew is back sooner, and its shards are taken sooner."""

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
    SILENT = "nats_unreachable"
    FREE = "shards_free"
    GONE = "host_gone"


AFTER_S: Final = {Kind.DEGRADED: DEGRADED_S, Kind.DOWN: DOWN_S, Kind.FREE: FREE_S, Kind.GONE: GONE_S}
"""So long it has to last before it is told; everything else at once."""

_PER_SHARD: Final = frozenset({Kind.FAILED, Kind.DEGRADED, Kind.FREE})

_OF_ALL_HOSTS: Final = frozenset({Kind.FREE, Kind.GONE})
"""Each of several hosts sees it; one of them tells."""


@dataclass(frozen=True, slots=True)
class News:
    """One line of a message.

    Attributes:
        over: it was told before and is so no more.
        shards: whose, in order; empty: the cluster's.
        why: of the first of them.
        lasted_s: for how long it has been so, or was; of the first of them.
        hosts: which, in order, where hosts are concerned.
    """

    kind: Kind
    over: bool
    shards: tuple[int, ...]
    why: str
    lasted_s: float
    hosts: tuple[str, ...] = ()


Key = tuple[Kind, int | str]
"""What is so, and of which shard or host; -1: of the cluster."""


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
        self._roll_call = RollCall()
        self._not_before = float("-inf")
        self._gathering_until: float | None = None

    def look(self, seen: Sight, now: float) -> None:
        """Take in how the cluster is at monotonic `now`."""
        if seen.stopping and seen.refused is None:
            return  # asked for: nothing that it brings is news
        found = dict(_found(seen))
        if (neighbours := seen.neighbours) is not None:
            found.update({(Kind.GONE, name): GONE for name in self._roll_call.missing(neighbours, now)})
            if not neighbours.speaks:  # but what was told is taken back
                found = {
                    key: why
                    for key, why in found.items()
                    if key[0] not in _OF_ALL_HOSTS or self._is_told(key)
                }
        for key, why in found.items():
            state = self._states.setdefault(key, _State(now, why))
            state.gone_at, state.why = None, why
        for key, state in list(self._states.items()):
            if key in found:
                continue
            if key[0] is Kind.FAILED and key[1] not in seen.live and not _is_elsewhere(key[1], seen):
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
            for of in one.shards or one.hosts or (-1,):
                if one.over:
                    self._states.pop((one.kind, of), None)
                elif (state := self._states.get((one.kind, of))) is not None:
                    state.told = True
        self.wait(now, EVERY_S)

    def wait(self, now: float, seconds: float) -> None:
        """No message goes before this time has passed."""
        self._gathering_until = None
        self._not_before = now + seconds

    def _is_told(self, key: Key) -> bool:
        return key in self._states and self._states[key].told

    def _difference(self, now: float, *, over: bool) -> list[Key]:
        if over:
            gone = ((key, state.gone_at) for key, state in self._states.items() if state.told)
            return [key for key, at in gone if at is not None and now - at >= CALM_S]
        return [key for key, state in self._states.items() if not state.told and state.counts(key[0], now)]

    def _lines(self, keys: Iterable[Key], now: float, *, over: bool) -> list[News]:
        by_kind: dict[Kind, list[Key]] = {}
        for key in keys:
            by_kind.setdefault(key[0], []).append(key)
        lines = []
        for kind in Kind:
            if of := sorted(by_kind.get(kind, ())):
                state = self._states[of[0]]
                until = now if state.gone_at is None else state.gone_at
                shards = (
                    tuple(which for _, which in of if isinstance(which, int)) if kind in _PER_SHARD else ()
                )
                hosts = tuple(which for _, which in of if isinstance(which, str))
                lines.append(News(kind, over, shards, state.why, until - state.since, hosts))
        return lines


GONE: Final = "other hosts take its shards once its leases have ended"
NO_LEASE: Final = "no host takes them; there are too few, or they can't reach NATS or Discord"


def _why_silent(neighbours: Neighbours) -> str:
    why = "" if neighbours.why is None else f"{neighbours.why}; "
    return f"{why}the shards of host {neighbours.me} pause when their leases end, and resume when it answers"


def _is_elsewhere(shard: int | str, seen: Sight) -> bool:
    return seen.neighbours is not None and shard in seen.neighbours.away


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
    if (neighbours := seen.neighbours) is not None:
        if neighbours.silent is not None:
            found[Kind.SILENT, -1] = _why_silent(neighbours)
        found.update(((Kind.FREE, shard), NO_LEASE) for shard in neighbours.free)
    return found
