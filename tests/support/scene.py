"""A whole cluster and a whole Discord in one loop on virtual time, for tests that are scenes.

    def test_a_beat_without_an_answer_ends_in_a_resume(tmp_path: Path) -> None:
        async def play(scene: Scene) -> None:
            await scene.live()
            scene.sim.drop_acks(0)
            await scene.until(lambda: scene.sim.ledger.resumes)

        stage(tmp_path, play, heartbeat_interval_ms=41_250)

Everything between REST and the subscriber is real: coordinator, gate, supervisor, sessions, sockets, logs.
Left out are processes, ZeroMQ and wall clocks; tests/e2e has those.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import math
import random
from collections.abc import Awaitable, Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

from gwcluster.coordinator import Cluster
from gwcluster.identify.gate import Gate
from gwcluster.means import Means
from gwcluster.state_folder import StateFolder
from gwcluster.supervise.crew import Crew
from gwcluster.supervise.nursery_link import Listener
from gwcluster.systemd import Systemd
from gwcluster.wire.control import CommandDone
from gwcluster.wire.exits import Exit
from gwsimulator import virtual_time
from gwsimulator.server import Simulator
from gwsimulator.settings import Settings
from support.cluster import TOKEN, Message
from support.config_files import loaded
from support.in_loop import Frames, InLoopNursery, InLoopWorker, Published
from support.verdict import verdict

T = TypeVar("T")

WALL_AT_START = 1_790_000_000.0
"""Unix second at which each scene begins."""


class Scene:
    """The cluster, the simulator, and what came out of them.

    Attributes:
        sim: the stand-in Discord, with its controls and its ledger.
        published: every message as subscribers get it, in order.
        said: every log record of ours.
        wall_jumps_s: how far the time of day has been moved against the monotonic clock.
        slept_s: how long the machine was suspended.
        crashes: shards whose workers end at once, with their exit status.
        job_changes: fields of every worker's job that are to differ from the configuration's.
        config: what the next `start` reads, as in cluster.yaml.
    """

    def __init__(self, folder: Path, sim: Simulator, config: Mapping[str, Any]) -> None:
        self.folder = folder
        self.sim = sim
        self.config = dict(config)
        self.published: list[Message] = []
        self.said: list[logging.LogRecord] = []
        self.wall_jumps_s = 0.0
        self.slept_s = 0.0
        self.dice = random.Random(sim.settings.seed)
        self.crashes: dict[int, int] = {}
        self.open_files = 65_536
        self.job_changes: dict[str, Any] = {}
        self.loop = asyncio.get_running_loop()
        self.starts = 0
        self.cluster: _Cluster
        self._nursery: InLoopNursery | None = None
        self._running: asyncio.Task[Exit] | None = None

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
    def crew(self) -> Crew:
        """The cluster's workers and what is known of them, once there are any."""
        assert self.cluster.crew is not None
        return self.cluster.crew

    @property
    def gate(self) -> Gate:
        """The cluster's identify gate."""
        return self.crew.permits.gate

    @property
    def now(self) -> float:
        """Seconds since the scene began."""
        return self.loop.time() - virtual_time.START

    def wall(self) -> float:
        """Unix seconds."""
        return WALL_AT_START + self.now + self.wall_jumps_s

    @property
    def reserve(self) -> int:
        """How many of the day's identifies the configuration leaves alone; at least one cold start."""
        total, shards = self.sim.settings.daily_limit, self.sim.settings.shards
        part = float(self.config.get("identify", {}).get("reserve", "10%").rstrip("%")) / 100
        return min(max(math.ceil(part * total), shards), max(0, total - shards))

    @property
    def rest_calls_expected(self) -> int:
        """One for each start, one for each that failed, and now and then one more."""
        failed = sum(call.status != 200 for call in self.sim.ledger.rest_calls)
        return self.starts + failed + int(self.now / 120.0)

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

    async def start(self, *, fresh: bool = False) -> None:
        """Start the cluster, also again on the same state; return when its shards are known, or it ended."""
        self.starts += 1
        wanted = {**self._own(), **self.config}
        wanted["gateway"] = {**self._own()["gateway"], **wanted["gateway"]}
        text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in wanted.items())
        fanin = Published(self._take)

        def nursery(listener: Listener) -> InLoopNursery:
            self._nursery = InLoopNursery(
                listener,
                fanin=fanin,
                wall=self.wall,
                boot=lambda: self.loop.time() + self.slept_s,
                jitter=self.dice.random,
                crash=self.crashes.get,
                change=lambda job: dataclasses.replace(job, **self.job_changes),
            )
            return self._nursery

        means = Means(
            monotonic=self.loop.time,
            wall=self.wall,
            jitter=self.dice.random,
            nursery=nursery,
            fanin=lambda _: fanin,  # type: ignore[arg-type, return-value]
            aside=_at_once,
            desk=lambda *_: _NoDesk(),  # type: ignore[arg-type]
            web=lambda _: None,
            weigh=_weigh,
            systemd=Systemd({}, pid=1, monotonic=self.loop.time),
            open_files=self.open_files,
            attended=lambda _: contextlib.nullcontext(),
        )
        assembled = asyncio.Event()
        self.cluster = _Cluster(loaded(self.folder, text), means, fresh=fresh)
        self.cluster.assembled = assembled
        running = self._running = self.loop.create_task(self._run())
        waiting = self.loop.create_task(assembled.wait())
        await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if running.done():
            running.result()

    async def _run(self) -> Exit:
        with contextlib.closing(StateFolder(self.cluster.config.state)) as state:
            return await self.cluster.run(state)

    def _own(self) -> dict[str, Any]:
        return {
            "name": "scene",
            "token": TOKEN,
            "intents": 53608447,
            "gateway": {"api": self.sim.api, "compression": "zlib-stream"},
            "http": {"bind": None},
            "state": str(self.folder / "state"),
        }

    async def stop(self) -> Exit:
        """SIGTERM; return the exit status."""
        assert self._running is not None
        self.cluster.stop()
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

    def _take(self, frames: Frames) -> None:
        message = Message(list(frames))
        self.published.append(message)
        if message.name == "GWCLUSTER_SHARD_STATE":
            state = json.loads(message.payload)["d"]["state"]
            self.loop.call_soon(self.crew.farewells.published, message.shard, state)


async def _weigh(_: object) -> dict[int, int]:
    return {}  # workers are no processes here


class _NoDesk:
    """Nobody asks in a scene."""

    async def close(self) -> None:
        """Nothing to close."""


class _Cluster(Cluster):
    """Tells when it has a crew, in that very moment."""

    assembled: asyncio.Event | None = None

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name == "crew" and value is not None and self.assembled is not None:
            self.assembled.set()


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
    config: Mapping[str, Any] | None = None,
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
        config: what differs in cluster.yaml, e.g. `{"shards": {"count": 8}}` or, without repeating the API,
            `{"gateway": {"compression": "none"}}`; every shard that the simulator recommends runs, with
            zlib-stream, if nothing is said.
        violated: rules of the simulator's that this scene breaks on purpose.
        excused: invariants (`I1` to `I13`) that it breaks on purpose.
        expect: further arguments of `support.verdict.verdict`, e.g. `names` or `rest_calls`.
        settings: of the simulator; one shard and two guilds if nothing is said.
    """

    async def main() -> Scene:
        loop = asyncio.get_running_loop()
        chosen: dict[str, Any] = {"shards": 1, "guilds": 2, "token": TOKEN, **settings}
        async with Simulator(Settings(**chosen), clock=loop.time) as sim:
            scene = Scene(folder, sim, config or {})
            bugs: list[dict[str, Any]] = []
            loop.set_exception_handler(lambda _, context: bugs.append(context))
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
            limits = {"reserve": scene.reserve, "rest_calls": scene.rest_calls_expected, "until": loop.time()}
            wrong = verdict(
                sim.ledger,
                sim.settings,
                published=scene.published,
                texts=said,
                violated=violated,
                excused=excused,
                **{**limits, **(expect or {})},
            )
        assert not bugs, bugs
        assert not wrong, "\n".join([*wrong, "it was said:", *said])
        return scene

    return virtual_time.run(main())


def _at_once(work: Callable[[], None]) -> bool:
    work()
    return True
