"""Whatever befalls a cluster in whatever order: it comes back, loses nothing, and spends little."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from gwcluster.wire.control import CommandDone
from support.scene import Scene, stage

BACK_S = 300.0
"""Within what a cluster is live again when nothing goes wrong any more: a wait of half a minute between
dials, or of a minute and more between identifies that bore nothing."""

Act = Callable[[Scene, int], Any]


@dataclass(frozen=True)
class Fault:
    """Something that may happen to a shard.

    Attributes:
        name: for the report of a failure.
        act: does it, or returns what will have done it, or commands that are to be answered.
        cost: how many identifies it may bring about. What only ends a connection may bring one about when
            it happens three times in a row before anything came: then the session is taken for dead.
    """

    name: str
    act: Act
    cost: float = 1 / 3

    def __repr__(self) -> str:
        return self.name


def _coded(*codes: int, cost: float) -> list[Fault]:
    def close(code: int) -> Act:
        return lambda scene, shard: scene.sim.close(shard, code)

    return [Fault(f"close_{code}", close(code), cost) for code in codes]


def _mangled(*how: Any) -> list[Fault]:
    def mangle(one: Any) -> Act:
        def act(scene: Scene, shard: int) -> None:
            scene.sim.mangle(shard, one)
            scene.sim.emit("TYPING_START", {"mangled": one}, shard=shard)

        return act

    return [Fault(f"mangle_{one}", mangle(one)) for one in how]


def _greeted(*how: Any, cost: float = 1 / 3) -> list[Fault]:
    def greet(one: Any) -> Act:
        def act(scene: Scene, shard: int) -> None:
            scene.sim.greet(one)
            scene.sim.abort(shard)

        return act

    return [Fault(f"greet_{one}", greet(one), 2 * cost) for one in how]


def _refused_dial(how: str, times: int) -> Fault:
    def act(scene: Scene, shard: int) -> None:
        getattr(scene.sim, how)(times=times)
        scene.sim.abort(shard)

    return Fault(how, act, (times + 1) / 3)


def _kill(scene: Scene, shard: int) -> None:
    if shard in scene.crew.supervisor.children and scene._nursery and shard in scene._nursery.workers:
        scene.worker(shard).kill()


async def _restart(scene: Scene, _: int) -> None:
    await scene.kill()
    await scene.start()


async def _stop(scene: Scene, _: int) -> None:
    await scene.stop()
    await scene.start()


def _host_down(scene: Scene, shard: int) -> None:
    scene.sim.resume_host_down()
    scene.sim.abort(shard)


def _replayed(scene: Scene, shard: int) -> None:
    scene.sim.during_replay(shard, after=2, what="abort")
    scene.sim.abort(shard)
    scene.sim.emit_random(shard, 10)


def _send(scene: Scene, shard: int) -> list[asyncio.Task[CommandDone]]:
    async def send() -> CommandDone:
        await asyncio.sleep(0.02)  # or an op 9 that is still on its way would meet it
        return await scene.send({"op": 31, "d": {"guild_ids": ["1"]}}, shard=shard)

    return [scene.loop.create_task(send()) for _ in range(5)]


def _resume_refused(scene: Scene, shard: int) -> None:
    scene.sim.refuse_resume("op9", shard=shard)
    scene.sim.abort(shard)


def _forgotten(scene: Scene, shard: int) -> None:
    scene.sim.forget_session(shard)
    scene.sim.abort(shard)


def _identify_refused(scene: Scene, shard: int) -> None:
    scene.sim.refuse_identify("op9", shard=shard)
    scene.sim.op9(shard)


NOTHING = 0.0
FAULTS = [
    Fault("events", lambda scene, shard: scene.sim.emit_random(shard, 20), NOTHING),
    Fault("commands", _send, NOTHING),
    Fault("op1", lambda scene, shard: scene.sim.op1(shard, times=3), NOTHING),
    Fault("spare_acks", lambda scene, shard: scene.sim.send_acks(shard, 3), NOTHING),
    Fault("pings", lambda scene, shard: scene.sim.ping(shard, 5), NOTHING),
    Fault("second_hello", lambda scene, shard: scene.sim.send_hello(shard, 20_000), NOTHING),
    Fault("unknown_op", lambda scene, shard: scene.sim.send_op(shard, 99, {"d": 1}), NOTHING),
    Fault("late_acks", lambda scene, shard: scene.sim.delay_acks(shard, 5.0), NOTHING),
    Fault("clock", lambda scene, shard: scene.jump_wall(3600.0 * (1 - 2 * shard)), NOTHING),
    Fault("new_host", lambda scene, shard: scene.sim.swap_resume_host(), NOTHING),
    Fault("rest_503", lambda scene, shard: scene.sim.rest_fault(status=503, times=2), NOTHING),
    Fault("op7", lambda scene, shard: scene.sim.op7(shard)),
    Fault("op9_resumable", lambda scene, shard: scene.sim.op9(shard, resumable=True)),
    Fault("abort", lambda scene, shard: scene.sim.abort(shard)),
    Fault("eof", lambda scene, shard: scene.sim.eof(shard)),
    Fault("short_sleep", lambda scene, shard: scene.suspend(20.0)),
    Fault("long_sleep", lambda scene, shard: scene.suspend(120.0)),
    Fault("not_json", lambda scene, shard: scene.sim.send_raw(shard, b"not JSON")),
    Fault("bad_frame", lambda scene, shard: scene.sim.send_frames(shard, b"\xff\xff")),
    Fault("stall", lambda scene, shard: scene.sim.stall(shard, for_s=90.0), 1),
    Fault("kill", _kill, 1),
    Fault("kill_all", _restart, 2),
    Fault("stop", _stop, 2),
    Fault("no_acks", lambda scene, shard: scene.sim.drop_acks(shard), 2),
    Fault("acks", lambda scene, shard: scene.sim.drop_acks(shard, False), NOTHING),
    Fault("host_down", _host_down, 2 / 3),
    Fault("host_up", lambda scene, shard: scene.sim.resume_host_down(False), NOTHING),
    Fault("broken_replay", _replayed, 2 / 3),
    *_coded(1000, 1001, 1011, 4000, 4002, 4008, 4999, cost=1 / 3),
    *_mangled("duplicate", "gap", "corrupt", "truncate", "invalid_utf8", "text", "end_stream"),
    *_greeted(4000, "silent", "op7", "bad_interval", "no_interval", "second_hello", "pieces", "half"),
    *[_refused_dial(how, 2) for how in ("reset_dials", "refuse_upgrades", "hang_dials", "garble_dials")],
    Fault("op9", lambda scene, shard: scene.sim.op9(shard), 1),
    Fault("session_forgotten", _forgotten, 1 + 1 / 3),
    Fault("resume_refused", _resume_refused, 1),
    Fault("identify_refused", _identify_refused, 2),
    *_coded(4001, 4003, 4007, 4009, cost=1),
]

HAPPENING = st.tuples(
    st.sampled_from(FAULTS),
    st.sampled_from([0, 1]),
    st.sampled_from([0.0, 0.05, 0.5, 3.0, 12.0, 45.0]),
)


def most_open(scene: Scene) -> int:
    """Return how many connections were open at once, those left out on which the server had stopped."""
    ledger = scene.sim.ledger
    stopped = {one.link for one in ledger.stalls}
    there = {one.link for one in ledger.connections if one.link not in stopped}
    changes = [(one.at, 1) for one in ledger.connections if one.link in there]
    changes += [(one.at, -1) for one in ledger.closes if one.link in there]
    most = now = 0
    for _, change in sorted(changes):
        now += change
        most = max(most, now)
    return most


def calm(scene: Scene) -> None:
    """Let nothing go wrong any more."""
    sim = scene.sim
    sim.accept()
    sim.answer_dials()
    sim.answer_rest()
    sim.resume_host_down(False)
    for shard in (0, 1, None):
        sim.drop_acks(shard, False)
        sim.delay_acks(shard, 0.0)
        sim.stall(shard, False)


async def assert_back(scene: Scene) -> None:
    deadline = scene.loop.time() + BACK_S
    await scene.run_for(1.0)  # what happened last is known by then
    while not all(map(scene.is_live, scene.crew.board.views)):
        assert scene.loop.time() < deadline, scene.story()
        await scene.run_for(1.0)
    for shard in scene.crew.board.views:
        scene.sim.emit("TYPING_START", {"last": True}, shard=shard)
    await scene.settled()
    for shard in scene.crew.board.views:
        assert b'"last":true' in scene.events(shard=shard)[-1].payload, "live means that events come"
    connections = len(scene.sim.ledger.connections)
    await scene.run_for(100.0)
    assert len(scene.sim.ledger.connections) == connections, "no timer of before ends what is well"


@settings(max_examples=20, derandomize=True, deadline=None, database=None, phases=[Phase.generate])
@given(
    happenings=st.lists(HAPPENING, min_size=30, max_size=30),
    shards=st.sampled_from([1, 2]),
    seed=st.integers(0, 1000),
)
def test_whatever_happens_a_cluster_comes_back_loses_nothing_and_spends_little(
    tmp_path_factory: pytest.TempPathFactory,
    happenings: list[tuple[Fault, int, float]],
    shards: int,
    seed: int,
) -> None:
    bugs: list[object] = []
    asked: list[asyncio.Task[CommandDone]] = []
    cost = 0.0

    async def play(scene: Scene) -> None:
        nonlocal cost
        scene.loop.set_exception_handler(lambda _, context: bugs.append(context))
        await scene.live()
        for number, (fault, shard, pause_s) in enumerate(happenings, start=1):
            match fault.act(scene, shard % shards):
                case list() as commands:
                    asked.extend(commands)
                case None:
                    pass
                case happening:
                    await happening
            cost += fault.cost
            await scene.run_for(pause_s)
            if number % 10 == 0:
                calm(scene)
                await assert_back(scene)
        assert {command.result().code for command in asked} <= {None, "not_ready"}, "each has its answer"
        assert bugs == []
        assert most_open(scene) <= shards
        assert len(scene.sim.ledger.identifies) <= shards + cost
        closed_with = {close.code for close in scene.sim.ledger.closes if close.by == "client"}
        assert not closed_with & {1000, 1001}

    stage(
        tmp_path_factory.mktemp("scene"),
        play,
        config={"supervision": {"restarts": 1000, "within": "60s"}},
        violated={"wrong_resume_host"},
        shards=shards,
        guilds=4,
        seed=seed,
        session_ttl_s=900.0,
        buffer_events=100_000,
        wrong_host_close_after_s=None,
    )
