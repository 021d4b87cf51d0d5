"""How a page is filled (pure), step by step in the order of offsets, until it is full."""

from __future__ import annotations

from dataclasses import dataclass

from gwcluster.log.page import Hole, Page, Record


@dataclass(frozen=True, slots=True)
class Passed:
    """Everything before offset `next` has been looked at."""

    next: int


Step = Record | Hole | Passed


class Filling:
    """A page that is being filled.

    Args:
        position: offset that comes next.
        limit: most events.
        max_bytes: most bytes of their frames; a single event may have more.
        topic_bytes: of a topic, besides the event's name.
    """

    def __init__(self, position: int, limit: int, max_bytes: int, topic_bytes: int) -> None:
        self.position = position
        self.records: list[Record] = []
        self.holes: list[tuple[int, int]] = []
        self.limit = limit
        self._room = max_bytes
        self._topic_bytes = topic_bytes

    def take(self, step: Step) -> bool:
        """Take a step; say whether another may come."""
        match step:
            case Passed():
                self.position = step.next
            case Hole():
                if self.holes and self.holes[-1][1] + 1 == step.first and self.position == step.first:
                    step = Hole(self.holes.pop()[0], step.last)
                self.holes.append((step.first, step.last))
                self.position = step.last + 1
            case Record():
                self.position = step.offset
                self._room -= len(step.name) + self._topic_bytes + len(step.header) + len(step.payload)
                if self._room < 0 and self.records:
                    return False
                self.records.append(step)
                self.position += 1
                return len(self.records) < self.limit
        return True

    def page(self, epoch: str, oldest: int, newest: int | None) -> Page:
        """Return it, with what is known of its log."""
        last = self.position - 1 if self.position > 0 else None
        if self.records and last is not None and newest is not None:
            newest = max(newest, last)  # it has grown meanwhile
        more = newest is not None and (last is None or last < newest)
        return Page(epoch, self.records, self.holes, last, more, oldest, newest)
