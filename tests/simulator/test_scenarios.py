"""Each scenario that comes with the simulator, against a whole cluster on virtual time."""

from pathlib import Path
from typing import Any

from gwsimulator import player, shelf
from support.scene import Scene, stage


def test_these_scenarios_come_with_the_simulator() -> None:
    assert shelf.names() == [
        "half-open",
        "identify-storm",
        "outage",
        "resume-host-dead",
        "rolling-restart",
    ]


def rehearse(folder: Path, name: str, **expect: Any) -> Scene:
    """Play a scenario to its end, and see every shard live then."""
    scenario = shelf.load(name)
    said: list[str] = []

    async def play(scene: Scene) -> None:
        await player.play(scenario, scene.sim, lambda at_s, words: said.append(f"{at_s:.0f} s: {words}"))
        await scene.live(within_s=1.0)

    scene = stage(folder, play, **{**scenario.settings, "rate": 0.5}, **expect)
    assert said[0].startswith(f"0 s: {name} begins when every shard")
    assert said[-1].endswith(f"{name} is over")
    assert len(said) == 2 + len(scenario.steps)
    return scene


def test_half_open_connections_are_left_and_their_sessions_resumed(tmp_path: Path) -> None:
    ledger = rehearse(tmp_path, "half-open").sim.ledger
    assert len(ledger.identifies) == 4
    assert {resume.shard for resume in ledger.resumes} == {0, 1, 2}


def test_after_an_identify_storm_every_shard_is_live_within_three_minutes(tmp_path: Path) -> None:
    outcomes = [one.outcome for one in rehearse(tmp_path, "identify-storm").sim.ledger.identifies]
    assert (outcomes.count("ready"), outcomes.count("op9")) == (16, 3)


def test_an_outage_costs_each_shard_few_identifies(tmp_path: Path) -> None:
    scene = rehearse(tmp_path, "outage")
    assert 8 <= len(scene.sim.ledger.identifies) <= 40
    assert scene.sim.ledger.resumes


def test_with_a_dead_resume_host_sessions_are_resumed_elsewhere(tmp_path: Path) -> None:
    scene = rehearse(tmp_path, "resume-host-dead", violated={"wrong_resume_host"})
    assert len(scene.sim.ledger.identifies) == 4
    assert {resume.outcome for resume in scene.sim.ledger.resumes} == {"resumed"}
    assert scene.sim.rules.sessions.lost == 0


def test_a_rolling_restart_costs_resumes_only(tmp_path: Path) -> None:
    scene = rehearse(tmp_path, "rolling-restart")
    assert len(scene.sim.ledger.identifies) == 16
    assert len(scene.sim.ledger.resumes) == 32
    assert scene.sim.rules.sessions.lost == 0
