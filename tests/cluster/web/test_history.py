from __future__ import annotations

from typing import Any

from gwcluster.web.history import MAX_CHANGES, History
from support.shown_cluster import shard, status

NOW = 1_790_000_000.0


def look(history: History, at: float, *states: str, **changes: Any) -> None:
    changes.setdefault("since", at)
    shards = [shard(number, state, now=at, **changes) for number, state in enumerate(states)]
    history.look(status(shards, now=at))


def test_a_change_is_remembered_with_its_moment_and_reason_and_the_first_sight_is_none() -> None:
    history = History()
    look(history, NOW, "live", "live", since=NOW)
    look(history, NOW + 1, "live", "live", since=NOW)
    history.look(
        status(
            [
                shard(0, now=NOW, since=NOW),
                shard(1, "resuming", now=NOW, since=NOW + 1, reason="op 7"),
            ],
            now=NOW + 2,
        )
    )
    assert history.document()["changes"] == [
        {"at": NOW + 1, "shard": 1, "from": "live", "to": "resuming", "reason": "op 7"}
    ]


def test_a_state_that_was_left_and_came_back_between_two_looks_is_told_too() -> None:
    history = History()
    look(history, NOW, "live", since=NOW - 50)
    look(history, NOW + 2, "live", since=NOW + 1, reason="RESUMED")
    assert history.document()["changes"] == [
        {"at": NOW + 1, "shard": 0, "from": "live", "to": "live", "reason": "RESUMED"}
    ]


def test_after_an_hour_it_is_forgotten() -> None:
    history = History()
    look(history, NOW, "live")
    look(history, NOW + 1, "backoff")
    look(history, NOW + 3601, "backoff", since=NOW + 1)
    assert len(history.document()["changes"]) == 1
    look(history, NOW + 3602, "backoff", since=NOW + 1)
    assert history.document()["changes"] == []


def test_of_very_many_changes_the_last_are_kept_and_the_others_counted() -> None:
    history = History()
    for number in range(MAX_CHANGES + 31):
        look(history, NOW + number / 10, "live" if number % 2 else "backoff")
    found = history.document()
    assert (len(found["changes"]), found["left_out"]) == (MAX_CHANGES, 30)
    assert found["changes"][-1]["at"] == NOW + (MAX_CHANGES + 30) / 10
    look(history, NOW + 7200, "live")
    assert history.document()["left_out"] == 0


def test_rates_are_sampled_every_ten_seconds_for_an_hour() -> None:
    history = History()
    for number in range(8000):
        look(history, NOW + number, "live", "live", since=NOW, latency_s=0.02, events_per_s=4.0)
    samples = history.document()["samples"]
    assert len(samples) == 360
    assert samples[1]["at"] - samples[0]["at"] == 10.0
    assert samples[-1] == {
        "at": NOW + 7990,
        "ready": 2,
        "events_per_s": 8.0,
        "latency_s": 0.02,
        "worst_latency_s": 0.02,
    }


def test_what_is_not_fresh_is_in_no_sample() -> None:
    history = History()
    look(history, NOW, "live", fresh=False)
    (sample,) = history.document()["samples"]
    assert (sample["latency_s"], sample["worst_latency_s"]) == (None, None)


def test_a_clock_that_is_set_back_neither_stops_the_sampling_nor_makes_it_endless() -> None:
    history = History()
    for start in (NOW, NOW - 86_400, NOW - 2 * 86_400):
        for number in range(0, 3600, 10):
            look(history, start + number, "live")
    assert len(history.document()["samples"]) == 360
    assert history.document()["samples"][-1]["at"] == NOW - 2 * 86_400 + 3590
