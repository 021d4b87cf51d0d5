import pytest

from gwsimulator.scenario import Scenario
from gwsimulator.scenario_file import SETTINGS, parse
from gwsimulator.scenario_tree import ScenarioError


def read(text: str) -> Scenario:
    return parse(text, "mine", "mine.yaml")


def problems(text: str) -> list[str]:
    with pytest.raises(ScenarioError) as wrong:
        read(text)
    assert str(wrong.value) == "\n".join(wrong.value.problems)
    return wrong.value.problems


def wrong_step(*lines: str) -> list[str]:
    """Return what is wrong with a step whose first line is line 3."""
    return problems("about: x\nsteps:\n  - " + "\n    ".join(lines))


def test_a_whole_scenario() -> None:
    scenario = read(
        """
about: Everything at once.
begins: at once
lasts: 1.5h
repeat: forever
settings: {shards: 8, rate: 2.5, late_beat_code: null, daily_window: sliding, fragment: true}
steps:
  - after: 500ms
    do: close
    shards: [0, 2-4]
    code: 4000
    every: 1m
    times: 3
  - after: 10s
    say: The edge is gone
    do: refuse_upgrades
    status: 429
    headers: {Retry-After: 5}
    count: forever
  - at: 1h
    say: Done
"""
    )
    assert (scenario.about, scenario.begins, scenario.lasts_s) == ("Everything at once.", "at once", 5400.0)
    assert scenario.repeat is None
    assert scenario.settings == {
        "shards": 8,
        "rate": 2.5,
        "late_beat_code": None,
        "daily_window": "sliding",
        "fragment": True,
    }
    close, refuse, done = scenario.steps
    assert (close.at_s, close.shards, close.given) == (0.5, (0, 2, 3, 4), {"code": 4000})
    assert (close.every_s, close.times) == (60.0, 3)
    assert (refuse.at_s, refuse.shards) == (10.5, None)
    assert refuse.given == {"status": 429, "headers": {"Retry-After": "5"}, "times": None}
    assert (done.at_s, done.action) == (3600.0, None)


def test_everything_wrong_is_said_at_once_in_the_order_of_the_file() -> None:
    assert problems("abuot: x\nrepeat: 0\nsteps:\n  - do: op77\n    shards: all\n") == [
        "mine.yaml:1: abuot: is no key here; did you mean about?",
        "mine.yaml:1: about: is missing",
        "mine.yaml:2: repeat: 0 is neither a whole number from 1 on nor forever",
        "mine.yaml:4: steps[0].do: 'op77' is unknown; did you mean op7?",
    ]


def test_what_repeats_says_how_long_a_round_is() -> None:
    assert problems("about: x\nrepeat: 2\nsteps:\n  - say: a") == [
        "mine.yaml:1: lasts: is missing or 0s; with `repeat` it says how long one round is"
    ]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["do: op7"], "mine.yaml:3: steps[0].shards: is missing; write all, 0, 0-3 or [0, 2, 4-7]"),
        (
            ["do: op7", "shards: 4-1"],
            "steps[0].shards: '4-1' are no shards; write all, 0, 0-3 or [0, 2, 4-7]",
        ),
        (["do: op7", "shards: []"], "a list are no shards"),
        (["do: op7", "shards: all", "code: 4000"], "mine.yaml:5: steps[0].code: is no key here; there are"),
        (["do: close", "shards: all"], "mine.yaml:3: steps[0].code: is missing; close needs it"),
        (["do: close", "shards: 0", "code: 99"], "steps[0].code: 99 is no whole number from 1000 to 4999"),
        (["do: close", "shards: 0", "code: true"], "steps[0].code: true is no whole number"),
        (["do: op7", "shards: 0", "after: 10"], "steps[0].after: 10 has no unit; write 10s"),
        (["do: op7", "shards: 0", f"after: {10**400}"], "has no unit; write 1000000000"),
        (["do: op7", "shards: 0", "after: soon"], "'soon' is no duration; write 200ms, 10s, 1.5m or 1h"),
        (["do: op7", "shards: 0", "at: 1000h"], "'1000h' is longer than 168h"),
        (["do: op7", "shards: 0", "every: 5s"], "mine.yaml:5: steps[0].every: needs `times` beside it"),
        (["do: op7", "shards: 0", "times: 5"], "steps[0].times: needs `every` beside it"),
        (["do: answer_rest", "shards: 0"], "steps[0].shards: has no place here; this concerns no shard"),
        (["do: host_down", "host: resme"], "steps[0].host: 'resme' is unknown; did you mean resume?"),
        (["do: hang_dials", "host: other"], "'other' is no host; write gateway, resume, or"),
        (["do: greet", "how: loudly"], "steps[0].how: 'loudly' is none of silent, op7, op9"),
        (["do: mangle", "shards: 0", "how: [gap, x]"], "steps[0].how: a list has what is none of duplicate"),
        (["do: refuse_resume", "how: 12"], "12 is neither a close code from 1000 to 4999 nor op9 nor silent"),
        (
            ["do: refuse_resume", "how: op9", "count: never"],
            "'never' is neither a whole number from 1 on nor",
        ),
        (["do: drip", "shards: 0", "bytes_per_s: 0"], "0 is no number from 1 to 1e+09"),
        (["do: op9", "shards: 0", "resumable: 1"], "1 is neither true nor false"),
        (["do: rest_fault", "status: 500", "body: 7"], "7 is no text; put it in quotes"),
        (["do: rest_fault", "status: 500", "headers: [a]"], "is no mapping of header names to values"),
        (["after: 3s"], "mine.yaml:3: steps[0]: does nothing; write `do: op7` or `say: words`"),
        (["say: x", "at: 1s", "after: 1s"], "steps[0].after: stands beside `at`; keep one of them"),
        (["say: x", "shade: 1"], "steps[0].shade: is no key here; did you mean shards?"),
        (["just words"], "steps[0]: is no mapping; write `do: op7` or `say: words`"),
    ],
)
def test_what_is_wrong_with_a_step_is_said_with_line_and_key(lines: list[str], said: str) -> None:
    assert any(said in line for line in wrong_step(*lines)), wrong_step(*lines)


def test_a_step_can_not_lie_before_the_one_above() -> None:
    assert problems("about: x\nsteps:\n  - {at: 5s, say: a}\n  - {at: 1s, say: b}") == [
        "mine.yaml:4: steps[1].at: lies before the step above, at 5s"
    ]


def test_a_round_can_not_end_before_its_last_step() -> None:
    assert problems("about: x\nlasts: 1s\nsteps:\n  - {at: 5s, say: a}") == [
        "mine.yaml:1: lasts: ends before the last step, at 5s"
    ]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("shard: 3", "settings.shard: is no key here; did you mean shards?"),
        ("rate: fast", "settings.rate: 'fast' is no number from 0"),
        ("shards: 0", "settings.shards: shards must be at least 1, not 0"),
        ("mix: loud", "settings.mix: mix must be one of chat"),
        ("daily_window: round", "settings.daily_window: 'round' is none of fixed, sliding"),
        ("compressions: 1", "settings.compressions: is no key here"),
    ],
)
def test_settings_are_checked_one_by_one(written: str, said: str) -> None:
    (line,) = problems(f"about: x\nsettings:\n  {written}\nsteps:\n  - say: a")
    assert line.startswith(f"mine.yaml:3: {said}")


def test_every_setting_of_one_value_can_be_set() -> None:
    assert {"shards", "heartbeat_interval_ms", "late_beat_code", "shuffle_keys", "token"} <= SETTINGS.keys()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "mine.yaml: is empty; a scenario has at least `about` and `steps`"),
        ("- a", "mine.yaml:1: a scenario is a mapping with at least `about` and `steps`"),
        ("about: x\nsteps: 3", "mine.yaml:2: steps: is no list; a step begins with `- `"),
        ("about: x\nabout: y\n", "mine.yaml:2: about: is there already, on line 1"),
        ("about: &a x\nsteps: *a", "mine.yaml:1: anchors and aliases are not used here; write it out"),
        ("about: !x y", "mine.yaml:1: tags are not used here; remove !x"),
        ("about: x\n\tsteps: y", "mine.yaml:2: not YAML: "),
        ("a: [", "not YAML: "),
        ("? [a]\n: b", "mine.yaml:1: a key is a word"),
        ("[" * 5000, "mine.yaml:1: is nested too deep for a scenario"),
        ("about: x\nsettings: 3\nsteps: [{say: a}]", "mine.yaml:2: settings: is no mapping of settings"),
    ],
)
def test_what_is_no_scenario_at_all_is_said(text: str, said: str) -> None:
    assert problems(text)[0].startswith(said) or said in problems(text)[0]
