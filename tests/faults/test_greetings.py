"""F13 to F17: what comes before, instead of or after Hello, and when the first heartbeat follows it.

https://docs.discord.com/developers/events/gateway#hello-event and gateway-events#reconnect
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gwsimulator.faults import Greeting
from gwworker.scan import BadPayloadError, Hello, parse
from support.scene import Scene, stage

INTERVAL_S = 41.25
HELLO_S = 20.0
AT_REST_HOST = {"wrong_resume_host"}
"""Where the resume host is of no use, the other one is asked, which the simulator notes."""


def ours(scene: Scene) -> list[int | None]:
    """Return the code of each close that was ours."""
    return [one.code for one in scene.sim.ledger.closes if one.by == "client"]


def hosts(scene: Scene) -> list[str]:
    return [one.host for one in scene.sim.ledger.connections]


# Silence


@pytest.mark.parametrize("greeting", ["silent", "half"])
def test_f13_a_gateway_that_says_nothing_is_left_after_20_s_and_dialed_again(
    tmp_path: Path, greeting: Greeting
) -> None:
    async def play(scene: Scene) -> None:
        scene.sim.greet(greeting, times=4)
        await scene.start()
        await scene.live(within_s=300.0)
        moments = [one.at for one in scene.sim.ledger.connections]
        gaps = [after - before for before, after in pairwise(moments)]
        assert len(gaps) == 4
        assert min(gaps) >= HELLO_S
        assert max(gaps) <= HELLO_S + 2.0 + 8.0
        assert ours(scene) == [4900] * 4
        assert [beat.link for beat in scene.sim.ledger.beats] == [], "before Hello there is no interval"
        assert len(scene.sim.ledger.identifies) == 1

    stage(tmp_path, play, start=False)


def test_f13_a_resume_host_that_says_nothing_is_left_for_the_other_the_first_time(tmp_path: Path) -> None:
    # The second time would do for one shard, but 20 s of a session that lives for minutes are dear.
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.silence_dials(host="resume", times=None)
        scene.sim.abort(0)
        (resume,) = await scene.until(lambda: scene.sim.ledger.resumes)
        await scene.live()
        assert hosts(scene) == ["gateway", "resume", "gateway"]
        silent_at = scene.sim.ledger.connections[1].at
        assert HELLO_S <= resume.at - silent_at <= HELLO_S + 1.1
        assert (resume.host, resume.seq, resume.outcome) == ("gateway", 3, "resumed")
        assert ours(scene) == [4900]
        assert len(scene.sim.ledger.identifies) == 1

    stage(tmp_path, play, violated=AT_REST_HOST)


def test_f13_a_hello_after_19_s_is_in_time(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        scene.sim.silence_dials()
        await scene.start()
        await scene.run_for(19.0)
        scene.sim.send_hello(None)
        await scene.live()
        assert len(scene.sim.ledger.connections) == 1
        assert ours(scene) == []

    stage(tmp_path, play, start=False)


# Op 7, or a close, before or in place of Hello


def test_f14_op_7_instead_of_hello_keeps_the_session_and_dials_again_in_1_to_5_s(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.greet("op7")
        scene.sim.abort(0)
        (resume,) = await scene.until(lambda: scene.sim.ledger.resumes)
        await scene.live()
        _, sent_away, again = scene.sim.ledger.connections
        assert hosts(scene) == ["gateway", "resume", "resume"], "once may happen to any host"
        assert 1.0 <= again.at - sent_away.at <= 5.1
        assert (resume.seq, resume.outcome) == (3, "resumed")
        assert ours(scene) == [4900]
        assert len(scene.sim.ledger.identifies) == 1
        assert scene.notices("GWCLUSTER_SESSION_LOST") == []

    stage(tmp_path, play)


@pytest.mark.parametrize("first", ["op7", 1001, 1012, 4000])
@pytest.mark.parametrize("second", ["op7", 1001])
def test_f14_a_resume_host_that_sends_us_away_twice_in_a_row_is_left_for_the_other(
    tmp_path: Path, first: Greeting, second: Greeting
) -> None:
    # A node that drains, and to which a load balancer still leads: the address itself is of no use now.
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.greet(first, second, host="resume")
        scene.sim.abort(0)
        (resume,) = await scene.until(lambda: scene.sim.ledger.resumes)
        await scene.live()
        assert hosts(scene) == ["gateway", "resume", "resume", "gateway"]
        assert (resume.host, resume.outcome) == ("gateway", "resumed")
        assert len(scene.sim.ledger.identifies) == 1

    stage(tmp_path, play, violated=AT_REST_HOST)


def test_f14_op_7_instead_of_hello_before_there_is_a_session_costs_no_permit(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        scene.sim.greet("op7", times=3)
        await scene.start()
        await scene.live()
        moments = [one.at for one in scene.sim.ledger.connections]
        gaps = [after - before for before, after in pairwise(moments)]
        assert len(gaps) == 3
        assert min(gaps) >= 1.0
        assert max(gaps) <= 5.1
        assert ours(scene) == [4900] * 3
        (identify,) = scene.sim.ledger.identifies
        assert identify.link == 4

    stage(tmp_path, play, start=False)


def test_f14_op_7_instead_of_every_hello_is_no_loop_and_no_reason_to_identify(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.greet("op7", times=None)
        scene.sim.abort(0)
        await scene.run_for(300.0)
        dials = hosts(scene)[1:]
        assert 5 <= len(dials) <= 20, "further and further apart"
        assert {"gateway", "resume"} == set(dials)
        assert set(ours(scene)) == {4900}
        assert scene.sim.ledger.resumes == []
        scene.sim.answer_dials()
        await scene.live()
        assert [one.outcome for one in scene.sim.ledger.resumes] == ["resumed"]
        assert len(scene.sim.ledger.identifies) == 1

    stage(tmp_path, play, violated=AT_REST_HOST, session_ttl_s=900.0)


def test_f14_what_comes_before_hello_changes_nothing(tmp_path: Path) -> None:
    # Neither is Hello promised to be the first message, nor READY the second.
    async def play(scene: Scene) -> None:
        scene.sim.silence_dials()
        await scene.start()
        await scene.settled()
        for op, d in ((11, None), (99, {}), (1, None), (11, None)):
            scene.sim.send_op(None, op, d)
        await scene.run_for(1.0)
        assert [beat.seq for beat in scene.sim.ledger.beats] == [None], "op 1 is answered all the same"
        scene.sim.send_hello(None)
        await scene.live()
        assert len(scene.sim.ledger.connections) == 1
        assert scene.seqs() == [1, 2, 3]

    stage(tmp_path, play, start=False)


# Intervals that are none


@pytest.mark.parametrize(
    "greeting", ["bad_interval", "negative_interval", "text_interval", "no_interval", "op9"]
)
def test_f15_a_hello_without_a_usable_interval_ends_the_connection_and_starts_no_beats(
    tmp_path: Path, greeting: Greeting
) -> None:
    async def play(scene: Scene) -> None:
        scene.sim.greet(greeting, times=3)
        await scene.start()
        await scene.live()
        await scene.run_for(5.0)
        moments = [one.at for one in scene.sim.ledger.connections]
        gaps = [after - before for before, after in pairwise(moments)]
        assert len(gaps) == 3
        assert max(gaps) <= 5.2
        assert ours(scene) == [4900] * 3
        assert {beat.link for beat in scene.sim.ledger.beats} <= {4}
        assert len(scene.sim.ledger.frames) <= 2, "IDENTIFY, and perhaps a first beat"
        assert len(scene.sim.ledger.identifies) == 1

    stage(tmp_path, play, start=False)


@pytest.mark.parametrize("greeting", ["bad_interval", "negative_interval", "text_interval", "no_interval"])
def test_f15_a_resume_host_without_a_usable_hello_is_left_for_the_other_the_second_time(
    tmp_path: Path, greeting: Greeting
) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.greet(greeting, host="resume", times=None)
        scene.sim.abort(0)
        (resume,) = await scene.until(lambda: scene.sim.ledger.resumes)
        await scene.live()
        assert hosts(scene) == ["gateway", "resume", "resume", "gateway"]
        assert (resume.host, resume.seq, resume.outcome) == ("gateway", 3, "resumed")
        assert ours(scene) == [4900] * 2
        assert len(scene.sim.ledger.identifies) == 1

    stage(tmp_path, play, violated=AT_REST_HOST)


@pytest.mark.parametrize(
    "interval",
    ["0", "-1", "-41250", '"41250"', "null", "true", "[41250]", "{}", "NaN", "Infinity", "1e999", "0.0"],
)
def test_f15_only_a_number_of_milliseconds_above_zero_is_an_interval(interval: str) -> None:
    with pytest.raises(BadPayloadError, match="heartbeat_interval"):
        parse(b'{"t":null,"s":null,"op":10,"d":{"heartbeat_interval":%s}}' % interval.encode())


@pytest.mark.parametrize(("interval_ms", "interval_s"), [(45_000, 45.0), (41_250, 41.25), (0.5e3, 0.5)])
def test_f15_any_other_interval_is_taken_as_it_comes(interval_ms: float, interval_s: float) -> None:
    # 45,000 is what Discord's documentation shows, 41,250 what it sends.
    said = json.dumps({"op": 10, "d": {"heartbeat_interval": interval_ms}})
    assert parse(said.encode()) == Hello(interval_s)


# Two of them


def beats_after(scene: Scene, moment: float) -> list[float]:
    """Return when heartbeats came, in seconds from a moment of the loop's clock."""
    return [beat.at - moment for beat in scene.sim.ledger.beats if beat.at >= moment]


def test_f16_two_hellos_at_once_are_one_timer_and_one_identify(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        scene.sim.greet("second_hello")
        await scene.start()
        await scene.live()
        await scene.run_for(10 * INTERVAL_S)
        (hello,) = scene.sim.ledger.hellos
        gaps = [after - before for before, after in pairwise(beats_after(scene, hello.at))]
        assert gaps == pytest.approx([INTERVAL_S] * len(gaps), abs=0.01)
        assert len(gaps) in {8, 9}
        assert len(scene.sim.ledger.identifies) == 1
        assert len(scene.sim.ledger.connections) == 1

    stage(tmp_path, play, start=False)


@pytest.mark.parametrize("interval_ms", [30_000, 10_000, 50_000, 41_250])
def test_f16_a_second_hello_brings_its_interval_and_no_second_timer(tmp_path: Path, interval_ms: int) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        (first,) = await scene.until(lambda: scene.sim.ledger.beats)
        await scene.run_for(1.0)
        at = scene.loop.time()
        scene.sim.send_hello(0, interval_ms)
        await scene.run_for(300.0)
        new_s = interval_ms / 1000
        beats = beats_after(scene, at)
        assert beats[0] <= new_s + 0.01, "the first within the new interval, too"
        assert at + beats[0] <= first.at + INTERVAL_S + 0.01, "and within the old"
        gaps = [after - before for before, after in pairwise(beats)]
        assert gaps == pytest.approx([new_s] * len(gaps), abs=0.01)
        assert len(scene.sim.ledger.identifies) == 1
        assert len(scene.sim.ledger.connections) == 1

    stage(tmp_path, play, excused={"I7"} if interval_ms > 41_250 else ())  # it knows the first Hello only


def test_f16_a_hello_while_a_permit_is_awaited_or_replay_runs_identifies_and_resumes_once(
    tmp_path: Path,
) -> None:
    async def play(scene: Scene) -> None:
        await scene.start()
        await scene.until(lambda: scene.sim.ledger.identifies)
        scene.sim.send_hello(None)  # one shard waits for READY, the other for its permit
        await scene.live()
        scene.sim.refuse_resume("silent")
        scene.sim.abort(0)
        await scene.until(lambda: scene.sim.ledger.resumes)
        scene.sim.send_hello(0)
        await scene.live(within_s=200.0)
        assert len(scene.sim.ledger.identifies) == 2
        assert len(scene.sim.ledger.resumes) == 2, "one was never answered"
        assert scene.sim.ledger.rules_broken() <= AT_REST_HOST

    stage(tmp_path, play, start=False, shards=2, ready_delay_s=1.0, violated=AT_REST_HOST)


def test_f16_a_second_hello_that_makes_no_sense_ends_the_connection(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.send_hello(0, 0)
        (resume,) = await scene.until(lambda: scene.sim.ledger.resumes)
        assert resume.outcome == "resumed"
        assert ours(scene) == [4900]
        assert len(scene.sim.ledger.beats) <= 1
        assert len(scene.sim.ledger.identifies) == 1

    stage(tmp_path, play)


# In fewer words, or in pieces


@pytest.mark.parametrize("greeting", ["without_keys", "pieces"])
@pytest.mark.parametrize("terse", [False, True])
@pytest.mark.parametrize("compression", ["zstd-stream", "zlib-stream", "none"])
def test_f17_hello_and_acks_need_no_more_than_their_op(
    tmp_path: Path, greeting: Greeting, terse: bool, compression: str
) -> None:
    # On the wire: {"t":null,"s":null,"op":11,"d":null}; in the documentation: {"op": 11}.
    async def play(scene: Scene) -> None:
        scene.sim.greet(greeting, times=None)
        scene.sim.bare_acks(None)
        await scene.start()
        await scene.live()
        await scene.run_for(4 * INTERVAL_S)
        assert len(scene.sim.ledger.beats) >= 3
        assert len(scene.sim.ledger.connections) == 1
        assert scene.seqs() == [1, 2, 3]

    config = {"gateway": {"compression": compression}}
    stage(tmp_path, play, start=False, config=config, terse=terse)


# The first heartbeat


def test_f16_first_beats_are_spread_over_the_interval_and_further_ones_keep_to_it(tmp_path: Path) -> None:
    # "heartbeat_interval * jitter where jitter is any random value between 0 and 1"
    async def play(scene: Scene) -> None:
        await scene.live()
        await scene.run_for(5 * INTERVAL_S)
        ledger = scene.sim.ledger
        times: dict[int, list[float]] = {hello.link: [hello.at] for hello in ledger.hellos}
        for beat in ledger.beats:
            times[beat.link].append(beat.at)
        firsts = sorted(some[1] - some[0] for some in times.values())
        assert len(firsts) == 32
        assert 0.0 <= firsts[0] < INTERVAL_S / 4
        assert INTERVAL_S * 3 / 4 < firsts[-1] <= INTERVAL_S
        assert max(after - before for before, after in pairwise(firsts)) < INTERVAL_S / 3
        for some in times.values():
            gaps = [after - before for before, after in pairwise(some[1:])]
            assert gaps == pytest.approx([INTERVAL_S] * len(gaps), abs=0.01)
        identified: dict[int | None, Any] = {one.link: one.at for one in ledger.identifies}
        waits = [identified[hello.link] - hello.at for hello in ledger.hellos]
        assert max(waits) < 1.0, "and IDENTIFY waits for no beat"

    stage(tmp_path, play, shards=32, guilds=32, max_concurrency=32)
