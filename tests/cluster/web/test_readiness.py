from __future__ import annotations

from gwcluster.web.readiness import judge
from support.shown_cluster import shard, status

NOW = 1_790_000_000.0


def test_all_live_and_fresh_is_ready() -> None:
    found = judge(status([shard(0, now=NOW), shard(1, now=NOW)], now=NOW))
    assert found.document() == {
        "ok": True,
        "ready": 2,
        "total": 2,
        "reasons": [],
        "more": 0,
        "degraded": [],
    }


def test_each_shard_that_is_not_live_is_named_with_since_when_and_why() -> None:
    ill = shard(7, "backoff", now=NOW, since=NOW - 12.0, reason="no network")
    found = judge(status([shard(3, now=NOW), ill], now=NOW))
    assert (found.ok, found.ready, found.total) == (False, 1, 2)
    assert found.reasons == (
        {"shard": 7, "state": "backoff", "since": NOW - 12.0, "for_s": 12.0, "why": "no network"},
    )
    assert found.text() == "1 of 2 shards are ready\nshard 7: backoff for 12 s: no network\n"


def test_a_shard_that_looks_live_but_is_not_heard_of_is_not_ready_and_its_figures_age() -> None:
    deaf = shard(0, now=NOW, fresh=False, pulse_age_s=9.0, ack_age_s=30.0, event_age_s=4.0)
    (reason,) = judge(status([deaf], now=NOW)).reasons
    assert (
        reason["why"] == "live, but not fresh: last figures 9 s ago, last ACK 39 s ago, last event 13 s ago"
    )
    dumb = shard(0, now=NOW, fresh=False, pulse_age_s=None, ack_age_s=None, event_age_s=None)
    (reason,) = judge(status([dumb], now=NOW)).reasons
    assert reason["why"] == "live, but its worker has told no figures yet"


def test_no_shards_are_not_all_shards() -> None:
    found = judge(status([], now=NOW, started_at=NOW - 3.0))
    assert not found.ok
    (reason,) = found.reasons
    assert (reason["shard"], reason["for_s"]) == (None, 3.0)
    assert "Discord has not said" in found.text()


def test_a_degraded_shard_is_ready_and_named() -> None:
    found = judge(status([shard(0, now=NOW, degraded="disk full")], now=NOW))
    assert (found.ok, found.degraded) == (True, (0,))
    assert "degraded: 0" in found.text()


def test_no_more_than_a_hundred_are_named_and_the_rest_is_counted() -> None:
    found = judge(status([shard(number, "queued", now=NOW) for number in range(1000)], now=NOW))
    assert (len(found.reasons), found.more) == (100, 900)
    assert "and 900 more" in found.text()
