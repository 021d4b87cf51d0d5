from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gwcluster.web.totals import Totals
from support.shown_cluster import shard, status

NOW = 1_790_000_000.0


def look(totals: Totals, events: int | None, pid: int | None, resumes: int = 0) -> None:
    figures: dict[str, Any] = {"events": events, "resumes": resumes, "identifies": 0, "pid": pid}
    totals.look(status([shard(3, now=NOW, **figures)], now=NOW))


def test_what_successors_count_is_added_to_what_was_counted_before() -> None:
    totals = Totals()
    for events, pid in ((10, 1), (25, 1), (None, None), (4, 2), (5, 2)):
        look(totals, events, pid)
    assert totals.of(3)["events"] == 30
    assert totals.of(9) == {"events": 0, "resumes": 0, "identifies": 0}


def test_a_successor_that_was_given_the_same_pid_is_another_worker_all_the_same() -> None:
    totals = Totals()
    look(totals, 10, 1, resumes=0)
    look(totals, 3, 1, resumes=1)
    assert totals.of(3) == {"events": 13, "resumes": 1, "identifies": 0}


def test_a_successor_that_already_counted_further_than_its_predecessor_counts_in_full() -> None:
    totals = Totals()
    look(totals, 10, 1)
    look(totals, 12, 2)
    assert totals.of(3)["events"] == 22


WORKERS = st.lists(st.lists(st.integers(0, 50), min_size=1), min_size=1)


@given(workers=WORKERS)
def test_whatever_workers_count_and_how_often_they_die_sums_never_fall(workers: list[list[int]]) -> None:
    totals, last, truth = Totals(), 0, 0
    for pid, steps in enumerate(workers):
        count = 0
        for step in steps:
            count += step
            truth += step
            look(totals, count, pid)
            assert totals.of(3)["events"] >= last
            last = totals.of(3)["events"]
    assert last == truth
