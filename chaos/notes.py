"""What a subscriber writes down, and how it compares with what Discord sent (pure)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

STARTED: Final = "started"
GAP: Final = "GWCLUSTER_GAP"
ALL: Final = "*"
"""Instead of a name: the one order of those who have subscribed to everything."""


@dataclass(frozen=True, slots=True)
class Noted:
    """One event as a subscriber had it.

    Attributes:
        seq: Discord's, None for our own notices.
        check: CRC-32 of the payload.
        at: monotonic seconds at which it had it.
    """

    name: str
    shard: int
    epoch: str
    offset: int
    session: int
    seq: int | None
    check: int
    at: float = field(default=0.0, compare=False)


def line_of(noted: Noted) -> str:
    """Return the line that says it."""
    seq = "-" if noted.seq is None else noted.seq
    return (
        f"{noted.name} {noted.shard} {noted.epoch} {noted.offset} {noted.session} {seq} {noted.check}"
        f" {noted.at:.4f}\n"
    )


def read_lines(text: str) -> list[Noted | None]:
    """Return what the lines say, None for each start of the subscriber; a line cut short is left out."""
    noted: list[Noted | None] = []
    for line in text.split("\n")[:-1]:
        if line == STARTED:
            noted.append(None)
            continue
        name, shard, epoch, offset, session, seq, check, at = line.split(" ")
        number = None if seq == "-" else int(seq)
        noted.append(Noted(name, int(shard), epoch, int(offset), int(session), number, int(check), float(at)))
    return noted


@dataclass(frozen=True, slots=True)
class Sent:
    """One dispatch as Discord sent it; `session` counts the shard's sessions from 1, `at` is in its clock."""

    name: str
    session: int
    seq: int
    check: int
    at: float = 0.0


@dataclass(slots=True)
class Tally:
    """How what one subscriber had compares with what there was.

    Attributes:
        events: dispatches that it had.
        lost, doubled, disordered, changed: and what was wrong with them.
        again: events that came once more because their handler was killed.
        gaps: times that it was told of missing events.
        examples: of what is wrong, in words.
    """

    events: int = 0
    lost: int = 0
    doubled: int = 0
    disordered: int = 0
    changed: int = 0
    again: int = 0
    gaps: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def faults(self) -> int:
        """How much is wrong."""
        return self.lost + self.doubled + self.disordered + self.changed + self.gaps

    def say(self, text: str) -> None:
        """Keep an example, unless there are enough."""
        if len(self.examples) < 10:
            self.examples.append(text)


def compare(
    noted: Iterable[Noted | None],
    truth: Mapping[int, Sequence[Sent]],
    names: Collection[str] | None,
    *,
    whole: bool = False,
) -> Tally:
    """Return how a subscriber's notes compare with the truth.

    Args:
        noted: in the order in which it had them.
        truth: by shard, in order: all that Discord sent.
        names: those that it had subscribed to; None: all.
        whole: it was there before the first event; if not, what it had first of a shard is where it began.
    """
    tally = Tally()
    checks = {
        shard: {(one.session, one.seq): one.check for one in all_sent} for shard, all_sent in truth.items()
    }
    seen: dict[int, set[tuple[int, int]]] = {shard: set() for shard in truth}
    last: dict[tuple[int, str], tuple[str, int]] = {}
    latest: Noted | None = None
    at_work: Noted | None = None  # what it may have been doing when it was killed
    for one in noted:
        if one is None:
            at_work = latest
        elif one.name == GAP:
            tally.gaps += 1
            tally.say(f"shard {one.shard}: a gap up to offset {one.offset}")
        elif one == at_work:
            tally.again += 1
            at_work = None
        else:
            latest = one
            if one.seq is not None:
                key = one.session, one.seq
                if key in seen[one.shard]:
                    tally.doubled += 1
                    tally.say(f"shard {one.shard}: seq {one.seq} once more, at offset {one.offset}")
                    continue
                seen[one.shard].add(key)
                tally.events += 1
                if checks[one.shard].get(key) != one.check:
                    tally.changed += 1
                    tally.say(f"shard {one.shard}: {one.name}, seq {one.seq}, is not what was sent")
            _in_order(one, last, tally, chain=ALL if names is None else one.name)
    for shard, all_sent in truth.items():
        wanted = [one for one in all_sent if names is None or one.name in names]
        missing = [(one.session, one.seq) not in seen[shard] for one in wanted]
        begun = missing.index(False) if False in missing and not whole else 0
        for one_sent, is_missing in zip(wanted[begun:], missing[begun:], strict=True):
            if is_missing:
                tally.lost += 1
                tally.say(f"shard {shard}: {one_sent.name}, seq {one_sent.seq}, never came")
    return tally


def _in_order(one: Noted, last: dict[tuple[int, str], tuple[str, int]], tally: Tally, *, chain: str) -> None:
    """Who follows some names is promised an order within each: of those it sees what is missing."""
    epoch, offset = last.get((one.shard, chain), (one.epoch, -1))
    if epoch == one.epoch and one.offset <= offset:
        tally.disordered += 1
        tally.say(f"shard {one.shard}: {one.name} at offset {one.offset} after {offset}")
    last[one.shard, chain] = one.epoch, max(offset, one.offset) if epoch == one.epoch else one.offset
