"""The unanswered questions of one subscription (pure): who was asked, and when to ask whom again."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Final, Generic, TypeVar

from gwcluster.client.host import Host
from gwcluster.client.roster import Roster

ANSWER_S: Final = 2.0
MAX_ANSWER_S: Final = 15.0
"""After so long an answer is given up and the question repeated, at first and at most; to another host if
there is one that is well."""

Whose = TypeVar("Whose")
Sending = tuple[Host, bytes]


class _Question(Generic[Whose]):
    __slots__ = ("blames", "body", "host", "repeat_at", "shard", "wait_s", "whose")

    def __init__(self, whose: Whose, shard: int | None, body: bytes, host: Host | None, now: float) -> None:
        self.whose = whose
        self.shard = shard
        self.body = body
        self.host = host
        self.blames = True
        self.wait_s = ANSWER_S
        self.repeat_at = now + ANSWER_S


class Questions(Generic[Whose]):
    """Questions by number.

    Args:
        roster: whom one may ask.
    """

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._asked: dict[int, _Question[Whose]] = {}
        self._numbers = itertools.count(1)
        self._up: set[Host] = set()

    def __len__(self) -> int:
        return len(self._asked)

    def number(self) -> int:
        """Return the next question's number."""
        return next(self._numbers)

    def ask(self, number: int, whose: Whose, shard: int | None, body: bytes, now: float) -> Iterator[Sending]:
        """Ask somebody; iterate over what is to be sent: nothing as long as no host is known."""
        host = self._roster.pick(shard, now, self._up)
        self._asked[number] = _Question(whose, shard, body, host, now)
        if host is not None:
            yield host, body

    def repeats(self, now: float) -> Iterator[Sending]:
        """Iterate over what is to be sent again."""
        for question in self._asked.values():
            if question.repeat_at > now:
                continue
            before = question.host
            if before is not None and question.blames:
                self._roster.unwell(before, now)
            question.blames = True
            question.host = host = self._roster.pick(question.shard, now, self._up)
            fresh = host is not None and host != before and self._roster.is_well(host, now)
            question.wait_s = ANSWER_S if fresh else min(2 * question.wait_s, MAX_ANSWER_S)
            question.repeat_at = now + question.wait_s
            if host is not None:
                yield host, question.body

    def whose(self, number: object) -> tuple[Whose] | None:
        """Return who asked this, None if nobody waits for it."""
        question = self._asked.get(number) if isinstance(number, int) else None
        return None if question is None else (question.whose,)

    def done(self, number: int) -> None:
        """It is answered."""
        del self._asked[number]

    def joined(self, host: Host, now: float) -> None:
        """There is a new connection with this host: what it was asked before may be lost, and those that were
        asked without one may have none."""
        self._up.add(host)
        for question in self._asked.values():
            if question.host == host or question.host not in self._up:
                question.repeat_at, question.blames = now, False

    def lost(self, host: Host, now: float) -> None:
        """The connection is lost: others are asked, if there are any."""
        self._up.discard(host)
        self._roster.lost(host, now)
        if all(each == host for each in self._roster.hosts):
            return
        for question in self._asked.values():
            if question.host == host:
                question.repeat_at, question.blames = now, False

    @property
    def due(self) -> float | None:
        """When the next one is to be repeated, monotonic seconds."""
        return min((question.repeat_at for question in self._asked.values()), default=None)
