"""Follows one shard (pure): what came, what is missing, and what to ask for.

A subscriber of all names sees a missing event by its offset: offsets are contiguous. One of some names sees
it by `prev`, and by the beacon where nothing of that name follows. Whatever is missing is fetched, and what
comes meanwhile waits behind it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from gwcluster.client.event import Event
from gwcluster.client.place import Place, Step
from gwcluster.client.room import Room
from gwcluster.wire.events import NO_EPOCH, Header
from gwcluster.wire.notices import GAP, gap
from gwcluster.wire.replay import Ask, Refused

PATIENCE_S: Final = 10.0
"""How long something published may be missing from the log: a disk may be full or slow for a while."""

RETRY_S: Final = 0.25
"""Between two questions for what isn't in the log yet."""

REFUSED_RETRY_S: Final = 1.0
"""Before asking again after a refusal that names no time."""

Came = tuple[Event, int | None]
"""An event, and the offset of the one of its name before it."""


class _Phase(enum.Enum):
    PLACING = "it isn't known where the log is"
    FETCHING = "something is missing, or may be"
    LIVE = "whole up to the last message"


class Follower:
    """One shard of one subscription.

    Args:
        names: the names that are wanted, logged notices among them; None: all.
        place: where to go on; None: at now.
        room: for what has to wait, shared with other shards.
        emit: takes what is next for the subscriber, or None, and how far it has come once that is done.
        wall: Unix seconds.

    Attributes:
        ask_at: when to send `ask`, monotonic seconds; None: there is nothing to ask, or an answer is to come.
    """

    def __init__(
        self,
        shard: int,
        names: frozenset[str] | None,
        place: Place | None,
        *,
        room: Room,
        emit: Callable[[Event | None, Step], None],
        wall: Callable[[], float],
        now: float,
    ) -> None:
        self.shard = shard
        self.ask_at: float | None = now
        self._names = names
        self._room = room
        self._emit = emit
        self._wall = wall
        self._epoch = None if place is None else place.epoch
        self._upto = -1 if place is None else place.upto
        self._beyond: dict[str, int] = {} if place is None else dict(place.beyond)
        self._phase = _Phase.PLACING if place is None else _Phase.FETCHING
        self._goal = -1
        # Whether only the log can tell that nothing is missing, and whether that has been asked since.
        self._doubted, self._settling = place is not None, False
        self._held: list[Came] = []
        self._asked = False
        self._newborn = False
        self._stuck_since: float | None = None
        self._shards, self._session = shard + 1, 0

    # What the publisher sends

    def event(self, event: Event, prev: int | None, now: float) -> None:
        """Take an event that is in the log."""
        self._shards, self._session = event.shards, event.session
        if self._phase is _Phase.PLACING:
            self._hold(event, prev)
            self._wake(now)
            return
        if event.epoch != self._epoch:
            self._hold(event, prev)
            self._find_place(now)
            return
        if self._has(event):
            return
        if self._phase is _Phase.FETCHING:
            self._hold(event, prev)
        elif self._follows(event, prev):
            self._give(event)
        else:
            self._hold(event, prev)
            self._fetch(event.offset, now)

    def beacon(self, epoch: str, last: int, names: Mapping[str, int], others: int | None, now: float) -> None:
        """Take the worker's word for the last offset of the log, and of each name in it.

        Args:
            others: no other name came after this offset; None: nor ever before.
        """
        if self._phase is _Phase.PLACING:
            self._wake(now)
        elif epoch != self._epoch:
            self._find_place(now)
        elif names or others is not None:  # without any there was no event yet, and `last` means nothing
            missing = self._missing(last, names, others)
            if missing is not None:
                self._fetch(missing, now)
            elif self._phase is _Phase.LIVE:
                self._advance(last)

    def doubt(self, now: float, *, anyway: bool = False) -> None:
        """Something may have been lost that what comes next doesn't show: ask the log before going on.

        Who has subscribed to everything sees it without that, if anything comes.

        Args:
            anyway: ask all the same.
        """
        if self._names is None and not anyway:
            return
        self._doubted, self._settling = True, False
        if self._phase is _Phase.LIVE:
            self._fetch(-1, now)

    # What the log says

    def ask(self) -> Ask:
        """Return the question that is due; its answer goes to `page` or `refused`."""
        self.ask_at = None
        self._asked = True
        self._settling = True
        if self._phase is _Phase.PLACING:
            return Ask(self.shard, None, None, None, only_place=True)
        names = None if self._names is None else sorted(self._names)
        return Ask(self.shard, self._epoch, None if self._upto < 0 else self._upto, names)

    def page(
        self,
        epoch: str,
        came: Sequence[Came],
        holes: Sequence[tuple[int, int]],
        *,
        last: int | None,
        oldest: int,
        newest: int | None,
        now: float,
    ) -> None:
        """Take a stretch of the log; see `wire.replay.Page`."""
        self._asked = False
        if self._phase is _Phase.PLACING:
            self._placed(epoch, oldest, newest, now)
        elif epoch != self._epoch:
            self._find_place(now)
        elif self._phase is _Phase.FETCHING:
            if self._upto < oldest - 1:  # asked from the beginning, which is gone
                self._skip_to(oldest)
            before = self._upto
            self._take(came, holes)
            if last is not None:
                self._advance(last)
            if self._doubted and self._settling:
                self._doubted = False
                self._goal = max(self._goal, -1 if newest is None else newest)
            self._go_on(now, moved=self._upto > before)

    def refused(self, refused: Refused, now: float) -> None:
        """Take the answer that there is no such stretch."""
        self._asked = False
        self.ask_at = now + (REFUSED_RETRY_S if refused.retry_after_s is None else refused.retry_after_s)
        match refused.code:
            case "wrong_epoch" if self._phase is _Phase.FETCHING:
                self._find_place(now)
            case "expired" if self._phase is _Phase.FETCHING and refused.oldest is not None:
                self._skip_to(refused.oldest)
                self.ask_at = now
            case "unknown_shard":
                self._leave()
            case "not_ready" if self._epoch is None and refused.no_log:
                self._newborn = True  # whatever will be in it comes after we began to listen

    # Deciding

    def _has(self, event: Event) -> bool:
        return event.offset <= self._upto or event.offset <= self._beyond.get(event.name, -1)

    def _follows(self, event: Event, prev: int | None) -> bool:
        """Say whether nothing that is wanted is missing before it, as far as it can tell."""
        if self._names is None:
            return event.offset == self._upto + 1
        return prev is None or prev <= self._upto or prev == self._beyond.get(event.name)

    def _missing(self, last: int, names: Mapping[str, int], others: int | None) -> int | None:
        """Return the last offset that a beacon tells and we lack, None if we lack none."""
        if self._names is None:
            return last if last > self._upto else None
        lacking = [
            offset
            for name, offset in names.items()
            if name in self._names and offset > self._upto and offset > self._beyond.get(name, -1)
        ]
        if others is not None and others > self._upto and not self._names <= names.keys():
            lacking.append(others)
        return max(lacking, default=None)

    def _fetch(self, goal: int, now: float) -> None:
        self._goal = max(self._goal, goal)
        if self._phase is not _Phase.FETCHING:
            self._phase = _Phase.FETCHING
            self._stuck_since = None
            self._due(now)

    def _find_place(self, now: float) -> None:
        self._phase = _Phase.PLACING
        self._due(now)

    def _due(self, now: float) -> None:
        if not self._asked:
            self.ask_at = now

    def _wake(self, now: float) -> None:
        """Somebody speaks for the shard: if nothing was to be asked any more, now there is."""
        if self.ask_at is None:
            self._due(now)

    def _go_on(self, now: float, *, moved: bool) -> None:
        """Ask on, wait for what isn't in the log yet, give it up, or be done."""
        if moved:
            self._stuck_since = None
        if self._upto >= self._goal and not self._doubted:
            self._go_live(now)
        elif moved or self._doubted:
            self.ask_at = now
        elif self._stuck_since is None or now - self._stuck_since < PATIENCE_S:
            self._stuck_since = now if self._stuck_since is None else self._stuck_since
            self.ask_at = now + RETRY_S
        else:
            self._lose(self._goal, "it was published, but the shard's log doesn't have it")
            self._go_live(now)

    def _go_live(self, now: float) -> None:
        self._phase = _Phase.LIVE
        self._goal = -1
        self._stuck_since = None
        self.ask_at = None
        held, self._held = self._held, []
        self._room.give(sum(len(event.payload) for event, _ in held))
        for event, prev in held:
            if event.epoch == self._epoch:  # others are stragglers of a log that is gone
                self.event(event, prev, now)

    def _placed(self, epoch: str, oldest: int, newest: int | None, now: float) -> None:
        end = -1 if newest is None else newest
        self._phase = _Phase.FETCHING
        if self._epoch is None:
            self._begin(epoch, end)
        elif epoch != self._epoch:
            self._gap(self._upto + 1, None, "the shard's log was started anew")
            self._enter(epoch, -1)
            self._skip_to(oldest)
            self._goal = end
        else:  # what came of another epoch was a straggler
            self._goal = end
        self._go_on(now, moved=True)

    def _begin(self, epoch: str, end: int) -> None:
        """Begin at now: with what comes after we began to listen."""
        if self._newborn:
            self._enter(epoch, -1)
            self._goal = end
        else:
            first = min((event.offset for event, _ in self._held if event.epoch == epoch), default=end + 1)
            self._enter(epoch, min(end, first - 1))
            self._doubted, self._settling = self._names is not None and self._upto < end, False

    def _enter(self, epoch: str, upto: int) -> None:
        self._epoch, self._upto, self._beyond = epoch, upto, {}
        self._emit(None, Step(self.shard, epoch, upto))

    def _leave(self) -> None:
        """The cluster doesn't run this shard; ask again only when somebody speaks for it."""
        if self._epoch is not None:
            self._gap(self._upto + 1, None, "the cluster doesn't run this shard")
            self._enter(NO_EPOCH, -1)
        self._epoch = None
        self._phase = _Phase.PLACING
        self.ask_at = None

    # Giving out

    def _give(self, event: Event) -> None:
        assert self._epoch is not None, "a shard without a place gives nothing out"
        if self._names is None:
            self._upto = event.offset
            self._emit(event, Step(self.shard, self._epoch, self._upto))
        else:
            self._beyond[event.name] = event.offset
            self._emit(event, Step(self.shard, self._epoch, self._upto, event.name, event.offset))

    def _take(self, came: Sequence[Came], holes: Sequence[tuple[int, int]]) -> None:
        """Give out a stretch of the log; it is whole, so each piece moves the place, whatever is wanted."""
        assert self._epoch is not None, "a shard without a place gives nothing out"
        pieces = [(event.offset, event.offset, event) for event, _ in came]
        for first, last, event in sorted(
            [*pieces, *((*hole, None) for hole in holes)], key=lambda piece: piece[0]
        ):
            if last <= self._upto:
                continue
            if event is None:
                self._lose(last, "the shard's log doesn't have it")
                continue
            if not self._has(event):
                if self._names is None:  # among some names, a `prev` may be another name's
                    self._lose(first - 1, "the shard's log doesn't have it")
                self._upto = last
                self._emit(event, Step(self.shard, self._epoch, last))
            self._upto = last

    def _advance(self, upto: int) -> None:
        """Everything wanted up to this offset has been given out."""
        if upto <= self._upto and not self._beyond:
            return
        assert self._epoch is not None, "a shard without a place doesn't advance"
        self._upto = max(self._upto, upto)
        self._beyond = {name: offset for name, offset in self._beyond.items() if offset > self._upto}
        self._emit(None, Step(self.shard, self._epoch, self._upto))

    def _skip_to(self, oldest: int) -> None:
        """What is before this offset has expired."""
        self._lose(oldest - 1, "it has expired from the shard's log")

    def _lose(self, last: int, reason: str) -> None:
        """Give up what is missing up to this offset, and say so."""
        if last > self._upto:
            first = self._upto + 1
            self._upto = last
            self._gap(first, last, reason)

    def _gap(self, first: int, last: int | None, reason: str) -> None:
        epoch = NO_EPOCH if self._epoch is None else self._epoch
        at = first if last is None else last
        header = Header(self.shard, self._shards, epoch, at, None, self._session, None, self._wall())
        step = Step(self.shard, epoch, self._upto)
        self._emit(Event(GAP, header, gap(self.shard, first, last, reason)), step)

    def _hold(self, event: Event, prev: int | None) -> None:
        """Let an event wait. One for which there is no room is fetched when its turn comes."""
        if self._room.take(len(event.payload)):
            self._held.append((event, prev))
        elif event.epoch == self._epoch:
            self._goal = max(self._goal, event.offset)
