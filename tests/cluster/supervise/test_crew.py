"""A crew with real deciders; nursery, workers, herald and time are played here, so nothing sleeps."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from gwcluster.board import Board, Counts
from gwcluster.herald import Herald
from gwcluster.identify.gate import Budget, Gate
from gwcluster.identify.ledger import Ledger
from gwcluster.identify.permits import Permits
from gwcluster.supervise.commands import Commands
from gwcluster.supervise.crew import Crew
from gwcluster.supervise.nursery_link import Listener, NurseryLink
from gwcluster.supervise.supervisor import Supervisor
from gwcluster.wire.control import (
    AskPermit,
    Command,
    CommandDone,
    Conditions,
    HostFailed,
    Job,
    Message,
    Permit,
    PermitUsed,
    Pulse,
    Refused,
    SentAway,
    StateChanged,
)
from gwsimulator import virtual_time
from support.jobs import job

SIGTERM, SIGKILL = 15, 9
PULSE = Pulse(0, 0, 0, 0, 0, None, None, None, 0, 0, 1, 0, None)
DONE, FAILED, REFUSED, SHARD_REFUSED = 0, 1, 64, 65


class Clock:
    """Virtual seconds of the loop in which the story is played, also when that is over."""

    def __init__(self) -> None:
        self._loop: virtual_time.VirtualLoop | None = None

    @property
    def now(self) -> float:
        return virtual_time.START if self._loop is None else self._loop.time()

    def __call__(self) -> float:
        return self.now

    def loop(self) -> virtual_time.VirtualLoop:
        self._loop = virtual_time.VirtualLoop()
        return self._loop


@dataclass
class FakeLink:
    told: list[Message] = field(default_factory=list)
    hung_up: bool = False
    then: Callable[[], None] | None = None

    def tell(self, message: Message) -> None:
        self.told.append(message)

    def when_closed(self, then: Callable[[], None]) -> None:
        self.then = then

    def close(self) -> None:
        self.hung_up = True

    @property
    def has_permit(self) -> bool:
        return any(isinstance(message, Permit) for message in self.told)


class FakeNursery:
    def __init__(self, rig: Rig, listener: Listener) -> None:
        self.rig = rig
        self.listener = listener
        self.stopped = False
        self.answered = rig.answers
        self.shards: list[int] = []

    async def start(self) -> None:
        if self.rig.no_nursery_before > self.rig.clock.now:
            raise OSError("too many processes")

    def fork(self, shard: int) -> FakeLink:
        rig = self.rig
        rig.forks.append((rig.clock.now, shard))
        self.shards.append(shard)
        rig.links[shard] = FakeLink()
        asyncio.get_running_loop().call_soon(self.listener.forked, shard, 100 + shard)
        return rig.links[shard]

    def signal(self, pid: int, signum: int) -> None:
        if signum == 0:
            return  # it is only to answer
        shard = pid - 100
        self.rig.signals.append((self.rig.clock.now, shard, signum))
        if signum == SIGKILL:
            self.rig.dies(shard, -SIGKILL)
        elif shard not in self.rig.deaf:
            self.rig.says(shard, "stopped")
            self.rig.dies(shard, DONE)

    async def stop(self) -> None:
        self.stopped = True


@dataclass
class FakeHerald:
    counts: list[Counts] = field(default_factory=list)
    failures: list[tuple[int, str]] = field(default_factory=list)

    def cluster(self, counts: Counts) -> None:
        self.counts.append(counts)

    def failed(self, shard: int, reason: str) -> None:
        self.failures.append((shard, reason))


class FakeLedger:
    def __init__(self) -> None:
        self.outcomes: list[str] = []
        self.rows = 0

    def granted(self, *_: object) -> int:
        self.rows += 1
        return self.rows

    def sent(self, *_: object) -> None:
        """Nobody asks for it here."""

    def unused(self, *_: object) -> None:
        """Nobody asks for it here."""

    def outcome(self, _: int, what: str) -> None:
        self.outcomes.append(what)


class Rig:
    """A crew at work, and everything around it."""

    def __init__(self, *shards: int, restarts: int = 5, away: Collection[int] = ()) -> None:
        self.clock = Clock()
        self.forks: list[tuple[float, int]] = []
        self.links: dict[int, FakeLink] = {}
        self.signals: list[tuple[float, int, int]] = []
        self.nurseries: list[FakeNursery] = []
        self.deaf: set[int] = set()
        self.stuck: set[int] = set()
        self.publishes = True
        self.answers = True
        self.no_nursery_before = 0.0
        self.herald = FakeHerald()
        self.ledger = FakeLedger()
        self.looks = 0
        supervisor = Supervisor(
            shards, restarts=restarts, within_s=60.0, now=10_000.0, jitter=lambda: 1.0, away=away
        )
        self.crew = Crew(
            board=Board(shards, 1_700_000_000.0, clock=self.clock, away=away),
            supervisor=supervisor,
            herald=cast(Herald, self.herald),
            job=self._job,
            nursery=self._nursery,
            clock=self._look,
            wall=lambda: 1_700_000_000.0 + self.clock.now,
        )
        gate = Gate(max_concurrency=1, budget=Budget(1000, 1000, 96_400.0, 100), jitter=lambda: 0.0)
        self.crew.permits = Permits(
            gate,
            cast(Ledger, self.ledger),
            shards=len(shards),
            tell=self.crew.tell,
            clock=self.clock,
            wall=lambda: 1_700_000_000.0,
        )

    def _look(self) -> float:
        self.looks += 1
        return self.clock.now

    def _job(self, shard: int) -> Job:
        return job(shard=shard)

    def _nursery(self, listener: Listener) -> NurseryLink:
        self.nurseries.append(FakeNursery(self, listener))
        return cast(NurseryLink, self.nurseries[-1])

    def play(self, story: Callable[[asyncio.Task[Any]], Awaitable[None]]) -> int:
        """Run the crew and, beside it, the story; return the status of the first."""

        async def both() -> int:
            running = asyncio.create_task(self.crew.run())
            pulsing = asyncio.create_task(self._pulse())
            await asyncio.sleep(0.001)
            await story(running)
            try:
                return await asyncio.wait_for(running, 1000.0)
            finally:
                pulsing.cancel()

        with asyncio.Runner(loop_factory=self.clock.loop) as runner:
            return runner.run(both())

    async def _pulse(self) -> None:
        """Let every worker but the stuck ones show that it works."""
        while True:
            await asyncio.sleep(10.0)
            for shard in set(self.crew.supervisor.children) - self.stuck:
                self.crew.said(shard, PULSE)

    def says(self, shard: int, state: str) -> None:
        self.crew.said(shard, StateChanged(state, f"it is {state}", None))
        if state == "stopped" and self.publishes:
            loop = asyncio.get_running_loop()
            loop.call_later(0.1 + shard / 10, self.crew.farewells.published, shard, state)

    def live(self, *shards: int) -> None:
        for shard in shards:
            self.says(shard, "live")

    def asks(self, *shards: int) -> None:
        for shard in shards:
            self.says(shard, "queued")
            self.crew.said(shard, AskPermit())

    def exits(self, shard: int, status: int) -> FakeLink:
        """The nursery tells of a death; what the worker said last is still on the way."""
        link = self.links[shard]
        self.crew.exited(shard, 100 + shard, status)
        return link

    def dies(self, shard: int, status: int) -> None:
        link = self.exits(shard, status)
        assert link.then is not None
        link.then()

    def states(self) -> list[str]:
        return [view.state.value for view in self.crew.board.views.values()]

    def drain(self) -> None:
        self.crew.drain()


def test_every_shard_is_forked_once_and_is_given_its_job_first() -> None:
    rig = Rig(0, 1, 2)

    async def story(_: object) -> None:
        assert rig.forks == [(10_000.0, 0), (10_000.0, 1), (10_000.0, 2)]
        assert [link.told[0] for link in rig.links.values()] == [job(shard=shard) for shard in (0, 1, 2)]
        assert rig.crew.board.views[2].pid == 102
        assert len(rig.nurseries) == 1
        rig.drain()

    assert rig.play(story) == 0


def test_a_dead_worker_is_started_again_at_once_after_it_was_live_and_later_if_it_never_was() -> None:
    rig = Rig(0, 1)

    async def story(_: object) -> None:
        rig.live(0)
        at = rig.clock.now
        rig.dies(0, -SIGKILL)
        rig.dies(1, FAILED)
        await asyncio.sleep(2.0)
        assert rig.forks[2:] == [(at, 0), (pytest.approx(at + 1.0), 1)]
        assert [view.restarts for view in rig.crew.board.views.values()] == [1, 1]
        rig.drain()

    assert rig.play(story) == 0


def test_what_a_worker_said_last_is_heard_before_it_is_buried() -> None:
    rig = Rig(0, 1)

    async def story(_: object) -> None:
        rig.live(0, 1)
        link = rig.exits(0, SHARD_REFUSED)
        await asyncio.sleep(5.0)
        assert rig.herald.failures == []
        assert rig.crew.supervisor.children == {0: 100, 1: 101}
        rig.crew.said(0, Refused(False, 4010, "4010 invalid shard"))
        assert link.then is not None
        link.then()
        assert rig.herald.failures == [(0, "4010 invalid shard")]
        rig.drain()

    assert rig.play(story) == 0


def test_a_shard_refused_alone_is_failed_and_told_once_and_the_others_go_on() -> None:
    rig = Rig(0, 1)

    async def story(running: asyncio.Task[Any]) -> None:
        rig.live(0)
        rig.crew.said(1, Refused(False, 4010, "4010 invalid shard"))
        rig.dies(1, SHARD_REFUSED)
        await asyncio.sleep(100.0)
        assert rig.states() == ["live", "failed"]
        assert rig.herald.failures == [(1, "4010 invalid shard")]
        assert rig.herald.counts[-1] == Counts(ready=1, total=2, degraded=0, failed=1)
        rig.dies(0, -SIGKILL)
        await asyncio.sleep(0.001)
        assert [shard for _, shard in rig.forks] == [0, 1, 0]
        assert not running.done()
        rig.drain()

    assert rig.play(story) == 0


def test_a_cluster_wide_refusal_stops_who_waits_keeps_who_lives_and_lets_nobody_identify() -> None:
    rig = Rig(0, 1, 2, 3)
    rig.deaf = {2}  # so that a key is open again while it still waits

    async def story(running: asyncio.Task[Any]) -> None:
        rig.live(0)
        rig.asks(1, 2)
        await asyncio.sleep(0.001)
        assert rig.links[1].has_permit
        rig.crew.said(1, PermitUsed(0.0))
        rig.says(1, "identifying")
        rig.crew.said(1, Refused(True, 4004, "4004 authentication failed"))
        rig.dies(1, REFUSED)
        await asyncio.sleep(60.0)
        assert [(shard, signum) for _, shard, signum in rig.signals] == [(2, SIGTERM), (2, SIGKILL)]
        rig.asks(3)  # it was still connecting
        await asyncio.sleep(60.0)
        assert [shard for _, shard, _ in rig.signals] == [2, 2, 3]
        assert [link.has_permit for link in rig.links.values()] == [False, True, False, False]
        assert rig.states() == ["live", "failed", "failed", "failed"]
        assert not running.done()
        rig.dies(0, FAILED)

    assert rig.play(story) == 64
    assert [shard for _, shard in rig.forks] == [0, 1, 2, 3]


def test_a_refusal_that_the_worker_could_not_explain_is_64_too() -> None:
    rig = Rig(0)

    async def story(_: object) -> None:
        rig.dies(0, REFUSED)

    assert rig.play(story) == 64


def test_a_refusal_that_the_coordinator_hears_stops_who_waits_and_is_64() -> None:
    rig = Rig(0)

    async def story(_: object) -> None:
        rig.asks(0)
        rig.crew.refuse("401 from /gateway/bot")
        await asyncio.sleep(1.0)
        assert [signum for _, _, signum in rig.signals] == [SIGTERM]

    assert rig.play(story) == 64


def test_after_a_refusal_the_crew_sleeps_although_a_permit_would_be_due() -> None:
    rig = Rig(0, 1)
    rig.deaf = {1}

    async def story(_: object) -> None:
        rig.asks(1)
        rig.crew.refuse("401 from /gateway/bot")
        before = rig.looks
        await asyncio.sleep(5.0)
        assert rig.looks - before < 20
        rig.dies(0, FAILED)
        rig.dies(1, FAILED)

    assert rig.play(story) == 64


def test_when_all_shards_have_failed_the_status_is_1() -> None:
    rig = Rig(0, 1, restarts=0)

    async def story(_: object) -> None:
        rig.crew.said(0, Refused(False, 4010, "4010 invalid shard"))
        rig.dies(0, SHARD_REFUSED)
        rig.dies(1, FAILED)

    assert rig.play(story) == 1
    assert rig.states() == ["failed", "failed"]
    assert rig.nurseries[0].stopped


def test_after_the_death_of_the_nursery_all_start_again_on_a_new_one() -> None:
    rig = Rig(0, 1)

    async def story(_: object) -> None:
        rig.live(0)
        old = [rig.links[0], rig.links[1]]
        await asyncio.sleep(1.0)
        rig.crew.nursery_ended(-SIGKILL)
        assert rig.states() == ["starting", "starting"]
        assert [link.hung_up for link in old] == [True, True]
        await asyncio.sleep(1.0)
        assert [shard for _, shard in rig.forks] == [0, 1, 0, 1]
        assert len(rig.nurseries) == 2
        rig.drain()

    assert rig.play(story) == 0


def test_a_nursery_that_does_not_start_is_tried_again_later_and_no_shard_gets_two_workers() -> None:
    rig = Rig(0, 1, 2, 3)
    rig.no_nursery_before = 10_000.5

    async def story(_: object) -> None:
        await asyncio.sleep(60.0)
        assert [shard for _, shard in rig.forks] == [0, 1, 2, 3]
        assert len(rig.nurseries) <= 3
        rig.drain()

    assert rig.play(story) == 0


def test_when_no_nursery_lasts_every_shard_is_failed_even_one_that_was_waiting_for_its_start() -> None:
    rig = Rig(0, 1, restarts=1)

    async def story(_: object) -> None:
        rig.crew.nursery_ended(-SIGKILL)
        await asyncio.sleep(0.001)
        rig.dies(1, FAILED)  # waits a second
        rig.crew.nursery_ended(-SIGKILL)

    assert rig.play(story) == 1
    assert rig.states() == ["failed", "failed"]
    assert [shard for shard, _ in rig.herald.failures] == [0, 1]


def test_a_drain_ends_when_the_last_farewell_was_published() -> None:
    rig = Rig(0, 1)
    drained_at = 0.0

    async def story(_: object) -> None:
        nonlocal drained_at
        rig.live(0, 1)
        await asyncio.sleep(1.0)
        drained_at = rig.clock.now
        rig.drain()

    assert rig.play(story) == 0
    assert [(shard, signum) for _, shard, signum in rig.signals] == [(0, SIGTERM), (1, SIGTERM)]
    assert rig.clock.now - drained_at == pytest.approx(0.2)
    assert rig.states() == ["stopped", "stopped"]


def test_a_farewell_that_comes_early_does_not_stand_for_those_of_the_others() -> None:
    rig = Rig(0, 1)
    rig.publishes = False
    heard_at = 0.0

    async def story(running: asyncio.Task[Any]) -> None:
        nonlocal heard_at
        rig.deaf = {0, 1}
        rig.drain()
        await asyncio.sleep(0.001)
        rig.crew.farewells.published(0, "stopped")  # before the nursery tells of its end
        rig.dies(0, DONE)
        rig.dies(1, DONE)
        await asyncio.sleep(0.5)
        assert not running.done()
        heard_at = rig.clock.now
        rig.crew.farewells.published(1, "stopped")

    assert rig.play(story) == 0
    assert rig.clock.now == pytest.approx(heard_at)


def test_a_farewell_that_never_comes_is_waited_for_a_second_and_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = Rig(0, 1)
    rig.publishes = False
    drained_at = 0.0

    async def story(_: object) -> None:
        nonlocal drained_at
        drained_at = rig.clock.now
        rig.drain()

    assert rig.play(story) == 0
    assert rig.clock.now - drained_at == pytest.approx(1.0)
    assert "the last events of 2 shards may not have reached subscribers" in caplog.text


def test_a_worker_that_does_not_stop_is_killed_after_six_seconds_and_no_farewell_is_awaited() -> None:
    rig = Rig(0)
    rig.deaf = {0}
    drained_at = 0.0

    async def story(_: object) -> None:
        nonlocal drained_at
        drained_at = rig.clock.now
        rig.drain()

    assert rig.play(story) == 0
    assert [signum for _, _, signum in rig.signals] == [SIGTERM, SIGKILL]
    assert rig.clock.now - drained_at == pytest.approx(6.0)


def test_a_second_stop_kills_at_once() -> None:
    rig = Rig(0)
    rig.deaf = {0}
    abandoned_at = 0.0

    async def story(_: object) -> None:
        nonlocal abandoned_at
        rig.drain()
        await asyncio.sleep(1.0)
        abandoned_at = rig.clock.now
        rig.crew.abandon()

    assert rig.play(story) == 0
    assert rig.signals[-1] == (abandoned_at, 0, SIGKILL)
    assert rig.clock.now == abandoned_at


def test_an_unknown_state_and_a_message_of_the_wrong_kind_are_logged_and_change_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = Rig(0)

    async def story(_: object) -> None:
        rig.live(0)
        rig.crew.said(0, StateChanged("asleep", "", None))
        rig.crew.said(0, Permit(1.0))
        assert rig.states() == ["live"]
        rig.drain()

    assert rig.play(story) == 0
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert errors == ["shard 0: unknown state 'asleep'", "shard 0: a Permit message is not for us"]


def test_ready_is_said_when_all_are_live_and_again_after_one_was_not_for_a_while(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = Rig(0, 1)

    async def story(_: object) -> None:
        rig.live(0, 1, 0)
        rig.crew.publish_counts()
        rig.says(1, "backoff")
        await asyncio.sleep(3.0)
        rig.crew.publish_counts()
        rig.live(1)
        await asyncio.sleep(3.0)
        rig.crew.publish_counts()
        rig.drain()

    with caplog.at_level(logging.INFO, "gwcluster.supervise.crew"):
        rig.play(story)
    said = [record.getMessage() for record in caplog.records if "are live" in record.getMessage()]
    assert said == [
        "ready: all 2 shards are live",
        "only 1 of 2 shards are live, for 3 s",
        "ready: all 2 shards are live again, after 3 s",
    ]


def test_a_worker_that_dies_with_its_permit_has_used_it_for_the_ledger() -> None:
    rig = Rig(0)

    async def story(_: object) -> None:
        rig.asks(0)
        await asyncio.sleep(0.001)
        rig.dies(0, FAILED)
        assert rig.ledger.outcomes == ["worker ended"]
        rig.drain()

    assert rig.play(story) == 0


def test_a_worker_that_died_just_before_its_nursery_is_not_buried_in_place_of_its_successor() -> None:
    rig = Rig(0)

    async def story(_: object) -> None:
        rig.live(0)
        link = rig.exits(0, -SIGKILL)
        rig.crew.nursery_ended(-SIGKILL)
        await asyncio.sleep(1.0)
        assert len(rig.forks) == 2
        assert link.then is not None
        link.then()
        await asyncio.sleep(1.0)
        assert rig.crew.supervisor.children == {0: 100}
        assert len(rig.forks) == 2
        rig.drain()

    assert rig.play(story) == 0


def test_a_shard_that_waits_for_its_start_is_failed_when_discord_refuses_the_cluster() -> None:
    rig = Rig(0, 1, 2)

    async def story(_: object) -> None:
        rig.live(0)
        rig.dies(1, FAILED)
        rig.crew.said(2, Refused(True, 4014, "4014 disallowed intents"))
        rig.dies(2, REFUSED)
        assert rig.states() == ["live", "failed", "failed"]
        assert [shard for shard, _ in rig.herald.failures] == [2, 1]
        rig.dies(0, -SIGKILL)
        assert rig.states() == ["failed", "failed", "failed"]

    assert rig.play(story) == 64


def test_a_resume_host_that_failed_one_shard_is_told_to_all_once_and_to_those_that_start_later() -> None:
    rig = Rig(0, 1)
    bad = "wss://gateway-us-east1-c.discord.gg"

    def warned(link: FakeLink) -> list[dict[str, float]]:
        return [message.bad_hosts for message in link.told[2:] if isinstance(message, Conditions)]

    async def story(_: object) -> None:
        rig.live(0)
        rig.live(1)
        for shard in (0, 1):
            rig.crew.said(shard, HostFailed(bad))
        assert [warned(link) for link in rig.links.values()] == [
            [{bad: pytest.approx(10_600.0, abs=0.1)}]
        ] * 2
        rig.dies(1, -SIGKILL)
        await asyncio.sleep(1.0)
        again = rig.links[1].told[1]
        assert isinstance(again, Conditions)
        assert again.bad_hosts.keys() == {bad}
        rig.drain()

    assert rig.play(story) == 0


def test_where_the_gateway_is_now_is_told_to_all_shards_and_to_those_that_start_later() -> None:
    rig = Rig(0, 1)
    url = "wss://gateway-2.discord.gg"

    async def story(_: object) -> None:
        rig.live(0)
        rig.crew.grapevine.moved(url)
        rig.dies(0, -SIGKILL)
        await asyncio.sleep(1.0)
        for told in (rig.links[0].told[1], rig.links[1].told[-1]):
            assert isinstance(told, Conditions)
            assert told.gateway_url == url
        rig.drain()

    assert rig.play(story) == 0


def test_a_shard_that_can_not_connect_is_stranded_but_not_one_that_was_given_up() -> None:
    rig = Rig(0, 1, restarts=0)

    async def story(_: object) -> None:
        rig.live(0)
        rig.says(1, "backoff")
        await asyncio.sleep(119.0)
        assert not rig.crew.grapevine.stranded
        await asyncio.sleep(2.0)
        assert rig.crew.grapevine.stranded
        rig.dies(1, FAILED)
        assert rig.states() == ["live", "failed"]
        assert not rig.crew.grapevine.stranded
        rig.drain()

    assert rig.play(story) == 0


def test_a_storm_of_op_7_is_told_to_all_shards() -> None:
    rig = Rig(*range(6))

    async def story(_: object) -> None:
        await asyncio.sleep(3.0)  # six that resume start over two seconds
        for shard in range(5):
            rig.live(shard)
            rig.crew.said(shard, SentAway())
        told = rig.links[5].told[-1]
        assert isinstance(told, Conditions)
        assert told.storm_until == pytest.approx(10_008.0, abs=0.1)
        rig.drain()

    assert rig.play(story) == 0


def test_a_ready_is_told_to_those_that_wait_for_theirs() -> None:
    rig = Rig(0, 1)

    async def story(_: object) -> None:
        rig.crew.said(0, AskPermit())
        await asyncio.sleep(0.0)
        await asyncio.sleep(0.0)
        rig.crew.said(0, PermitUsed(0.0))
        rig.live(0)
        told = rig.links[1].told[-1]
        assert isinstance(told, Conditions)
        assert told.ready_at == pytest.approx(10_000.0, abs=0.1)
        rig.drain()

    assert rig.play(story) == 0


def commanded(rig: Rig) -> list[CommandDone]:
    """Give the crew a way to send commands; return where their answers come."""
    rig.crew.commands = Commands(
        shards=2,
        ids=[0, 1],
        tell=rig.crew.tell,
        has_worker=rig.crew.has_worker,
        later=asyncio.get_running_loop().call_later,
    )
    return []


def test_a_command_reaches_its_worker_and_its_answer_the_caller() -> None:
    rig = Rig(0, 1)

    async def story(_: object) -> None:
        answers = commanded(rig)
        assert rig.crew.commands is not None
        rig.crew.commands.send({"op": 3, "d": {}}, answer=answers.append, shard=1)
        assert rig.links[1].told[-1] == Command(1, 3, {}, None)
        rig.crew.said(1, CommandDone(1, None, "written", None, 10_000.0))
        assert answers == [CommandDone(1, None, "written", None, 10_000.0)]
        rig.drain()

    assert rig.play(story) == 0


def test_the_death_of_a_worker_answers_its_callers_once_its_last_words_are_heard() -> None:
    rig = Rig(0, 1)

    async def story(_: object) -> None:
        answers = commanded(rig)
        assert rig.crew.commands is not None
        rig.live(0, 1)
        for shard in (0, 0, 1):
            rig.crew.commands.send({"op": 3, "d": {}}, answer=answers.append, shard=shard)
        link = rig.exits(0, -SIGKILL)
        rig.crew.commands.send({"op": 3, "d": {}}, answer=answers.append, shard=0)
        assert [(done.id, done.code) for done in answers] == [(4, "not_ready")]
        rig.crew.said(0, CommandDone(1, None, "written", None, 10_000.0))
        assert link.then is not None
        link.then()
        assert [(done.id, done.code) for done in answers[1:]] == [(1, None), (2, "not_ready")]
        rig.crew.nursery_ended(-SIGKILL)
        assert [(done.id, done.code) for done in answers[3:]] == [(3, "not_ready")]
        await asyncio.sleep(5.0)
        rig.drain()

    assert rig.play(story) == 0


def test_a_worker_that_does_not_answer_is_given_up() -> None:
    rig = Rig(0)

    async def story(_: object) -> None:
        answers = commanded(rig)
        assert rig.crew.commands is not None
        rig.crew.commands.send({"op": 3, "d": {}}, answer=answers.append, shard=0, ttl_s=10)
        await asyncio.sleep(14.9)
        assert answers == []
        await asyncio.sleep(0.2)
        assert [done.code for done in answers] == ["not_ready"]
        rig.drain()

    assert rig.play(story) == 0


def test_a_refusal_is_told_with_what_a_person_may_do_about_it() -> None:
    rig = Rig(0, 1)
    rig.crew.advise = lambda refused: f"; with {refused.code} try another count"

    async def story(_: object) -> None:
        rig.live(1)
        rig.crew.said(0, Refused(False, 4010, "4010 invalid shard"))
        rig.dies(0, SHARD_REFUSED)
        await asyncio.sleep(0.0)
        assert rig.herald.failures == [(0, "4010 invalid shard; with 4010 try another count")]
        rig.drain()

    rig.play(story)


def test_shards_that_wait_for_discords_answer_start_with_it() -> None:
    rig = Rig(0, 1)
    rig.crew.supervisor = Supervisor(
        [0, 1], restarts=5, within_s=60.0, now=10_000.0, jitter=lambda: 1.0, later={1}
    )

    async def story(_: object) -> None:
        assert [shard for _, shard in rig.forks] == [0]
        await asyncio.sleep(500.0)
        assert [shard for _, shard in rig.forks] == [0]
        rig.crew.release()
        await asyncio.sleep(0.001)
        assert [shard for _, shard in rig.forks] == [0, 1]
        rig.drain()

    assert rig.play(story) == 0


def test_a_worker_that_neither_works_nor_dies_is_killed_after_twenty_seconds_and_replaced() -> None:
    rig = Rig(0, 1)

    async def story(_: object) -> None:
        rig.live(0, 1)
        rig.stuck.add(1)
        await asyncio.sleep(26.0)
        ((at, shard, signum),) = rig.signals
        assert (shard, signum) == (1, SIGKILL)
        assert 20.0 <= at - 10_000.0 <= 25.1
        rig.stuck.clear()
        assert [shard for _, shard in rig.forks] == [0, 1, 1]
        await asyncio.sleep(100.0)
        assert len(rig.signals) == 1
        rig.drain()

    assert rig.play(story) == 0


def test_an_operator_revives_a_failed_shard_and_the_others_notice_nothing() -> None:
    rig = Rig(0, 1)
    changes: list[list[str]] = []
    rig.crew.on_change = lambda: changes.append(rig.states())

    async def story(_: object) -> None:
        rig.live(0)
        rig.dies(1, SHARD_REFUSED)
        await asyncio.sleep(1.0)
        assert rig.states() == ["live", "failed"]
        assert rig.crew.restart(1) is None
        assert rig.states() == ["live", "starting"]
        await asyncio.sleep(1.0)
        assert [shard for _, shard in rig.forks] == [0, 1, 1]
        assert changes[-2:] == [["live", "failed"], ["live", "starting"]]
        assert rig.crew.restart(7) == "shard 7 is not run by this cluster"
        rig.drain()

    assert rig.play(story) == 0
    assert [shard for _, shard, _ in rig.signals] == [0, 1]  # by the drain alone


def test_an_operator_has_all_restarted_over_two_seconds() -> None:
    rig = Rig(*range(8))

    async def story(_: object) -> None:
        await asyncio.sleep(3.0)
        rig.live(*range(8))
        at = rig.clock.now
        assert rig.crew.restart_all() is None
        await asyncio.sleep(5.0)
        asked = {shard: when - at for when, shard, signum in rig.signals if signum == SIGTERM}
        assert sorted(asked) == list(range(8))
        assert all(0.0 <= after_s <= 2.0 for after_s in asked.values())
        assert len(rig.nurseries) == 1
        rig.live(*range(8))
        rig.drain()

    assert rig.play(story) == 0


async def _roll(rig: Rig, *, back: bool = True) -> None:
    """Let a rolling restart go on for a minute, in which new workers come to live, or don't."""
    for _ in range(600):
        await asyncio.sleep(0.1)
        for shard, state in enumerate(rig.states()):
            if state == "starting" and back and shard in rig.crew.supervisor.children:
                rig.live(shard)


def test_a_rolling_restart_replaces_each_worker_by_one_of_a_new_nursery_and_ends_the_old_one() -> None:
    rig = Rig(0, 1, 2)

    async def story(_: object) -> None:
        rig.live(0, 1)  # 2 waits for its permit
        assert rig.crew.roll() is None
        await asyncio.sleep(0.01)
        assert len(rig.nurseries) == 2
        assert rig.crew.roll() == "a rolling restart is under way: 0 of 3 shards are done"
        await _roll(rig)
        assert [nursery.shards for nursery in rig.nurseries] == [[0, 1, 2], [0, 1, 2]]
        assert [nursery.stopped for nursery in rig.nurseries] == [True, False]
        assert (rig.crew.rolling, rig.crew.rolled and rig.crew.rolled.why) == (None, None)
        assert (rig.crew.rolled and (rig.crew.rolled.done, rig.crew.rolled.total)) == (3, 3)
        rig.drain()

    assert rig.play(story) == 0
    assert [shard for _, shard, _ in rig.signals] == [0, 1, 2] * 2


def test_new_code_that_does_not_come_to_live_costs_one_shard_and_goes_back_to_the_old_nursery() -> None:
    rig = Rig(0, 1)

    async def story(_: object) -> None:
        rig.live(0, 1)
        rig.crew.roll()
        await _roll(rig, back=False)
        assert [nursery.shards for nursery in rig.nurseries] == [[0, 1, 0], [0]]
        assert [nursery.stopped for nursery in rig.nurseries] == [False, True]
        assert rig.crew.rolled is not None
        assert (rig.crew.rolled.done, rig.crew.rolled.total) == (0, 2)
        assert rig.crew.rolled.why == "shard 0 was not live again within 30 s"
        assert rig.states()[1] == "live"
        rig.drain()

    assert rig.play(story) == 0


def test_new_code_whose_workers_die_until_the_shard_fails_is_given_up_and_the_shard_revived() -> None:
    rig = Rig(0, 1, restarts=0)

    async def story(_: object) -> None:
        rig.live(0, 1)
        rig.crew.roll()
        await asyncio.sleep(1.0)
        rig.dies(0, FAILED)
        await asyncio.sleep(1.0)
        assert [nursery.shards for nursery in rig.nurseries] == [[0, 1, 0], [0]]
        assert rig.crew.rolled is not None
        assert rig.crew.rolled.why is not None
        assert rig.crew.rolled.why.startswith("shard 0 failed: died 1 times within 60 s")
        rig.drain()

    assert rig.play(story) == 0


def test_a_new_nursery_that_can_not_load_its_code_costs_no_shard_anything() -> None:
    rig = Rig(0, 1, restarts=1)

    async def story(_: object) -> None:
        rig.live(0, 1)
        for attempt in (1, 2):  # more often than nurseries may die
            rig.answers = False
            rig.crew.roll()
            await asyncio.sleep(1.0)
            assert rig.signals == []
            rig.nurseries[attempt].listener.nursery_ended(FAILED)
            await asyncio.sleep(1.0)
            assert rig.crew.rolled is not None
            assert rig.crew.rolled.why == "the new nursery ended with status 1"
            assert (rig.states(), rig.crew.supervisor.children) == (["live", "live"], {0: 100, 1: 101})
        rig.dies(1, FAILED)
        await asyncio.sleep(1.0)
        assert [nursery.shards for nursery in rig.nurseries] == [[0, 1, 1], [], []]
        rig.drain()

    assert rig.play(story) == 0


def test_the_old_nursery_of_a_single_shard_is_kept_until_the_new_code_has_worked() -> None:
    rig = Rig(0)

    async def story(_: object) -> None:
        rig.live(0)
        rig.crew.roll()
        await _roll(rig, back=False)
        assert [nursery.shards for nursery in rig.nurseries] == [[0, 0], [0]]
        assert [nursery.stopped for nursery in rig.nurseries] == [False, True]
        rig.drain()

    assert rig.play(story) == 0


def test_a_shard_that_does_not_come_back_later_stops_it_and_both_nurseries_go_on() -> None:
    rig = Rig(0, 1, 2)

    async def story(_: object) -> None:
        rig.live(0, 1, 2)
        rig.crew.roll()
        await asyncio.sleep(0.5)
        rig.live(0)
        await _roll(rig, back=False)
        assert rig.crew.rolled is not None
        assert (rig.crew.rolled.done, rig.crew.rolled.total) == (1, 3)
        assert [nursery.shards for nursery in rig.nurseries] == [[0, 1, 2], [0, 1]]
        assert [nursery.stopped for nursery in rig.nurseries] == [False, False]
        rig.live(1)
        rig.crew.roll()
        await _roll(rig)
        assert [nursery.stopped for nursery in rig.nurseries] == [True, True, False]
        rig.drain()

    assert rig.play(story) == 0


def test_the_death_of_an_old_nursery_takes_only_its_own_workers_along() -> None:
    rig = Rig(0, 1, 2)

    async def story(_: object) -> None:
        rig.live(0, 1, 2)
        rig.crew.roll()
        await asyncio.sleep(0.5)
        rig.live(0)
        await asyncio.sleep(0.5)
        rig.nurseries[0].listener.nursery_ended(-SIGKILL)
        await asyncio.sleep(3.0)
        rig.live(1, 2)
        await asyncio.sleep(1.0)
        assert rig.nurseries[1].shards == [0, 1, 2]  # 1 had its turn already
        assert rig.states() == ["live", "live", "live"]
        assert rig.crew.rolled is not None
        assert rig.crew.rolled.why is None
        rig.drain()

    assert rig.play(story) == 0


def test_a_stop_ends_a_rolling_restart_and_both_nurseries() -> None:
    rig = Rig(0, 1)

    async def story(_: object) -> None:
        rig.live(0, 1)
        rig.crew.roll()
        await asyncio.sleep(0.01)
        rig.drain()

    assert rig.play(story) == 0
    assert [nursery.stopped for nursery in rig.nurseries] == [True, True]
    assert rig.crew.roll() == "the cluster is stopping"


def test_of_many_changes_at_once_the_counts_tell_the_first_and_soon_the_last() -> None:
    rig = Rig(*range(50))

    async def story(_: object) -> None:
        await asyncio.sleep(1.0)
        before = len(rig.herald.counts)
        for shard in range(50):
            rig.live(shard)
            await asyncio.sleep(0)
        await asyncio.sleep(1.0)
        told = rig.herald.counts[before:]
        assert 1 <= told[0].ready < 50
        assert [one.ready for one in told[1:]] == [50]
        rig.drain()

    rig.play(story)


def test_pulses_are_noted_and_make_nobody_look_at_all_shards() -> None:
    rig = Rig(0, 1)

    async def story(_: object) -> None:
        rig.live(0, 1)
        await asyncio.sleep(1.0)
        looks = rig.looks
        for _ in range(100):
            rig.crew.said(0, PULSE)
            await asyncio.sleep(0.001)
        assert rig.looks - looks == 200  # two for each pulse itself, and none for a pass
        assert rig.crew.board.views[0].pulse == PULSE
        rig.drain()

    rig.play(story)


def test_the_last_count_of_a_stop_knows_all_who_stopped() -> None:
    rig = Rig(0, 1, 2)

    async def story(_: object) -> None:
        rig.live(0, 1, 2)
        rig.deaf |= {0, 1, 2}  # and stop by and by
        await asyncio.sleep(1.0)
        rig.drain()
        for shard in (0, 1, 2):
            await asyncio.sleep(0.01)
            rig.says(shard, "stopped")
            rig.dies(shard, 0)

    assert rig.play(story) == 0
    assert rig.herald.counts[-1].ready == 0


def test_a_shard_of_another_host_is_started_when_it_is_taken_and_not_before() -> None:
    rig = Rig(0, 1, away=[0, 1])
    told: list[list[str]] = []
    rig.crew.on_change = lambda: told.append(rig.states())

    async def story(running: asyncio.Task[Any]) -> None:
        await asyncio.sleep(100.0)
        assert (rig.forks, rig.states(), running.done()) == ([], ["elsewhere"] * 2, False)
        rig.crew.take(1)
        assert told == [["elsewhere", "starting"]]
        await asyncio.sleep(0.001)
        assert [shard for _, shard in rig.forks] == [1]
        rig.live(1)
        assert rig.crew.live == {1}
        assert rig.crew.board.counts == Counts(ready=1, total=1, degraded=0, failed=0)
        rig.crew.take(1)  # it is ours already
        await asyncio.sleep(10.0)
        assert len(rig.forks) == 1
        rig.drain()

    assert rig.play(story) == 0


def test_a_shard_that_is_given_up_stops_by_itself_and_is_elsewhere_then() -> None:
    rig = Rig(0, 1)

    async def story(running: asyncio.Task[Any]) -> None:
        rig.live(0, 1)
        rig.crew.give_up(0, "another host is to run it")
        assert rig.states() == ["live", "live"], "its worker runs still"
        await asyncio.sleep(0.001)
        assert [signal[1:] for signal in rig.signals] == [(0, SIGTERM)]
        assert rig.states() == ["elsewhere", "live"]
        assert rig.crew.board.views[0].pid is None
        assert rig.crew.restart(0) == "shard 0 is not run by this host"
        rig.crew.holder = {0: "b"}.get
        assert rig.crew.restart(0) == "shard 0 is not run by this host, but by host b: ask that one"
        await asyncio.sleep(100.0)
        assert (len(rig.forks), running.done(), rig.herald.failures) == (2, False, [])
        assert rig.herald.counts[-1] == Counts(ready=1, total=1, degraded=0, failed=0)
        rig.drain()

    assert rig.play(story) == 0


def test_a_shard_that_is_lost_is_killed_at_once_whoever_asked_it_to_stop_before() -> None:
    rig = Rig(0, 1)
    rig.deaf = {0}

    async def story(_: object) -> None:
        rig.live(0, 1)
        rig.crew.give_up(0, "another host is to run it")
        await asyncio.sleep(0.001)
        at = rig.clock.now
        rig.crew.give_up(0, "its lease ended", at_once=True)
        rig.crew.give_up(1, "its lease ended", at_once=True)
        await asyncio.sleep(0.001)
        assert rig.signals[1:] == [(at, 0, SIGKILL), (at, 1, SIGKILL)]
        assert rig.states() == ["elsewhere"] * 2
        rig.drain()

    assert rig.play(story) == 0


def test_a_failed_shard_that_is_given_up_and_taken_again_has_another_chance() -> None:
    rig = Rig(0, 1, restarts=0)

    async def story(_: object) -> None:
        rig.live(0, 1)
        rig.dies(0, -SIGKILL)
        await asyncio.sleep(0.001)
        assert rig.states() == ["failed", "live"]
        rig.crew.give_up(0, "another host is to run it")
        assert rig.states() == ["elsewhere", "live"]
        rig.crew.take(0)
        await asyncio.sleep(0.001)
        assert [shard for _, shard in rig.forks] == [0, 1, 0]
        rig.drain()

    assert rig.play(story) == 0


def test_all_are_restarted_means_all_of_this_host() -> None:
    rig = Rig(0, 1, away=[0])

    async def story(_: object) -> None:
        rig.live(1)
        assert rig.crew.restart_all() is None
        await asyncio.sleep(3.0)
        assert [shard for _, shard in rig.forks] == [1, 1]
        assert rig.states()[0] == "elsewhere"
        rig.crew.give_up(1, "another host is to run it")
        assert rig.crew.restart_all() == "this host runs no shard at present"
        rig.drain()

    assert rig.play(story) == 0
