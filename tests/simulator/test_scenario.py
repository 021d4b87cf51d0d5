from gwsimulator.actions import ACTIONS
from gwsimulator.scenario import Scenario, Step


def test_shards_come_one_after_the_other_or_several_at_a_time() -> None:
    step = Step(10.0, action=ACTIONS["op7"], shards="all", together=2, stagger_s=5.0)
    assert [(one.at_s, one.shards) for one in step.moments(5)] == [
        (10.0, (0, 1)),
        (15.0, (2, 3)),
        (20.0, (4,)),
    ]


def test_a_step_is_said_each_time_that_it_begins() -> None:
    step = Step(1.0, action=ACTIONS["op7"], shards=(3, 1), stagger_s=0.5, together=1, every_s=10.0, times=2)
    moments = list(step.moments(8))
    assert [(one.at_s, one.shards, bool(one.words)) for one in moments] == [
        (1.0, (3,), True),
        (1.5, (1,), False),
        (11.0, (3,), True),
        (11.5, (1,), False),
    ]


def test_steps_of_one_moment_keep_their_order_and_repetitions_mix() -> None:
    first = Step(1.0, say="first", every_s=4.0, times=3)
    second = Step(1.0, say="second")
    third = Step(6.0, say="third")
    scenario = Scenario("mine", "x", (first, second, third))
    said = [(one.at_s, one.step.say) for one in scenario.moments(1)]
    assert said == [(1.0, "first"), (1.0, "second"), (5.0, "first"), (6.0, "third"), (9.0, "first")]


def test_what_would_come_after_the_end_of_a_round_is_left_out() -> None:
    scenario = Scenario("mine", "x", (Step(1.0, say="a", every_s=4.0, times=3),), lasts_s=5.0)
    assert [one.at_s for one in scenario.moments(1)] == [1.0, 5.0]


def test_a_step_says_what_it_does_to_whom_how_and_how_often() -> None:
    close = ACTIONS["close"]
    assert Step(0.0, action=close, written={"code": "4000"}, shards=(0, 1, 2, 3)).words() == (
        "close the connection of shards 0 to 3 (code: 4000)"
    )
    assert Step(0.0, action=ACTIONS["op7"], shards=(5,)).words() == "ask shard 5 to reconnect (op 7)"
    assert Step(0.0, action=ACTIONS["op7"], shards=(5, 7)).words().startswith("ask shards 5, 7 to")
    every = Step(0.0, say="Now", action=ACTIONS["op7"], shards="all", every_s=2.0, times=3, stagger_s=1.0)
    assert every.words() == (
        "Now: ask every shard to reconnect (op 7) (1 at a time, 1 s apart, 3 times, every 2 s)"
    )
    assert Step(0.0, action=ACTIONS["accept"]).words() == "accept IDENTIFYs and RESUMEs of any shard again"
    assert Step(0.0, say="only words").words() == "only words"
