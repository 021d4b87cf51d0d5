"""Whatever is offered, and whatever happens when: no minute holds too much, and each is answered once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gwcluster.wire.control import Command, CommandDone
from gwworker.all_members import Objection
from gwworker.commands import Commands, Write
from gwworker.ratelimit import SendBudget

START = 10_000.0
INTERVAL_S = 41.25

VOICE = {"channel_id": None, "self_mute": False, "self_deaf": False}
KINDS: dict[str, tuple[object, Any]] = {
    "presence": (3, {"status": "idle"}),
    "voice": (4, VOICE),
    "everybody": (8, {"query": "", "limit": 0}),
    "sounds": (31, {"guild_ids": ["1"]}),
    "wrong": (4, {}),
    "forbidden": (2, {}),
}
Step = tuple[str, Any]
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("offer"),
            st.tuples(
                st.sampled_from(sorted(KINDS)),
                st.sampled_from([1, 2, 40, 130]),
                st.sampled_from([None, 0.5, 45.0, 300.0]),
            ),
        ),
        st.tuples(st.just("wait"), st.sampled_from([0.0, 0.5, 4.0, 29.0, 60.0, 61.0])),
        st.tuples(st.just("live"), st.none()),
        st.tuples(st.just("end"), st.sampled_from([None, 4001, 4008])),
        st.tuples(st.just("op 1"), st.integers(1, 5)),
        st.tuples(st.just("clog"), st.booleans()),
        st.tuples(st.just("objection"), st.floats(0.0, 60.0)),
    ),
    max_size=40,
)


class Shard:
    """One shard whose connection comes and goes, on a fake clock, with beats and answers to op 1."""

    def __init__(self) -> None:
        self.now = START
        self.budget = SendBudget()
        self.commands = Commands(self.budget, intents=2)
        self.live = False
        self.clogged = False
        self.beat_at = START
        self.sent: list[float] = []
        self.connections: list[list[float]] = []
        self.offered = 0
        self.answers: Counter[int] = Counter()
        self.claimed: set[int] = set()
        self.written: list[int] = []

    def step(self, what: str, how: Any) -> None:
        match what:
            case "offer":
                kind, times, ttl_s = how
                for _ in range(times):
                    self._offer(kind, ttl_s)
            case "wait":
                self._wait(how)
            case "live" if not self.live:
                self._connect()
            case "end":
                self.live = False
                self._answered(self.commands.shut(self.now, how))
            case "op 1" if self.live:
                for _ in range(how):
                    if self.budget.may_answer(self.now):
                        self._note()
            case "clog":
                self.clogged = how
                if not how:
                    self._answered(self.commands.taken(self.now))
            case "objection":
                self._answered(self.commands.rate_limited(Objection("1", None, how), self.now))
        self._settle()

    def _offer(self, kind: str, ttl_s: float | None) -> None:
        op, d = KINDS[kind]
        self.offered += 1
        data = {"guild_id": str(self.offered % 7 + 1), **d} if kind in {"voice", "everybody"} else d
        self._answered(self.commands.offer(Command(self.offered, op, data, ttl_s), self.now))
        self._settle()

    def _connect(self) -> None:
        self.live = True
        self.sent = []
        self.connections.append(self.sent)
        self.budget.start()
        self.budget.adopt(INTERVAL_S)
        self._note()  # IDENTIFY or RESUME
        self.beat_at = self.now
        self.commands.opened()

    def _wait(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            due = self.commands.due(self.now)
            moments = [self.beat_at] if self.live else []
            moments += [] if due is None else [max(due, self.now)]
            if not moments or min(moments) > end:
                break
            self.now = min(moments)
            if self.live and self.now >= self.beat_at:
                self._note()
                self.beat_at += INTERVAL_S
            self._settle()
            again = self.commands.due(self.now)
            assert again is None or again > self.now, "it would spin"
        self.now = end

    def _note(self) -> None:
        self.budget.note(self.now)
        self.sent.append(self.now)

    def _settle(self) -> None:
        while effects := self.commands.step(self.now):
            for effect in effects:
                if isinstance(effect, Write):
                    assert self.live
                    assert len(effect.payload) <= 4096
                    assert json.loads(effect.payload)["op"] in {3, 4, 8, 31, 43}
                    self.sent.append(self.now)
                    self.written.append(effect.id)
                    if not self.clogged:
                        self._answered(self.commands.taken(self.now))
                else:
                    self._answered([effect])

    def _answered(self, answers: Sequence[CommandDone]) -> None:
        for answer in answers:
            self.answers[answer.id] += 1
            if answer.written_at is not None:
                assert answer.code is None
                self.claimed.add(answer.id)


@settings(max_examples=150, deadline=None)
@given(STEPS)
@example([("live", None), ("offer", ("sounds", 130, 300.0)), ("op 1", 5), ("wait", 61.0), ("wait", 60.0)])
@example([("offer", ("everybody", 40, 45.0)), ("live", None), ("objection", 5.0), ("end", 4001)])
@example([("live", None), ("clog", True), ("offer", ("voice", 2, None)), ("end", 4008), ("live", None)])
@example([("offer", ("everybody", 2, 0.5)), ("wait", 0.5), ("offer", ("everybody", 2, 0.5))])
def test_each_is_answered_once_and_no_60_seconds_hold_more_than_120(steps: list[Step]) -> None:
    shard = Shard()
    for what, how in steps:
        shard.step(what, how)
    shard.step("end", None)
    shard.step("wait", 301.0)
    assert shard.answers == Counter(range(1, shard.offered + 1))
    assert len(shard.written) == len(set(shard.written)), "sent twice"
    assert shard.claimed <= set(shard.written), "said to be written, and wasn't"
    assert shard.commands.due(shard.now) is None
    for sent in shard.connections:
        for first, after in zip(sent, sent[120:], strict=False):
            assert after - first > 60.0
