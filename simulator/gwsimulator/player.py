"""Does: plays a scenario, step by step on the event loop's clock, and says each as it is played."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gwsimulator.scenario import Moment, Scenario
from gwsimulator.server import Simulator

Say = Callable[[float, str], None]
"""Takes the seconds since the scenario began, and words."""

_LOOK_S = 0.1


async def play(scenario: Scenario, sim: Simulator, say: Say) -> None:
    """Play all rounds of a scenario; cancel it to end it before.

    Args:
        scenario: what to play.
        sim: listens already, with the scenario's settings.
        say: is told each step as it is played.
    """
    loop = asyncio.get_running_loop()
    if scenario.begins == "live":
        say(0.0, f"{scenario.name} begins when every shard of {sim.settings.shards} is live")
        while not _all_live(sim):  # noqa: ASYNC110 - the rules wake nobody up
            await asyncio.sleep(_LOOK_S)
    began = at = loop.time()
    played = 0
    while scenario.repeat is None or played < scenario.repeat:
        played += 1
        if scenario.repeat != 1:
            say(loop.time() - began, f"round {played}")
        for moment in scenario.moments(_shards(sim)):
            await _until(at + moment.at_s)
            if moment.words:
                say(loop.time() - began, moment.words)
            _carry_out(moment, sim)
        if scenario.lasts_s is not None:
            at += scenario.lasts_s
            await _until(at)
    say(loop.time() - began, f"{scenario.name} is over")


def _all_live(sim: Simulator) -> bool:
    return all(
        any(session.live for session in sim.rules.sessions.on_shard(shard))
        for shard in range(sim.settings.shards)
    )


def _shards(sim: Simulator) -> int:
    """Return the greatest shard count around: the recommended one, or one that a client chose."""
    return max([sim.settings.shards, *(session.place[1] for session in sim.rules.sessions.all())])


def _carry_out(moment: Moment, sim: Simulator) -> None:
    if moment.step.action is not None:
        for shard in moment.shards:
            moment.step.action.carry_out(sim, shard, moment.step.given)


async def _until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - asyncio.get_running_loop().time()))
