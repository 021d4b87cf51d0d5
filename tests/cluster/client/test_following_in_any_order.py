"""A subscription against a model of one shard: whatever is lost, late, killed or asked again, it adds up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gwcluster.client.event import Event
from gwcluster.client.following import Following
from gwcluster.client.host import Host
from gwcluster.client.place import Place, Step
from gwcluster.client.roster import Roster
from gwcluster.client.topics import Wanted
from gwcluster.wire.codec import pack, unpack_map
from gwcluster.wire.events import Header, encode_header, topic
from gwcluster.wire.notices import BEACON, GAP, beacon

SHARD = 3
HOSTS = Host("ipc:///a/events", "ipc:///a/requests"), Host("ipc:///b/events", "ipc:///b/requests")
NAMES = ("MESSAGE_CREATE", "TYPING_START", "GUILD_ROLE_UPDATE", "GWCLUSTER_SHARD_STATE")


class Shard:
    """What a shard has published, and what its log holds of it."""

    def __init__(self) -> None:
        self.epoch_number = 1
        self.frames: list[list[bytes]] = []
        self.lasts: dict[str, int] = {}
        self.oldest = 0
        self.written = 0
        self.all: dict[tuple[str, int], str] = {}

    @property
    def epoch(self) -> str:
        return f"{self.epoch_number:016x}"

    def publish(self, name: str, *, lags: bool) -> list[bytes]:
        offset = len(self.frames)
        header = Header(SHARD, 4, self.epoch, offset, self.lasts.get(name), 1, offset + 1, 10_000.0)
        payload = b'{"t":"%s","s":%d,"op":0,"d":{}}' % (name.encode(), offset + 1)
        self.frames.append([topic(name, SHARD), encode_header(header), payload])
        self.lasts[name] = offset
        self.all[self.epoch, offset] = name
        if not lags:
            self.written = len(self.frames)
        return self.frames[-1]

    def beacon(self) -> list[bytes]:
        last = max(len(self.frames) - 1, 0)
        header = Header(SHARD, 4, self.epoch, last, None, 1, None, 10_000.0)
        return [topic(BEACON, SHARD), encode_header(header), beacon(self.lasts, None)]

    def expire(self, count: int) -> None:
        self.oldest = min(self.oldest + count, self.written)

    def begin_anew(self) -> None:
        self.epoch_number += 1
        self.frames, self.lasts, self.oldest, self.written = [], {}, 0, 0

    def answer(self, body: bytes, limit: int) -> bytes:
        ask = unpack_map(body, max_bytes=1 << 20)
        said: dict[str, Any] = {"v": 1, "id": ask["id"]}
        if ask["op"] == "status":
            return pack({**said, "ok": True, "status": {"ids": [SHARD]}})
        if ask["epoch"] not in (None, self.epoch):
            error: dict[str, Any] = {"code": "wrong_epoch", "message": "", "epoch": self.epoch}
        elif ask["after"] is not None and ask["after"] + 1 < self.oldest:
            error = {"code": "expired", "message": "", "oldest": self.oldest}
        else:
            return pack({**said, "ok": True, **self._page(ask, limit)})
        return pack({**said, "ok": False, "error": error})

    def _page(self, ask: Mapping[str, Any], limit: int) -> dict[str, Any]:
        first = self.oldest if ask["after"] is None else ask["after"] + 1
        events: list[list[bytes]] = []
        at = first
        while at < self.written and len(events) < limit and ask["limit"] > 0:
            if ask["names"] is None or self.all[self.epoch, at] in ask["names"]:
                events.append(self.frames[at])
            at += 1
        last = at - 1 if at > 0 else None
        if at == first:
            last = ask["after"]
        newest = self.written - 1 if self.written else None
        return {
            "shard": SHARD,
            "epoch": self.epoch,
            "events": events,
            "holes": [],
            "more": newest is not None and (last is None or last < newest),
            "last": last,
            "oldest": self.oldest,
            "newest": newest,
        }


class Bot:
    """A subscriber with a cursor, and what it had."""

    def __init__(self, names: tuple[str, ...], shards: list[int] | None, hosts: tuple[Host, ...]) -> None:
        self.hosts = hosts
        self.wanted = Wanted(names, shards)
        self.places: dict[int, Place] = {}
        self.had: list[Event] = []
        self.again: list[Event] = []
        self.unfinished: set[tuple[str, int]] = set()
        self.now = 10_000.0
        self._at_work: Event | None = None
        self.start()

    def start(self) -> None:
        self.following = Following(
            self.wanted,
            dict(self.places),
            roster=Roster(self.hosts, several=False, now=self.now),
            finished=self._finished,
            wall=lambda: 10_000.0,
            now=self.now,
        )

    def restart(self) -> None:
        """It was killed, maybe in the middle of a handler, and starts again."""
        if self._at_work is not None:
            self.unfinished.add((self._at_work.epoch, self._at_work.offset))
        self._killed_at_work = self._at_work or self._killed_at_work  # killed again before it came
        self._at_work = None
        self.start()

    def take(self, count: int) -> None:
        for _ in range(count):
            event = self.following.next()
            self._at_work = event
            if event is None:
                return
            key = event.name, event.epoch, event.offset
            killed = self._killed_at_work
            if killed is not None and key == (killed.name, killed.epoch, killed.offset):
                self._killed_at_work = None
                self.again.append(event)
            else:
                self.had.append(event)

    _killed_at_work: Event | None = None

    def _finished(self, step: Step) -> None:
        before = self.places.get(step.shard, Place(step.epoch, -1))
        self.places[step.shard] = before.moved(step)


class World:
    """One shard, the hosts that run it in turn, and a bot.

    Attributes:
        on_the_way: what each host has published, and the bot hasn't read.
        unanswered: what each was asked.
    """

    def __init__(self, names: tuple[str, ...], shards: list[int] | None, page: int, hosts: int) -> None:
        self.shard = Shard()
        self.hosts = HOSTS[:hosts]
        self.bot = Bot(names, shards, self.hosts)
        self.page = page
        self.owner = 0
        self.last_words: list[list[bytes]] = []
        self.on_the_way: dict[Host, list[list[bytes]]] = {host: [] for host in self.hosts}
        self.unanswered: list[tuple[Host, bytes]] = []

    @property
    def from_owner(self) -> list[list[bytes]]:
        return self.on_the_way[self.hosts[self.owner]]

    def ask(self) -> None:
        self.unanswered += self.bot.following.questions(self.bot.now)

    def answer_all(self) -> None:
        self.ask()
        for host, body in self.unanswered:
            self.bot.following.answered(self.shard.answer(body, self.page), host, self.bot.now)
        self.unanswered = []

    def deliver(self, count: int, host: Host) -> None:
        for frames in self.on_the_way[host][:count]:
            self.bot.following.received(frames, host, self.bot.now)
        del self.on_the_way[host][:count]

    def move(self) -> None:
        """The other host runs the shard now; what this one has published last it may publish, too."""
        self.last_words = [*self.from_owner[-1:], self.shard.beacon()]
        self.owner = (self.owner + 1) % len(self.hosts)

    def do(self, what: str, how: int) -> None:
        pipe = self.on_the_way[self.hosts[how % len(self.hosts)]]
        match what:
            case "publish" | "publish late":
                lags = what == "publish late" or self.shard.written < len(self.shard.frames)
                self.from_owner.append(self.shard.publish(NAMES[how % len(NAMES)], lags=lags))
            case "drop one":
                if pipe:
                    pipe.pop(how % len(pipe))
            case "twice":
                if pipe:
                    pipe.append(pipe[how % len(pipe)])
            case "write":
                self.shard.written = len(self.shard.frames)
            case "beacon":
                self.from_owner.append(self.shard.beacon())
            case "deliver":
                self.deliver(how, self.hosts[self.owner])
            case "deliver others":
                self.deliver(how, self.hosts[self.owner - 1])
            case "move":
                self.move()
            case "last words of who was fenced":
                self.on_the_way[self.hosts[self.owner - 1]] += self.last_words
            case "the same from the new owner":
                self.from_owner.extend(self.last_words)
            case "lose a host":
                self.bot.following.lost(self.hosts[how % len(self.hosts)], self.bot.now)
                self.unanswered = [
                    (host, body)
                    for host, body in self.unanswered
                    if host != self.hosts[how % len(self.hosts)]
                ]
                pipe.clear()
            case "take":
                self.bot.take(how)
            case "answer":
                self.answer_all()
            case "ask":
                self.ask()
            case "lose answers":
                self.unanswered = []
            case "wait":
                self.bot.now += how / 4
            case "reconnect":
                pipe.clear()
                self.unanswered = []
                self.bot.following.reconnected(self.hosts[how % len(self.hosts)], self.bot.now)
            case "stall":
                del pipe[: how % (len(pipe) + 1)]
                self.bot.following.stalled(self.hosts[how % len(self.hosts)], self.bot.now)
            case "kill":
                self.lose_all()
                self.unanswered = []
                self.bot.restart()
            case "expire":
                self.shard.expire(how)
            case "begin anew":
                self.lose_all()
                self.last_words = []
                self.shard.begin_anew()

    def lose_all(self) -> None:
        for pipe in self.on_the_way.values():
            pipe.clear()

    def calm(self) -> None:
        """Nothing more goes wrong: beacons come, questions are answered, and the bot takes all."""
        self.shard.written = len(self.shard.frames)
        for _ in range(60):
            self.from_owner.append(self.shard.beacon())
            for host, pipe in self.on_the_way.items():
                self.deliver(len(pipe), host)
            self.answer_all()
            self.bot.take(1000)
            self.bot.now += 2.0
        self.bot.take(1)


USUAL = ("publish", "deliver", "answer", "take")
ALWAYS = (*USUAL * 3, "drop one", "drop one", "twice", "beacon", "ask", "lose answers", "wait")
HARMLESS = (*ALWAYS, "publish late", "write", "reconnect", "stall", "kill")
HARMFUL = (*HARMLESS, "expire", "begin anew")
MOVES = (
    *(*HARMLESS, "deliver others", "deliver others", "move", "move", "lose a host"),
    *("last words of who was fenced", "the same from the new owner"),
)


def orders(kinds: tuple[str, ...]) -> st.SearchStrategy[list[tuple[str, int]]]:
    return st.lists(st.tuples(st.sampled_from(kinds), st.integers(0, 12)), max_size=80)


def played(steps: list[tuple[str, int]], names: tuple[str, ...], page: int, hosts: int = 1) -> World:
    world = World(names, [SHARD], page, hosts)
    # Its place is known before the first event: from there on everything counts.
    world.answer_all()
    world.bot.take(1)
    for what, how in steps:
        world.do(what, how)
    world.calm()
    return world


def check_once_and_in_order(world: World) -> None:
    had = [event for event in world.bot.had if event.name != GAP]
    keys = [(event.epoch, event.offset) for event in had]
    assert len(keys) == len(set(keys)), "nothing comes twice"
    assert all(world.shard.all[key] == event.name for key, event in zip(keys, had, strict=True))
    for name in NAMES:
        offsets = [(event.epoch, event.offset) for event in had if event.name == name]
        assert offsets == sorted(offsets), f"{name} is in order"
    if world.bot.wanted.names is None:
        assert keys == sorted(keys), "all names are in order"


def wanted_of(world: World) -> set[tuple[str, int]]:
    names = world.bot.wanted.names
    return {key for key, name in world.shard.all.items() if names is None or name in names}


@pytest.mark.parametrize("names", [(), ("TYPING_START",), ("TYPING_START", "GUILD_ROLE_UPDATE")])
@settings(max_examples=400, deadline=None)
@given(steps=orders(HARMLESS), page=st.integers(1, 5))
@example(steps=[("publish", 0), ("deliver", 1), ("take", 1), ("kill", 0), ("kill", 0)], page=1)
def test_everything_comes_once_and_in_order_whatever_is_lost_on_the_way(
    names: tuple[str, ...], steps: list[tuple[str, int]], page: int
) -> None:
    world = played(steps, names, page)
    check_once_and_in_order(world)
    assert [event for event in world.bot.had if event.name == GAP] == []
    assert {(event.epoch, event.offset) for event in world.bot.had} == wanted_of(world)


@pytest.mark.parametrize("names", [(), ("TYPING_START",), ("TYPING_START", "GUILD_ROLE_UPDATE")])
@settings(max_examples=400, deadline=None)
@given(steps=orders(MOVES), page=st.integers(1, 5))
def test_everything_comes_once_and_in_order_wherever_the_shard_moves(
    names: tuple[str, ...], steps: list[tuple[str, int]], page: int
) -> None:
    world = played(steps, names, page, hosts=2)
    check_once_and_in_order(world)
    assert [event for event in world.bot.had if event.name == GAP] == []
    assert {(event.epoch, event.offset) for event in world.bot.had} == wanted_of(world)


@pytest.mark.parametrize("names", [(), ("TYPING_START",), ("TYPING_START", "GUILD_ROLE_UPDATE")])
@settings(max_examples=400, deadline=None)
@given(steps=orders(HARMFUL), page=st.integers(1, 5))
@example(steps=[("publish", 1), ("publish", 1), ("deliver", 1), ("begin anew", 0)], page=1)
@example(steps=[("publish", 0), ("deliver", 1), ("take", 1), ("kill", 0), ("expire", 1)], page=1)
@example(steps=[("publish", 0)] * 3 + [("deliver", 2), ("begin anew", 0)], page=1)
def test_what_can_not_come_any_more_is_told_as_a_gap(
    names: tuple[str, ...], steps: list[tuple[str, int]], page: int
) -> None:
    world = played(steps, names, page)
    check_once_and_in_order(world)
    had = {(event.epoch, event.offset) for event in world.bot.had if event.name != GAP}
    gaps = [
        (event.epoch, event.data["first"], event.data["last"]) for event in world.bot.had if event.name == GAP
    ]

    def is_told(key: tuple[str, int]) -> bool:
        return any(
            key[0] == epoch and first <= key[1] and (last is None or key[1] <= last)
            for epoch, first, last in gaps
        )

    reached = {place.epoch for place in world.bot.places.values()} | {event.epoch for event in world.bot.had}
    missing = {key for key in wanted_of(world) - had if key[0] in reached}
    assert {key for key in missing if not is_told(key)} == set()
    if names == ():
        done = had - world.bot.unfinished
        assert {key for key in done if is_told(key)} == set(), "no gap covers what came"
