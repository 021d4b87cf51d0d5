from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

from gwcluster.board import Counts
from gwcluster.notify.roll_call import RollCall
from gwcluster.notify.watch import Kind, News, Watch
from gwcluster.sight import Neighbours, Sight

WELL = Sight(counts=Counts(ready=500, total=500, degraded=0, failed=0), live=frozenset(range(500)))
DOWN = replace(WELL, counts=Counts(ready=499, total=500, degraded=0, failed=0))


class Rig:
    """A watch on a clock that `pass_` moves by the second; each message arrives at once."""

    def __init__(self) -> None:
        self.watch = Watch()
        self.now = 10_000.0
        self.messages: list[tuple[float, list[News]]] = []

    def pass_(self, seen: Sight, seconds: int) -> list[News]:
        """Let it be so for a while; return the lines that this brought."""
        before = len(self.messages)
        for _ in range(seconds):
            self.now += 1.0
            self.watch.look(seen, self.now)
            if news := self.watch.news(self.now):
                self.messages.append((self.now, news))
                self.watch.told(news, self.now)
        return [line for _, news in self.messages[before:] for line in news]


def test_all_well_is_nothing_to_tell() -> None:
    assert Rig().pass_(WELL, 1000) == []


def test_five_hundred_failing_shards_are_one_line_in_one_message() -> None:
    rig = Rig()
    for shard in range(500):
        rig.pass_(replace(WELL, failed=dict.fromkeys(range(shard + 1), "died 6 times")), 1)
    failed = replace(WELL, failed=dict.fromkeys(range(500), "died 6 times"))
    rig.pass_(failed, 600)
    assert len(rig.messages) <= 500 / 30 + 2
    at = [moment for moment, _ in rig.messages]
    assert all(later - earlier >= 30.0 for earlier, later in itertools.pairwise(at))
    assert [len(news) for _, news in rig.messages] == [1] * len(rig.messages)
    assert sum(len(news[0].shards) for _, news in rig.messages) == 500


def test_what_fails_together_is_told_together_after_two_seconds() -> None:
    rig = Rig()
    assert rig.pass_(replace(WELL, failed={3: "a"}), 1) == []
    assert rig.pass_(replace(WELL, failed={3: "a", 4: "b"}), 3) == [
        News(Kind.FAILED, False, (3, 4), "a", 2.0),
    ]


def test_the_same_thing_is_told_once_however_long_it_lasts() -> None:
    rig = Rig()
    failed = replace(WELL, failed={3: "a"})
    assert len(rig.pass_(failed, 10)) == 1
    assert rig.pass_(failed, 86_400) == []


def test_a_failed_shard_is_well_only_when_it_is_live_and_has_been_so_for_a_while() -> None:
    rig = Rig()
    rig.pass_(replace(WELL, failed={3: "a"}), 10)
    starting = replace(WELL, live=WELL.live - {3})
    assert rig.pass_(starting, 100) == []
    assert rig.pass_(WELL, 20) == []
    assert rig.pass_(starting, 40) == []
    assert rig.pass_(WELL, 30) == []
    (line,) = rig.pass_(WELL, 3)
    assert (line.kind, line.over, line.shards) == (Kind.FAILED, True, (3,))
    assert line.lasted_s == 170.0


def test_a_shard_that_fails_again_before_it_was_live_is_no_news() -> None:
    rig = Rig()
    failed, starting = replace(WELL, failed={3: "a"}), replace(WELL, live=WELL.live - {3})
    rig.pass_(failed, 10)
    rig.pass_(starting, 50)
    assert rig.pass_(failed, 100) == []


def test_a_log_that_can_not_be_written_is_told_after_a_minute_without_a_break() -> None:
    rig = Rig()
    degraded = replace(WELL, degraded={7: "No space left on device"})
    for _ in range(3):
        assert rig.pass_(degraded, 50) == []
        assert rig.pass_(WELL, 1) == []
    assert rig.pass_(degraded, 60) == []
    assert rig.pass_(degraded, 3) == [News(Kind.DEGRADED, False, (7,), "No space left on device", 62.0)]


def test_what_flickers_is_not_over() -> None:
    rig = Rig()
    degraded = replace(WELL, degraded={7: "full"})
    rig.pass_(degraded, 70)
    for _ in range(20):
        assert rig.pass_(WELL, 29) == []
        assert rig.pass_(degraded, 1) == []
    lines = rig.pass_(WELL, 60)
    assert [(line.kind, line.over) for line in lines] == [(Kind.DEGRADED, True)]


def test_shards_that_are_not_all_live_are_told_after_five_minutes() -> None:
    rig = Rig()
    assert rig.pass_(DOWN, 300) == []
    assert rig.pass_(DOWN, 3) == [News(Kind.DOWN, False, (), "499 of 500 shards are live", 302.0)]
    (line,) = rig.pass_(WELL, 60)
    assert (line.kind, line.over, line.lasted_s) == (Kind.DOWN, True, 303.0)


def test_a_discord_that_tells_no_shards_is_told_after_five_minutes_too() -> None:
    (line,) = Rig().pass_(Sight(), 310)
    assert (line.kind, line.why) == (Kind.DOWN, "no shard runs yet: Discord has not told how many there are")


def test_a_used_up_budget_and_permits_that_are_held_back_are_told_and_when_that_ends() -> None:
    rig = Rig()
    assert [one.kind for one in rig.pass_(replace(WELL, slowed="200 bore nothing"), 5)] == [Kind.SLOWED]
    lines = rig.pass_(replace(WELL, exhausted="0 of 1000"), 70)
    assert [(one.kind, one.over, one.why) for one in lines] == [
        (Kind.EXHAUSTED, False, "0 of 1000"),
        (Kind.SLOWED, True, "200 bore nothing"),
    ]
    assert [(one.kind, one.over) for one in rig.pass_(WELL, 70)] == [(Kind.EXHAUSTED, True)]


def test_a_refusal_stands_first() -> None:
    lines = Rig().pass_(replace(WELL, failed={1: "a"}, refused="status 401"), 3)
    assert [one.kind for one in lines] == [Kind.REFUSED, Kind.FAILED]


def test_a_stop_that_was_asked_for_is_no_news() -> None:
    rig = Rig()
    stopping = Sight(counts=Counts(ready=0, total=500, degraded=0, failed=0), stopping=True)
    assert rig.pass_(stopping, 1000) == []
    assert rig.watch.last_words(rig.now) == []


def test_the_last_words_are_what_was_not_told_yet() -> None:
    rig = Rig()
    rig.pass_(replace(WELL, failed={3: "a"}), 10)
    rig.watch.look(replace(WELL, failed={3: "a"}, refused="status 401"), rig.now)
    assert [one.kind for one in rig.watch.last_words(rig.now)] == [Kind.REFUSED]


def test_a_message_that_did_not_arrive_is_made_up_for_by_a_later_one() -> None:
    watch = Watch()
    failed = replace(WELL, failed={3: "a"})
    watch.look(failed, 10_000.0)
    watch.news(10_000.0)
    assert len(watch.news(10_002.0)) == 1
    watch.wait(10_002.0, 900.0)
    both = replace(WELL, failed={3: "a", 4: "b"})
    watch.look(both, 10_003.0)
    assert watch.news(10_003.0) == watch.news(10_901.0) == []
    assert watch.news(10_902.0)[0].shards == (3, 4)


def hosted(*present: str, me: str = "a", **changes: Any) -> Sight:
    """Return what host `me` sees of these hosts; none named: nobody knows who is there."""
    neighbours = Neighbours(me, present=frozenset(present) if present else None, **changes)
    return replace(WELL, neighbours=neighbours)


def test_a_silent_nats_is_told_by_every_host_and_its_answer_too() -> None:
    rig = Rig()
    (line,) = rig.pass_(hosted(me="b", silent="…", why="no servers available"), 10)
    assert (line.kind, line.over, line.shards, line.hosts) == (Kind.SILENT, False, (), ())
    assert line.why == (
        "no servers available; the shards of host b pause when their leases end, and resume when it answers"
    )
    (line,) = rig.pass_(hosted("a", "b", me="b"), 60)
    assert (line.kind, line.over) == (Kind.SILENT, True)


def test_a_host_that_is_gone_for_a_minute_is_told_and_that_it_is_back() -> None:
    rig = Rig()
    rig.pass_(hosted("a", "b", "c"), 100)
    assert rig.pass_(hosted("a", "b"), 55) == []
    assert rig.pass_(hosted("a", "b", "c"), 100) == [], "it was started anew"
    (line,) = rig.pass_(hosted("a"), 70)
    assert (line.kind, line.over, line.hosts) == (Kind.GONE, False, ("b", "c"))
    assert rig.pass_(hosted("a"), 3600) == []
    (line,) = rig.pass_(hosted("a", "c"), 60)
    assert (line.kind, line.over, line.hosts) == (Kind.GONE, True, ("c",))


def test_who_has_been_drained_may_go() -> None:
    rig = Rig()
    rig.pass_(hosted("a", "b"), 10)
    rig.pass_(hosted("a", "b", draining=frozenset({"b"})), 10)
    assert rig.pass_(hosted("a"), 3600) == []


def test_while_nats_is_silent_nobody_is_said_to_be_gone_and_who_was_stays_so() -> None:
    rig = Rig()
    rig.pass_(hosted("a", "b"), 10)
    assert {line.kind for line in rig.pass_(hosted(silent="…"), 600)} == {Kind.SILENT}
    rig.pass_(hosted("a", "b"), 60)
    assert {line.kind for line in rig.pass_(hosted("a"), 70)} == {Kind.GONE}
    assert [line.kind for line in rig.pass_(hosted(silent="…"), 600)] == [Kind.SILENT]


def test_shards_that_are_free_for_a_minute_are_told_once_by_one_host() -> None:
    first, second = Rig(), Rig()
    free: dict[str, Any] = {"free": (3, 4)}
    assert first.pass_(hosted("a", "b", **free), 59) == []
    (line,) = first.pass_(hosted("a", "b", **free), 10)
    assert (line.kind, line.over, line.shards) == (Kind.FREE, False, (3, 4))
    assert second.pass_(hosted("a", "b", me="b", **free), 600) == []
    (line,) = first.pass_(hosted("a", "b"), 60)
    assert (line.kind, line.over, line.shards) == (Kind.FREE, True, (3, 4))


def test_what_one_host_told_it_takes_back_also_when_another_one_speaks_by_then() -> None:
    rig = Rig()
    (line,) = rig.pass_(hosted("b", "c", me="b", free=(3,)), 70)
    assert rig.pass_(hosted("a", "b", "c", me="b", free=(3,)), 600) == []
    (line,) = rig.pass_(hosted("a", "b", "c", me="b"), 60)
    assert (line.kind, line.over) == (Kind.FREE, True)


def test_the_next_host_speaks_when_the_first_one_is_gone() -> None:
    rig = Rig()
    rig.pass_(hosted("a", "b", me="b"), 10)
    (line,) = rig.pass_(hosted("b", me="b"), 70)
    assert (line.kind, line.hosts) == (Kind.GONE, ("a",))


def test_a_failed_shard_that_another_host_runs_now_is_over() -> None:
    rig = Rig()
    (line,) = rig.pass_(replace(hosted("a", "b"), failed={3: "died"}, live=WELL.live - {3}), 10)
    moved = replace(hosted("a", "b", away=frozenset({3})), live=WELL.live - {3})
    (line,) = rig.pass_(moved, 60)
    assert (line.kind, line.over, line.shards) == (Kind.FAILED, True, (3,))


def test_hosts_that_never_come_back_are_forgotten_after_a_day() -> None:
    call = RollCall()
    assert call.missing(Neighbours("a", present=frozenset("ab")), 10_000.0) == frozenset()
    alone = Neighbours("a", present=frozenset("a"))
    assert call.missing(alone, 10_001.0) == {"b"}
    assert call.missing(alone, 10_000.0 + 86_401.0) == frozenset()
    for number in range(1000):
        call.missing(Neighbours("a", present=frozenset({"a", f"h{number}"})), 200_000.0 + number)
    assert len(call.missing(alone, 201_001.0)) == 255
