"""Decides nothing: what a scenario is: steps at their times, for so long, so often over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gwsimulator.actions import Action


@dataclass(frozen=True, slots=True)
class Moment:
    """A part of a step that happens at once."""

    at_s: float
    words: str
    """Empty: it was said when the step began."""
    step: Step
    shards: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the script. Moments count from when the round began."""

    at_s: float
    say: str = ""
    name: str = ""
    """Of the action."""
    action: Action | None = None
    given: Mapping[str, Any] = field(default_factory=dict)
    """The control's arguments."""
    written: Mapping[str, str] = field(default_factory=dict)
    """The same in the file's words."""
    shards: tuple[int, ...] | Literal["all"] | None = None
    together: int = 1
    """How many shards at once ..."""
    stagger_s: float = 0.0
    """... and how long between those and the next."""
    every_s: float = 0.0
    times: int = 1

    def of(self, count: int) -> list[int | None]:
        """Return the shards that it is for, of so many; None stands for any."""
        if self.shards is None:
            return [None]
        return list(range(count)) if self.shards == "all" else list(self.shards)

    def moments(self, count: int) -> Iterator[Moment]:
        """Give what happens when, with so many shards; said when it begins and at each repetition."""
        shards = self.of(count)
        for turn in range(self.times):
            for group, start in enumerate(range(0, len(shards), self.together)):
                yield Moment(
                    self.at_s + turn * self.every_s + group * self.stagger_s,
                    "" if group else self.words(),
                    self,
                    tuple(shards[start : start + self.together]),
                )

    def words(self) -> str:
        """Return what it does, for people."""
        if self.action is None:
            return self.say
        match self.shards:
            case None:
                who = "any shard"
            case "all":
                who = "every shard"
            case (one,):
                who = f"shard {one}"
            case several:
                who = f"shards {_listed(several)}"
        parts = [f"{key}: {value}" for key, value in self.written.items()]
        if self.stagger_s:
            parts.append(f"{self.together} at a time, {self.stagger_s:g} s apart")
        if self.times > 1:
            parts.append(f"{self.times} times, every {self.every_s:g} s")
        said = self.action.says.format(who=who) + (f" ({', '.join(parts)})" if parts else "")
        return f"{self.say}: {said}" if self.say else said


@dataclass(frozen=True, slots=True)
class Scenario:
    """A script for the simulator to play."""

    name: str
    about: str
    steps: tuple[Step, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    begins: Literal["live", "at once"] = "live"
    """Whether its clock waits until every shard had its READY."""
    lasts_s: float | None = None
    """How long one round is; None: until the last step is over."""
    repeat: int | None = 1
    """How many rounds; None: until the simulator ends."""

    def moments(self, count: int) -> list[Moment]:
        """Return one round in order, with so many shards; without what `lasts_s` cuts off."""
        found = [moment for step in self.steps for moment in step.moments(count)]
        return sorted(
            (one for one in found if self.lasts_s is None or one.at_s <= self.lasts_s),
            key=lambda one: one.at_s,
        )


def _listed(shards: tuple[int, ...]) -> str:
    if len(shards) > 2 and shards == tuple(range(shards[0], shards[-1] + 1)):
        return f"{shards[0]} to {shards[-1]}"
    return ", ".join(map(str, shards[:8])) + (" ..." if len(shards) > 8 else "")
