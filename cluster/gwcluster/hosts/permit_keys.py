"""Which keys (shard % max_concurrency) this host may grant a permit of, among all hosts (pure).

Who creates a key in the bucket may grant one permit of it, good for 20 s from the *sending* of the create. It
is kept until the window that the IDENTIFY opened is over, then deleted; unused it is deleted at once. Of a
host that is gone, the bucket's TTL of 30 s ends it: 20 s for the permit, 5.25 s for the window, and a rest
for clocks of servers that differ.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from gwcluster.identify.gate import LEASE_S

TTL_S: Final = 30.0
"""Of the bucket: more than `LEASE_S` and a window."""


@dataclass(frozen=True, slots=True)
class Spans:
    """Seconds.

    Attributes:
        permit_s: for how long a permit may be used, from the sending of the create.
        fresh_s: for how long a key is kept for a permit that isn't granted yet.
        retry_s: between two tries for a key of another host, and after a request that wasn't answered.
        polite_s: a host that had a key waits so long before it takes it again.
        forget_s: after which a key that we may have created is left to its TTL.
    """

    permit_s: float = LEASE_S
    fresh_s: float = LEASE_S / 2
    retry_s: float = 1.0
    polite_s: float = 0.1
    forget_s: float = LEASE_S / 2


@dataclass(frozen=True, slots=True)
class Take:
    """Create `key`, for a permit of this name, and count that; `shard` is likely to get it."""

    key: int
    shard: int
    permit: str


@dataclass(frozen=True, slots=True)
class Return:
    """Delete `key` where it is still at `revision`; if `unused`, its permit was never granted."""

    key: int
    revision: int
    permit: str
    unused: bool


class _Phase(enum.Enum):
    ASKING = "a create was sent"
    UNSURE = "a create wasn't answered"
    HELD = "a permit may be granted"
    SPENT = "a permit was granted"


@dataclass(slots=True)
class _Key:
    phase: _Phase
    shard: int
    permit: str
    sent_at: float
    revision: int = 0
    retry_at: float = float("-inf")


class PermitKeys:
    """Keeps the keys. `look` after each step of the gate; perform what it returns, each once, and report.

    Args:
        owner: names this run of this host; no other has it.
        spans: how long what lasts.
        jitter: returns evenly distributed numbers from 0.0 to 1.0.
    """

    def __init__(self, *, owner: str, jitter: Callable[[], float], spans: Spans | None = None) -> None:
        self._owner = owner
        self._jitter = jitter
        self._spans = spans or Spans()
        self._keys: dict[int, _Key] = {}
        self._not_before: dict[int, float] = {}
        self._taken = 0
        self._due: float | None = None

    def look(
        self,
        wanted: Mapping[int, int],
        busy: Collection[int],
        opens_at: Callable[[int], float],
        now: float,
    ) -> list[Take | Return]:
        """Return what to do at monotonic `now` (s).

        Args:
            wanted: keys of which a permit would leave now, each with the shard to have it.
            busy: keys of which a permit is out.
            opens_at: tells from when on another IDENTIFY of a key is allowed.
            now: monotonic seconds.
        """
        todo: list[Take | Return] = []
        moments: list[float] = []
        for key, one in list(self._keys.items()):
            match one.phase:
                case _Phase.HELD if key not in wanted or now >= one.sent_at + self._spans.fresh_s:
                    todo.append(self._return(key, one, now, unused=True))
                case _Phase.HELD:
                    moments.append(one.sent_at + self._spans.fresh_s)
                case _Phase.SPENT if key not in busy:
                    if now >= opens_at(key):
                        todo.append(self._return(key, one, now, unused=False))
                    else:
                        moments.append(opens_at(key))
                case _Phase.UNSURE if now >= one.sent_at + self._spans.forget_s:
                    del self._keys[key]  # if it is there, its TTL ends it
                case _Phase.UNSURE if now >= one.retry_at:
                    one.phase = _Phase.ASKING
                    todo.append(Take(key, one.shard, one.permit))
                case _Phase.UNSURE:
                    moments.append(one.retry_at)
                case _:
                    pass
        for key, shard in wanted.items():
            if key in self._keys:
                continue
            if (at := self._not_before.get(key, now)) > now:
                moments.append(at)
                continue
            self._taken += 1
            permit = f"{self._owner}.{self._taken}"
            self._keys[key] = _Key(_Phase.ASKING, shard, permit, now)
            todo.append(Take(key, shard, permit))
        self._due = min(moments, default=None)
        return todo

    def _return(self, key: int, one: _Key, now: float, *, unused: bool) -> Return:
        del self._keys[key]
        self._not_before[key] = now + self._spans.polite_s
        return Return(key, one.revision, one.permit, unused)

    def taken(self, take: Take, revision: int) -> None:
        """The key is ours and its permit counted: it may be granted."""
        if (one := self._asking(take)) is not None:
            one.phase = _Phase.HELD
            one.revision = revision

    def granted(self, key: int) -> None:
        """A permit of a key that is held leaves."""
        self._keys[key].phase = _Phase.SPENT

    def refused(self, take: Take, now: float) -> None:
        """Another host has the key, or the day's limit doesn't allow it."""
        if self._asking(take) is not None:
            del self._keys[take.key]
            self._not_before[take.key] = now + self._spans.retry_s * (0.5 + self._jitter())

    def unanswered(self, take: Take, now: float) -> None:
        """Nobody knows whether the key is ours: it is asked again, and counts from the first sending."""
        if (one := self._asking(take)) is not None:
            one.phase = _Phase.UNSURE
            one.retry_at = now + self._spans.retry_s

    def freed(self, key: int, now: float) -> None:
        """Some host returned a key."""
        if self._not_before.get(key, now) > now + self._spans.polite_s:
            self._not_before[key] = now

    def _asking(self, take: Take) -> _Key | None:
        one = self._keys.get(take.key)
        return one if one is not None and one.permit == take.permit and one.phase is _Phase.ASKING else None

    def held(self, now: float) -> dict[int, float]:
        """Return the keys of which a permit may be granted, each with the moment until which that is good."""
        return {
            key: one.sent_at + self._spans.permit_s
            for key, one in self._keys.items()
            if one.phase is _Phase.HELD and now < one.sent_at + self._spans.fresh_s
        }

    @property
    def due(self) -> float | None:
        """The next moment at which `look` may have something to do; None: not before a report."""
        return self._due

    def leave(self) -> list[Return]:
        """Return every key that nothing was granted of."""
        held = [(key, one) for key, one in self._keys.items() if one.phase is _Phase.HELD]
        return [self._return(key, one, 0.0, unused=True) for key, one in held]
