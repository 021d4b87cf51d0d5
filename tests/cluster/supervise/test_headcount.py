from __future__ import annotations

import logging
from itertools import pairwise

from gwcluster.board import Counts
from gwcluster.supervise.headcount import Headcount

START = 10_000.0
INFO, WARNING = logging.INFO, logging.WARNING


def counts(ready: int, failed: int = 0) -> Counts:
    return Counts(ready=ready, total=8, degraded=0, failed=failed)


def says(headcount: Headcount, ready: int, seconds: float, *, since: float, failed: int = 0) -> list[str]:
    """Look every two seconds for so long; return what was said, with its moment from the start."""
    said = []
    for moment in range(0, int(seconds) + 1, 2):
        now = since + moment
        if (news := headcount.look(counts(ready, failed), now)) is not None:
            said.append(f"{now - START:.0f}: {news[1]}")
    return said


def whole() -> Headcount:
    headcount = Headcount()
    assert headcount.look(counts(8), START) == (INFO, "ready: all 8 shards are live")
    return headcount


def test_a_start_is_told_once_a_minute_and_when_it_is_complete() -> None:
    headcount = Headcount()
    assert says(headcount, 3, 70, since=START) == ["60: 3 of 8 shards are live after 1 min"]
    assert headcount.look(counts(8), START + 72.0) == (INFO, "ready: all 8 shards are live")


def test_while_all_is_well_nothing_is_said() -> None:
    assert says(whole(), 8, 3600, since=START) == []


def test_an_outage_is_told_with_how_bad_it_is_and_how_long_it_lasts_ever_more_rarely() -> None:
    headcount = whole()
    headcount.look(counts(7), START + 10.0)
    said = says(headcount, 0, 86_400, since=START + 10.0, failed=3)
    assert said[:4] == [
        "12: only 0 of 8 shards are live, for 2 s; 3 failed",
        "72: only 0 of 8 shards are live, for 1 min 2 s; 3 failed",
        "192: only 0 of 8 shards are live, for 3 min 2 s; 3 failed",
        "432: only 0 of 8 shards are live, for 7 min 2 s; 3 failed",
    ]
    moments = [float(line.partition(":")[0]) for line in said]
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert set(gaps[6:]) == {3600.0}, "once an hour at last"


def test_a_loss_is_a_warning_and_the_end_of_it_is_not() -> None:
    headcount = whole()
    headcount.look(counts(7), START + 10.0)
    assert headcount.look(counts(7), START + 12.0) == (WARNING, "only 7 of 8 shards are live, for 2 s")
    assert headcount.look(counts(8), START + 15.0) is None, "it may not last"
    assert headcount.look(counts(8), START + 17.0) == (
        INFO,
        "ready: all 8 shards are live again, after 5 s",
    )
    assert says(headcount, 8, 3600, since=START + 18.0) == []


def test_shards_that_reconnect_one_after_another_are_told_once_and_when_they_are_through() -> None:
    headcount = whole()
    said = [headcount.look(counts(7 + step % 2), START + 10.0 + 0.5 * step) for step in range(32)]
    assert [news for news in said if news] == [(WARNING, "only 7 of 8 shards are live, for 2 s")]
    assert says(headcount, 8, 10, since=START + 26.0) == [
        "28: ready: all 8 shards are live again, after 16 s"
    ]


def test_a_host_without_shards_says_nothing_and_what_comes_to_it_is_a_beginning() -> None:
    none = Counts(ready=0, total=0, degraded=0, failed=0)
    headcount = Headcount()
    assert [headcount.look(none, START + seconds) for seconds in range(0, 4000, 2)] == [None] * 2000
    assert headcount.look(counts(7), START + 4000.0) is None
    assert headcount.look(counts(8), START + 4002.0) == (INFO, "ready: all 8 shards are live")
    assert headcount.look(none, START + 4004.0) is None
    assert headcount.look(counts(8), START + 4006.0) == (INFO, "ready: all 8 shards are live")
