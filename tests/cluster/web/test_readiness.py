from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gwcluster.web.readiness import Readiness, judge
from support.shown_cluster import shard, status
from support.statuses import NATS, SILENT, hosts, neighbour

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


def hosted(
    *shards: dict[str, Any], changes: Mapping[str, Any] = {}, nats: Mapping[str, Any] = NATS
) -> Readiness:
    """Judge host a, which has these shards; shard 9 is b's."""
    mine = [each["shard"] for each in shards]
    all_ = hosts("a", neighbour("a", mine), neighbour("b", [9]), nats=nats)
    away = shard(9, "elsewhere", now=NOW, host="b", fresh=False)
    return judge(status([*shards, away], now=NOW, hosts={**all_, **changes}))


def test_shards_of_other_hosts_do_not_count_and_a_spare_host_is_ready() -> None:
    found = hosted(shard(0, now=NOW))
    assert (found.ok, found.ready, found.total) == (True, 1, 1)
    found = hosted()
    assert (found.ok, found.ready, found.total, found.reasons) == (True, 0, 0, ())


def test_nats_that_is_silent_for_longer_than_a_third_of_the_lease_is_a_reason_with_what_follows() -> None:
    assert hosted(shard(0, now=NOW), nats={**NATS, **SILENT, "unreachable_s": 5.0}).ok
    found = hosted(shard(0, now=NOW), nats={**NATS, **SILENT, "unreachable_s": 5.1, "pause_s": 6.9})
    assert (found.ok, found.ready, found.total) == (False, 1, 1)
    (reason,) = found.reasons
    assert (reason["shard"], reason["state"], reason["for_s"]) == (None, None, 5.1)
    assert reason["since"] == NOW - 5.1
    assert found.text() == (
        "1 of 1 shards are ready\n"
        "for 5 s: NATS has not answered (no servers available): shards pause in 7 s\n"
    )


def test_a_host_that_is_draining_is_not_ready_as_it_takes_no_shards() -> None:
    found = hosted(shard(0, now=NOW), changes={"draining": True})
    assert (found.ok, found.ready) == (False, 1)
    assert (
        found.text().splitlines()[1] == "this host is draining: it gives its shards to others and takes none"
    )
    assert (found.reasons[0]["since"], found.reasons[0]["for_s"]) == (None, None)


def test_a_host_that_has_not_joined_the_others_is_not_ready() -> None:
    away = shard(9, "elsewhere", now=NOW, fresh=False)
    found = judge(status([away], now=NOW, started_at=NOW - 3.0))
    assert not found.ok
    assert found.text() == (
        "0 of 0 shards are ready\nfor 3 s: this host is not one of the hosts yet: it waits for NATS\n"
    )
