"""Where in a shard's log a subscriber is (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Place:
    """How far a subscriber has come in one shard's log.

    Attributes:
        epoch: identity of the log.
        upto: every wanted event up to this offset is done; -1: none yet.
        beyond: event name → offset above `upto` of its last event that is done. Only a subscriber of some
            names has any: it can't know whether another of its names has an event in between.
    """

    epoch: str
    upto: int
    beyond: Mapping[str, int] = field(default_factory=dict)

    def moved(self, step: Step) -> Place:
        """Return where one is after `step`, of this epoch or another."""
        if step.epoch != self.epoch:
            return Place(step.epoch, step.upto, {} if step.name is None else {step.name: step.offset})
        upto = max(self.upto, step.upto)
        beyond = {name: offset for name, offset in self.beyond.items() if offset > upto}
        if step.name is not None and step.offset > upto:
            beyond[step.name] = step.offset
        return Place(self.epoch, upto, beyond)


class Step(NamedTuple):
    """What is done once an event is: the place moves on by it.

    Attributes:
        upto: everything wanted up to here is done.
        name, offset: and the event of this name, above `upto`; None and -1 where `upto` says it all.
    """

    shard: int
    epoch: str
    upto: int
    name: str | None = None
    offset: int = -1
