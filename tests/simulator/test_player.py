import asyncio

from gwsimulator import Simulator, player
from gwsimulator.actions import ACTIONS
from gwsimulator.scenario import Scenario, Step
from gwsimulator.scenario_file import parse
from support.sim_client import RawClient
from support.sim_scene import live, now, ops, play, raw


def test_steps_are_played_at_their_times_and_said() -> None:
    said: list[tuple[float, str]] = []
    scenario = Scenario(
        "mine",
        "x",
        (
            Step(2.0, action=ACTIONS["op1"], shards=(0,), given={"times": 2}),
            Step(5.0, action=ACTIONS["drop_acks"], shards="all"),
            Step(6.0, say="over soon"),
        ),
        begins="at once",
        lasts_s=9.0,
    )

    async def scene(sim: Simulator) -> None:
        async with live(sim) as (client, _):
            began = now()
            playing = asyncio.create_task(player.play(scenario, sim, lambda *one: said.append(one)))
            assert await ops(client, 2) == [1, 1]
            assert round(now() - began, 1) == 2.0
            await playing
            assert round(now() - began, 1) == 9.0
            await client.send(1, 3)
            sim.op1(0)
            assert await ops(client, 1) == [1]

    play(scene)
    assert [(round(at_s, 1), words) for at_s, words in said] == [
        (2.0, "ask shard 0 for a heartbeat (op 1)"),
        (5.0, "answer no heartbeat of every shard"),
        (6.0, "over soon"),
        (9.0, "mine is over"),
    ]


def test_the_clock_waits_until_every_shard_is_live() -> None:
    scenario = Scenario("mine", "x", (Step(1.0, say="a"),))
    said: list[tuple[float, str]] = []

    async def scene(sim: Simulator) -> None:
        playing = asyncio.create_task(player.play(scenario, sim, lambda *one: said.append(one)))
        async with live(sim):
            await asyncio.sleep(30)
            assert len(said) == 1
            async with live(sim, shard=1):
                began = now()
                await playing
                assert 1.0 <= now() - began < 1.3

    play(scene)


def test_rounds_follow_one_another_until_it_is_cancelled() -> None:
    text = "about: x\nbegins: at once\nlasts: 10s\nrepeat: forever\nsteps:\n  - {after: 4s, say: a}"
    said: list[tuple[int, str]] = []

    async def scene(sim: Simulator) -> None:
        playing = asyncio.create_task(
            player.play(
                parse(text, "mine", "mine.yaml"), sim, lambda *one: said.append((round(one[0]), one[1]))
            )
        )
        await asyncio.sleep(25)
        playing.cancel()

    play(scene)
    assert said == [(0, "round 1"), (4, "a"), (10, "round 2"), (14, "a"), (20, "round 3"), (24, "a")]


def test_all_shards_are_those_that_a_client_chose_if_they_are_more() -> None:
    scenario = Scenario(
        "mine", "x", (Step(1.0, action=ACTIONS["close"], shards="all", given={"code": 4000}),)
    )

    async def scene(sim: Simulator) -> None:
        async with live(sim), live(sim, shard=1), RawClient(sim.gateway_url) as third:
            await third.identify(3, 4)
            await player.play(scenario, sim, lambda *_: None)
            assert await third.close_code() == 4000

    play(scene)


def test_a_scenario_reaches_rest_and_dials() -> None:
    text = """
about: x
begins: at once
steps:
  - {do: rest_fault, status: 503, count: forever, path: /gateway/bot}
  - {do: refuse_upgrades, status: 429, headers: {Retry-After: 9}, count: 2}
  - {after: 1s, say: end}
"""

    async def scene(sim: Simulator) -> None:
        await player.play(parse(text, "mine", "mine.yaml"), sim, lambda *_: None)
        for _ in range(3):
            assert b" 503 " in await raw(sim.gateway_url, b"GET /api/v10/gateway/bot HTTP/1.1\r\n\r\n")
        answer = await raw(sim.gateway_url, b"GET /?v=10 HTTP/1.1\r\n\r\n")
        assert b" 429 " in answer
        assert b"Retry-After: 9" in answer

    play(scene)
