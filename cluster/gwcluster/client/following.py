"""One subscription (pure): frames and answers go in, questions and events come out.

The shells around it (`aio`, `blocking`) own the sockets, wait, and hand over what they read.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from gwcluster.client.event import Event, read_frames
from gwcluster.client.follower import Follower
from gwcluster.client.host import Host, hosts_in
from gwcluster.client.keys import KeyRefused
from gwcluster.client.place import Place, Step
from gwcluster.client.questions import ANSWER_S, Questions, Sending
from gwcluster.client.room import Room
from gwcluster.client.roster import Roster
from gwcluster.client.silence import Silence
from gwcluster.client.topics import Wanted
from gwcluster.errors import GwclusterError, WireError, WireVersionError
from gwcluster.wire.events import NO_EPOCH
from gwcluster.wire.notices import BEACON, CLUSTER_STATE
from gwcluster.wire.refusals import Refusal
from gwcluster.wire.replay import Page, Refused, decode_answer, encode_ask, encode_request, page_of

READY_EVENTS: Final = 5_000
READY_BYTES: Final = 16 << 20
"""What may wait for the subscriber. With that much nothing more is read: the publisher drops for us alone,
and what it drops is fetched once there is room again."""

HELD_BYTES: Final = 16 << 20
"""What may wait for what is missing before it, of all shards; more is fetched again."""

PAGE_EVENTS: Final = 500
PAGE_BYTES: Final = 1 << 20
MAX_ASKED: Final = 4
"""Questions that are unanswered at a time, of all shards."""

SHARDS_S: Final = 30.0
"""Between two questions which shards there are; new ones are usually heard before."""

_log = logging.getLogger("gwcluster")


class FollowError(GwclusterError):
    """The cluster refuses what this subscription asks for, and would again; the message says why."""


class Following:
    """Everything that one subscription knows, and decides.

    Args:
        places: where to go on, by shard; shards without one begin at now.
        roster: the cluster's hosts.
        finished: told how far the subscriber has come, each time it asks for the next event.
        wall: Unix seconds.
        now: monotonic seconds.
    """

    def __init__(
        self,
        wanted: Wanted,
        places: Mapping[int, Place],
        *,
        roster: Roster,
        finished: Callable[[Step], None],
        wall: Callable[[], float],
        now: float,
    ) -> None:
        self.wanted = wanted
        self._roster = roster
        self._finished = finished
        self._wall = wall
        self._room = Room(HELD_BYTES)
        self._ready: deque[tuple[Event | None, Step | None]] = deque()
        self._ready_bytes = 0
        self._at_work: Step | None = None
        self._failed: GwclusterError | None = None
        self._followers: dict[int, Follower] = {}
        self._questions: Questions[Follower | None] = Questions(roster)
        self._shards_at: float | None = now
        self._several = False
        self._tuned_in: set[Host] = set()
        self._via: dict[int, Host] = {}
        self._silence = Silence()
        self._last_states: dict[Host, bytes] = {}
        self._bad = 0
        for shard in sorted(wanted.shards or places):
            self._follow(shard, places.get(shard), now)

    # What the sockets bring

    def received(self, frames: list[bytes], host: Host, now: float) -> None:
        """Take a message of this host's publisher."""
        try:
            event, prev = read_frames(frames)
            told = _told_by(event) if event.name == BEACON else None
        except WireVersionError as error:
            self._failed = error
            return
        except WireError as error:
            self._complain(error)
            return
        if host not in self._tuned_in:
            self._tuned_in.add(host)
            # Now our subscriptions are known to have arrived. What was lost before shows only in the log.
            for shard, each in self._followers.items():
                if self._via.get(shard, host) == host:
                    each.doubt(now)
        if event.name == CLUSTER_STATE:
            if event.payload != self._last_states.get(host):
                self._last_states[host] = event.payload
                self._emit(event, None)
        elif self.wanted.has_shard(event.shard):
            follower = self._followers.get(event.shard) or self._follow(event.shard, None, now)
            self._heard(event.shard, host, now)
            if told is not None:
                follower.beacon(event.epoch, event.offset, *told, now)
                if self.wanted.beacons:
                    self._emit(event, None)
            elif self.wanted.has_name(event.name):
                follower.event(event, prev, now)

    def answered(self, body: bytes, host: Host, now: float) -> None:
        """Take this host's answer to one of the questions."""
        try:
            number, answer = decode_answer(body)
            self._roster.answered(host, now)
            asked = self._questions.whose(number)
            if asked is None:
                return  # answered before, when it had been asked twice
            (follower,) = asked
            if follower is None:
                self._status(answer, now)
            elif isinstance(answer, Refused):
                self._refused(follower, answer, host, now)
            else:
                self._turn(follower, page_of(answer), now)
            self._questions.done(number)  # a broken answer is none: its question is repeated
        except WireVersionError as error:
            self._failed = error
        except WireError as error:
            self._complain(error)

    def reconnected(self, host: Host, now: float) -> None:
        """The line to this publisher is a new one: messages, questions and answers may be lost."""
        self._tuned_in.discard(host)
        self._questions.joined(host, now)

    def lost(self, host: Host, now: float) -> None:
        """The line to this host is gone, or it isn't of the cluster any more."""
        self._questions.lost(host, now)
        if self._several:
            self._shards_at = now
        if host not in self._roster.hosts:
            self._last_states.pop(host, None)

    def failed(self, error: GwclusterError) -> None:
        """There is no way to the cluster any more, and there will be none."""
        self._failed = error

    def stalled(self, host: Host, now: float) -> None:
        """Messages were not read for so long that this publisher may have dropped some."""
        for shard, each in self._followers.items():
            if self._via.get(shard, host) == host:
                each.doubt(now)

    # What is to be done

    def questions(self, now: float) -> Iterator[Sending]:
        """Iterate over what is to be sent now, and to whom."""
        if self._roster.several and not self._several:
            self._look_out(now)
        for shard in self._silence.over(now):
            self._followers[shard].doubt(now, anyway=True)
            self._shards_at = now
        yield from self._questions.repeats(now)
        if self._shards_at is not None and self._shards_at <= now:
            self._shards_at = now + SHARDS_S
            number = self._questions.number()
            yield from self._questions.ask(number, None, None, encode_request("status", number), now)
        if self.full or len(self._questions) >= MAX_ASKED:
            return
        asking = [(each.ask_at, shard) for shard, each in self._followers.items() if each.ask_at is not None]
        for ask_at, shard in sorted(asking)[: MAX_ASKED - len(self._questions)]:  # who has waited longest
            if ask_at <= now:
                follower = self._followers[shard]
                number = self._questions.number()
                body = encode_ask(follower.ask(), number, limit=PAGE_EVENTS, max_bytes=PAGE_BYTES)
                yield from self._questions.ask(number, follower, shard, body, now)

    @property
    def due(self) -> float | None:
        """When to look for `questions` again, monotonic seconds."""
        moments = [self._questions.due, self._shards_at, self._silence.due]
        if not self.full and len(self._questions) < MAX_ASKED:
            moments += [each.ask_at for each in self._followers.values()]
        return min((moment for moment in moments if moment is not None), default=None)

    @property
    def full(self) -> bool:
        """Whether nothing more should be read until the subscriber has taken some."""
        return len(self._ready) >= READY_EVENTS or self._ready_bytes >= READY_BYTES

    @property
    def waiting(self) -> bool:
        """Whether `next` has something to do."""
        return bool(self._ready) or self._failed is not None

    def next(self) -> Event | None:
        """Say that the event handed out before is done, and return the next one, None if there is none yet.

        Raises:
            FollowError: the cluster refuses the subscription; correct it.
            KeyRefused: the cluster doesn't let this program in.
            WireVersionError: the cluster is newer than this side; upgrade it.
        """
        if self._at_work is not None:
            step, self._at_work = self._at_work, None
            self._finished(step)
        while self._ready:
            event, following = self._ready.popleft()
            if event is not None:
                self._ready_bytes -= len(event.payload)
                self._at_work = following
                return event
            if following is not None:
                self._finished(following)
        if self._failed is not None:
            raise self._failed
        return None

    # Inside

    def _follow(self, shard: int, place: Place | None, now: float) -> Follower:
        follower = self._followers[shard] = Follower(
            shard,
            self.wanted.names,
            None if place is None or place.epoch == NO_EPOCH else place,
            room=self._room,
            emit=self._emit,
            wall=self._wall,
            now=now,
        )
        if self._several:
            self._silence.heard(shard, now)
        return follower

    def _look_out(self, now: float) -> None:
        """Shards move between hosts: listen for each, and ask for hosts as long as this lasts."""
        self._several = True
        self._shards_at = now if self._shards_at is None else self._shards_at
        for shard in self._followers:
            self._silence.heard(shard, now)

    def _heard(self, shard: int, host: Host, now: float) -> None:
        """Note who speaks for a shard."""
        if self._several:
            self._silence.heard(shard, now)
        if self._via.get(shard) != host:
            self._via[shard] = host  # what the host before said last, the beacons of this one tell, too
            self._roster.speaks(shard, host)

    def _emit(self, event: Event | None, step: Step | None) -> None:
        self._ready.append((event, step))
        if event is not None:
            self._ready_bytes += len(event.payload)

    def _turn(self, follower: Follower, page: Page, now: float) -> None:
        came = [read_frames(frames) for frames in page.events]
        follower.page(
            page.epoch, came, page.holes, last=page.last, oldest=page.oldest, newest=page.newest, now=now
        )

    def _refused(self, follower: Follower, refused: Refused, host: Host, now: float) -> None:
        if refused.code == Refusal.FORBIDDEN:
            self._failed = KeyRefused(refused.message)
        if refused.code == "bad_request":
            self._failed = FollowError(
                f"the cluster refuses to replay shard {follower.shard}: {refused.message}"
            )
        if refused.code in {"not_ready", "rate_limited"} and not refused.no_log:
            self._roster.unwell(host, now)
            if any(self._roster.is_well(each, now) for each in self._roster.hosts):
                refused = replace(refused, retry_after_s=0.0)  # another may be able to
        follower.refused(refused, now)

    def _status(self, answer: dict[str, Any] | Refused, now: float) -> None:
        if isinstance(answer, Refused) and answer.code == Refusal.FORBIDDEN:
            self._failed = KeyRefused(answer.message)
            return
        if isinstance(answer, Refused):
            self._complain(WireError(f"no status: {answer.code}, {answer.message}"))
            return
        status: Any = answer.get("status")
        ids = status.get("ids") if isinstance(status, dict) else None
        if not isinstance(ids, list) or not all(isinstance(shard, int) and shard >= 0 for shard in ids):
            raise WireError("a status without the ids of the shards")
        for error in self._roster.status(status, now):
            self._complain(error)
        if not ids:  # a cluster that has just begun doesn't know yet
            self._shards_at = now + ANSWER_S
        elif self.wanted.shards is not None and not self._roster.several:
            self._shards_at = None
        for shard in sorted({*ids, *(shard for each in hosts_in(status)[0] for shard in each.shards)}):
            if shard not in self._followers and self.wanted.has_shard(shard):
                self._follow(shard, None, now)

    def _complain(self, error: WireError) -> None:
        self._bad += 1
        if self._bad & (self._bad - 1) == 0:  # the 1st, 2nd, 4th, 8th …
            _log.warning("a message of the cluster was dropped (%d by now): %s", self._bad, error)


def _told_by(beacon: Event) -> tuple[dict[str, int], int | None]:
    data = beacon.data if isinstance(beacon.data, dict) else {}
    names, others = data.get("names"), data.get("others")
    if not isinstance(names, dict) or not all(isinstance(offset, int) for offset in names.values()):
        raise WireError("a beacon without the last offsets of names")
    return names, others if isinstance(others, int) else None
