"""A whole cluster and a whole Discord in one loop on virtual time, for tests that are scenes.

    def test_a_beat_without_an_answer_ends_in_a_resume(tmp_path: Path) -> None:
        async def play(scene: Scene) -> None:
            await scene.live()
            scene.sim.drop_acks(0)
            await scene.until(lambda: scene.sim.ledger.resumes)

        stage(tmp_path, play, heartbeat_interval_ms=41_250)

Everything between REST and the subscriber is real: gate, ledger, supervisor, session machines, sockets, logs.
Left out are processes, ZeroMQ and wall clocks; tests/e2e has those.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from gwcluster.board import Board
from gwcluster.config import Retention
from gwcluster.herald import Herald
from gwcluster.identify.bootstrap import ask_until_answered, rest_session
from gwcluster.identify.gate import Budget, Gate
from gwcluster.identify.gateway_info import GatewayInfo, Refused
from gwcluster.identify.ledger import Ledger
from gwcluster.identify.permits import Permits
from gwcluster.state_folder import StateFolder
from gwcluster.supervise.commands import Commands
from gwcluster.supervise.crew import Crew
from gwcluster.supervise.supervisor import Supervisor
from gwcluster.wire.control import CommandDone, Job
from gwcluster.wire.exits import Exit
from gwsimulator import virtual_time
from gwsimulator.server import Simulator
from gwsimulator.settings import Settings
from support.cluster import TOKEN, Message
from support.in_loop import Frames, InLoopNursery, InLoopWorker, Published
from support.jobs import job
from support.verdict import verdict

T = TypeVar("T")

WALL_AT_START = 1_790_000_000.0
"""Unix second at which each scene begins."""


@dataclass
class Wanted:
    """What differs from the scene's own cluster, which runs every shard that the simulator recommends."""

    shards: int | None = None
    """Shard count; None: what REST recommends."""
    ids: list[int] | None = None
    compression: str = "zlib-stream"
    reserve: float = 0.1
    restarts: int = 5
    within_s: float = 60.0
    job: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of each worker's job, e.g. `intents` or `presence`."""


class Scene:
    """The cluster, the simulator, and what came out of them.

    Attributes:
        sim: the stand-in Discord, with its controls and its ledger.
        published: every message as subscribers get it, in order.
        said: every log record of ours.
        wall_jumps_s: how far the time of day has been moved against the monotonic clock.
        slept_s: how long the machine was suspended.
    """

    def __init__(self, folder: Path, sim: Simulator, wanted: Wanted) -> None:
        self.folder = folder
        self.sim = sim
        self.wanted = wanted
        self.published: list[Message] = []
        self.said: list[logging.LogRecord] = []
        self.wall_jumps_s = 0.0
        self.slept_s = 0.0
        self.dice = random.Random(sim.settings.seed)
        self.crashes: dict[int, int] = {}
        """Shards whose workers end at once, with their exit status."""
        self.loop = asyncio.get_running_loop()
        self.crew: Crew
        self.gate: Gate
        self._nursery: InLoopNursery | None = None
        self._running: asyncio.Task[Exit] | None = None
        self._assembled = asyncio.Event()

    # What a scene does

    async def until(self, condition: Callable[[], T], within_s: float = 120.0) -> T:
        """Let time pass until `condition()` is true and return what it gave; fail after `within_s`."""
        deadline = self.loop.time() + within_s
        while not (value := condition()):
            if self.loop.time() >= deadline:
                raise AssertionError(f"after {within_s} s still not so; it was said:\n{self.story()}")
            await asyncio.sleep(0.05)
        return value

    async def run_for(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)

    async def live(self, *shards: int, within_s: float = 120.0) -> None:
        """Wait until these shards are live; none named: all."""
        await self.until(
            lambda: all(self.is_live(shard) for shard in shards or self.crew.board.views), within_s
        )

    async def settled(self) -> None:
        """Let what is on its way arrive."""
        await asyncio.sleep(0.2)

    # What a scene looks at

    @property
    def now(self) -> float:
        """Seconds since the scene began."""
        return self.loop.time() - virtual_time.START

    def wall(self) -> float:
        """Unix seconds."""
        return WALL_AT_START + self.now + self.wall_jumps_s

    def is_live(self, shard: int) -> bool:
        return self.crew.board.views[shard].state == "live"

    def worker(self, shard: int) -> InLoopWorker:
        assert self._nursery is not None
        return self._nursery.workers[shard]

    def story(self, *words: str) -> str:
        """Return what was logged, or the lines of it that have one of these words."""
        lines = [f"{record.levelname} {record.getMessage()}" for record in self.said]
        return "\n".join(line for line in lines if not words or any(word in line for word in words))

    def events(self, *names: str, shard: int | None = None) -> list[Message]:
        """Return what was published under these names; none named: every dispatch of Discord's."""
        return [
            message
            for message in self.published
            if (message.name in names if names else not message.name.startswith("GWCLUSTER_"))
            and shard in (None, message.shard)
        ]

    def seqs(self, shard: int = 0) -> list[int]:
        """Return Discord's numbers of a shard's events, in the order in which they were published."""
        return [message.header["seq"] for message in self.events(shard=shard)]

    def notices(self, name: str) -> list[dict[str, Any]]:
        """Return the `d` of each of these notices."""
        return [json.loads(message.payload)["d"] for message in self.events(name)]

    async def send(self, payload: object, **where: Any) -> CommandDone:
        """Have a payload sent to Discord as a bot would; return the answer.

        Args:
            payload: `{"op": ..., "d": ...}`.
            where: `shard` or `guild_id`, and `ttl_s`.
        """
        answer: asyncio.Future[CommandDone] = self.loop.create_future()
        assert self.crew.commands is not None
        self.crew.commands.send(payload, answer=answer.set_result, **where)
        return await answer

    def jump_wall(self, seconds: float) -> None:
        """Set the time of day."""
        self.wall_jumps_s += seconds

    def suspend(self, seconds: float) -> None:
        """Let the machine sleep: only boot clock and time of day go on."""
        self.slept_s += seconds
        self.wall_jumps_s += seconds

    # The cluster

    async def start(self) -> None:
        """Start the cluster, also again on the same state; return when REST has answered."""
        self._assembled.clear()
        running = self._running = self.loop.create_task(self._run())
        assembled = self.loop.create_task(self._assembled.wait())
        await asyncio.wait({running, assembled}, return_when=asyncio.FIRST_COMPLETED)
        assembled.cancel()
        if running.done() and not self._assembled.is_set():
            running.result()

    async def stop(self) -> Exit:
        """SIGTERM; return the exit status."""
        assert self._running is not None
        self.crew.drain()
        return await self._running

    async def ended(self, within_s: float = 120.0) -> Exit:
        """Wait until the cluster ends by itself; return its exit status."""
        assert self._running is not None
        async with asyncio.timeout(within_s):
            return await asyncio.shield(self._running)

    async def kill(self) -> None:
        """SIGKILL of everything: coordinator, nursery and workers."""
        assert self._running is not None
        if self._nursery is not None:
            await self._nursery.stop()
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self) -> Exit:
        state = StateFolder(self.folder)
        ledger = Ledger(state.ledger, clock=self.wall)
        try:
            async with rest_session() as rest:

                async def ask() -> GatewayInfo | Refused:
                    return await ask_until_answered(
                        rest,
                        self.sim.api,
                        TOKEN,
                        ledger=ledger,
                        version="1",
                        clock=self.wall,
                        jitter=self.dice.random,
                    )

                info = await ask()
                if isinstance(info, Refused):
                    return Exit.REFUSED
                self._assemble(state, ledger, info)
                self._assembled.set()
                refilling = self.loop.create_task(self._refill(ask, ledger))
                try:
                    return await self.crew.run()
                finally:
                    refilling.cancel()
        finally:
            ledger.close()
            state.close()

    def _assemble(self, state: StateFolder, ledger: Ledger, info: GatewayInfo) -> None:
        wanted = self.wanted
        count = wanted.shards or info.shards
        ids = wanted.ids or list(range(count))
        fanin = Published(self._take)
        self.gate = Gate(
            max_concurrency=info.max_concurrency,
            budget=self._budget(info, ledger, len(ids)),
            jitter=self.dice.random,
        )
        offset_s = self.loop.time() - self.wall()
        last_sent = ledger.last_sent_by_key(info.max_concurrency)
        self.gate.restore({key: wall + offset_s for key, wall in last_sent.items()})
        self.gate.expect(ids, self.loop.time() + 5.0)

        def nursery(listener: Crew) -> InLoopNursery:
            self._nursery = InLoopNursery(
                listener,
                fanin=fanin,
                wall=self.wall,
                boot=lambda: self.loop.time() + self.slept_s,
                jitter=self.dice.random,
                crash=self.crashes.get,
            )
            return self._nursery

        self.crew = Crew(
            board=Board(ids, self.wall()),
            supervisor=Supervisor(
                ids,
                restarts=wanted.restarts,
                within_s=wanted.within_s,
                now=self.loop.time(),
                jitter=self.dice.random,
            ),
            herald=Herald(fanin, state, count, ids[0], Retention()),  # type: ignore[arg-type]
            job=lambda shard: self._job(shard, count, info.url, state),
            nursery=nursery,  # type: ignore[arg-type]
            clock=self.loop.time,
            wall=self.wall,
        )
        self.crew.commands = Commands(
            shards=count,
            ids=ids,
            tell=self.crew.tell,
            has_worker=self.crew.has_worker,
            later=self.loop.call_later,
        )
        self.crew.permits = Permits(
            self.gate, ledger, shards=count, tell=self.crew.tell, clock=self.loop.time, wall=self.wall
        )

    def _budget(self, info: GatewayInfo, ledger: Ledger, shards: int) -> Budget:
        return Budget.of(
            info.total,
            info.remaining,
            self.loop.time() + info.reset_after_s,
            fraction=self.wanted.reserve,
            shards=shards,
            spent=ledger.spent_since(self.wall() - 86_400.0),
        )

    def _job(self, shard: int, count: int, url: str, state: StateFolder) -> Job:
        fields: dict[str, Any] = {
            "shard": shard,
            "shards": count,
            "token": TOKEN,
            "gateway_url": url,
            "intents": 53608447,
            "compression": self.wanted.compression,
            "folder": str(state.shard(shard)),
        }
        return job(**{**fields, **self.wanted.job})

    async def _refill(self, ask: Callable[[], Awaitable[GatewayInfo | Refused]], ledger: Ledger) -> None:
        while True:
            await asyncio.sleep(2.0)
            self.crew.publish_counts()
            at = self.gate.ask_again_at
            if at is not None and self.loop.time() >= at and self.crew.supervisor.refused is None:
                match await ask():
                    case GatewayInfo() as info:
                        budget = self._budget(info, ledger, len(self.crew.board.views))
                        self.gate.refill(budget, self.loop.time())
                    case Refused() as refused:
                        self.crew.refuse(refused.reason)

    def _take(self, frames: Frames) -> None:
        message = Message(list(frames))
        self.published.append(message)
        if message.name == "GWCLUSTER_SHARD_STATE":
            state = json.loads(message.payload)["d"]["state"]
            self.loop.call_soon(self.crew.shard_state_published, message.shard, state)


class _Ear(logging.Handler):
    def __init__(self, said: list[logging.LogRecord]) -> None:
        super().__init__(logging.DEBUG)
        self._said = said

    def emit(self, record: logging.LogRecord) -> None:
        self._said.append(record)


def stage(
    folder: Path,
    play: Callable[[Scene], Awaitable[None]],
    *,
    wanted: Wanted | None = None,
    start: bool = True,
    violated: Collection[str] = (),
    excused: Collection[str] = (),
    expect: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Scene:
    """Play a scene on virtual time, and look at its end whether everything kept to the rules.

    Args:
        folder: an empty one, for the cluster's state.
        play: the scene; the cluster runs when it begins, if `start`.
        wanted: what is special about the cluster.
        violated: rules of the simulator's that this scene breaks on purpose.
        excused: invariants (`I1` to `I12`) that it breaks on purpose.
        expect: further arguments of `support.verdict.verdict`, e.g. `names` or `rest_calls`.
        settings: of the simulator; one shard and two guilds if nothing is said.
    """

    async def main() -> Scene:
        loop = asyncio.get_running_loop()
        chosen: dict[str, Any] = {"shards": 1, "guilds": 2, "token": TOKEN, **settings}
        async with Simulator(Settings(**chosen), clock=loop.time) as sim:
            scene = Scene(folder, sim, wanted or Wanted())
            ear = _Ear(scene.said)
            ours = [logging.getLogger(name) for name in ("gwcluster", "gwworker")]
            for logger in ours:
                logger.addHandler(ear)
                logger.setLevel(logging.DEBUG)
            try:
                if start:
                    await scene.start()
                await play(scene)
                await scene.settled()
                if scene._running is not None and not scene._running.done():
                    await scene.stop()
            finally:
                if scene._running is not None and not scene._running.done():
                    await scene.kill()
                for logger in ours:
                    logger.removeHandler(ear)
                    logger.setLevel(logging.NOTSET)
            said = [record.getMessage() for record in scene.said]
            wrong = verdict(
                sim.ledger,
                sim.settings,
                published=scene.published,
                texts=said,
                violated=violated,
                excused=excused,
                **(expect or {}),
            )
        assert not wrong, "\n".join([*wrong, "it was said:", *said])
        return scene

    return virtual_time.run(main())
