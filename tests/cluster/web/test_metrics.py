from __future__ import annotations

import math
from typing import Any

from prometheus_client.core import Metric

from gwcluster.web.metrics import ALL, HOSTS, Visits, families
from support.shown_cluster import shard, status
from support.statuses import NATS, SILENT, hosts, neighbour

NOW = 1_790_000_000.0
SUMS = {"events": 7, "resumes": 2, "identifies": 1}
NONE = Visits(0, 0, 0)


def told(document: dict[str, Any], visits: Visits = NONE) -> dict[str, Metric]:
    return {family.name: family for family in families(document, lambda _: SUMS, visits)}


def values(family: Metric) -> dict[tuple[str, ...], float]:
    return {tuple(sample.labels.values()): sample.value for sample in family.samples}


def test_each_metric_is_told_once_in_base_units_and_counters_say_that_they_are() -> None:
    found = list(families(status([shard(0, now=NOW)], now=NOW), lambda _: SUMS, NONE))
    names = {f"{family.name}_total" if family.type == "counter" else family.name for family in found}
    assert len(names) == len(found) == len(ALL)
    assert names == {metric.name for metric in ALL}
    for metric in ALL:
        assert metric.name.startswith("gwcluster_")
        assert not metric.name.endswith(("_ms", "_milliseconds", "_mib", "_count"))


def test_a_shards_figures_are_told_under_its_number() -> None:
    one = shard(5, now=NOW, latency_s=0.05, pulse_age_s=1.5, ack_age_s=20.0, event_age_s=0.5, memory_bytes=9)
    found = told(status([one], now=NOW, rolling={"done": 3, "total": 8}))
    for name, value in {
        "ready": 1.0,
        "degraded": 0.0,
        "heartbeat_latency_seconds": 0.05,
        "last_figures_age_seconds": 1.5,
        "last_ack_age_seconds": 21.5,  # it was 20 s when the worker told it
        "last_event_age_seconds": 2.0,
        "worker_memory_bytes": 9.0,
        "state_time_seconds": NOW - 5000.0,
        "events": 7.0,
        "resumes": 2.0,
        "identifies": 1.0,
    }.items():
        assert values(found[f"gwcluster_shard_{name}"]) == {("5",): value}, name
    assert values(found["gwcluster_shard_state"]) == {("5", "live"): 1.0}
    assert values(found["gwcluster_identify_spendable"]) == {(): 840.0}
    assert values(found["gwcluster_rolling_restart_shards_done"]) == {(): 3.0}
    assert values(found["gwcluster_info"]) == {("example", "1.2.3"): 1.0}


def test_what_is_not_known_is_left_out_and_never_a_zero() -> None:
    unknown = ("latency_s", "event_age_s", "ack_age_s", "pulse_age_s", "memory_bytes", "guilds")
    document = status([shard(0, "starting", now=NOW, **dict.fromkeys(unknown))], now=NOW, identifies=None)
    found = told(document)
    for name in (
        "gwcluster_shard_heartbeat_latency_seconds",
        "gwcluster_shard_last_ack_age_seconds",
        "gwcluster_shard_last_event_age_seconds",
        "gwcluster_shard_guilds",
        "gwcluster_identify_remaining",
        "gwcluster_rolling_restart_shards",
    ):
        assert values(found[name]) == {}, name
    assert values(found["gwcluster_shard_ready"]) == {("0",): 0.0}


def test_a_live_shard_whose_figures_are_stale_is_not_ready() -> None:
    found = told(status([shard(0, now=NOW, fresh=False)], now=NOW))
    assert values(found["gwcluster_shard_ready"]) == {("0",): 0.0}


def test_every_state_has_a_count_even_if_no_shard_is_in_it() -> None:
    found = told(status([shard(0, now=NOW), shard(1, "failed", now=NOW)], now=NOW))
    counts = values(found["gwcluster_shards_in_state"])
    assert len(counts) == 9
    assert (counts[("live",)], counts[("failed",)], counts[("queued",)]) == (1.0, 1.0, 0.0)


def test_labels_are_shards_and_states_and_nothing_else_and_there_are_only_so_many() -> None:
    evil = shard(0, "failed", now=NOW, reason='x"} evil{a="' * 50, degraded="y" * 5000)
    found = told(status([evil, *(shard(number, now=NOW) for number in range(1, 1000))], now=NOW))
    labels = {label for family in found.values() for sample in family.samples for label in sample.labels}
    assert labels == {"shard", "state", "name", "version"}
    assert sum(len(family.samples) for family in found.values()) < 18 * 1000
    assert all(math.isfinite(sample.value) for family in found.values() for sample in family.samples)


def test_before_the_shards_are_known_there_is_something_to_scrape() -> None:
    found = told(status([], now=NOW, shards=None, guilds=None, identifies=None), Visits(3, 2, 1))
    assert values(found["gwcluster_shards"]) == {(): 0.0}
    assert values(found["gwcluster_bot_shards"]) == {}
    assert values(found["gwcluster_http_streams"]) == {(): 3.0}
    assert values(found["gwcluster_http_slow_streams"]) == {(): 2.0}
    assert values(found["gwcluster_http_evicted_connections"]) == {(): 1.0}


HOSTED = [metric.name for metric in HOSTS]


def hosted(**changes: Any) -> dict[str, Any]:
    """Return host a's status: shard 0 is its own, 1 is b's, 2 nobody's."""
    away: dict[str, Any] = {"state": "elsewhere", "now": NOW, "fresh": False}
    shards = [shard(0, now=NOW, host="a"), shard(1, host="b", **away), shard(2, free=True, **away)]
    all_ = hosts("a", neighbour("a", [0]), neighbour("b", [1]), free=[2])
    return status(shards, now=NOW, hosts={**all_, **changes})


def test_with_one_host_there_is_nothing_of_hosts() -> None:
    found = told(status([shard(0, now=NOW)], now=NOW))
    assert [values(found[name]) for name in HOSTED] == [{}] * len(HOSTED)
    assert ("elsewhere",) not in values(found["gwcluster_shards_in_state"])


def test_with_several_hosts_it_is_told_how_it_is_between_them() -> None:
    found = told(hosted(leases={"0": 13.5, "5": 9.25}))
    assert {
        name: values(found[f"gwcluster_{name}"]).get(())
        for name in (
            "hosts",
            "host_draining",
            "shards_free",
            "leases",
            "lease_left_seconds",
            "lease_duration_seconds",
            "nats_connected",
            "nats_last_answer_age_seconds",
        )
    } == {
        "hosts": 2.0,
        "host_draining": 0.0,
        "shards_free": 1.0,
        "leases": 2.0,
        "lease_left_seconds": 9.25,
        "lease_duration_seconds": 15.0,
        "nats_connected": 1.0,
        "nats_last_answer_age_seconds": 1.5,
    }
    found = told(hosted(leases={}, draining=True, nats={**NATS, **SILENT, "answered_s": None}))
    assert values(found["gwcluster_host_draining"]) == {(): 1.0}
    assert values(found["gwcluster_nats_connected"]) == {(): 0.0}
    assert values(found["gwcluster_leases"]) == {(): 0.0}
    assert values(found["gwcluster_lease_left_seconds"]) == {}
    assert values(found["gwcluster_nats_last_answer_age_seconds"]) == {}


def test_shards_of_other_hosts_are_counted_and_theirs_to_tell() -> None:
    found = told(hosted())
    assert values(found["gwcluster_shards_in_state"])[("elsewhere",)] == 2.0
    for name in ("gwcluster_shard_ready", "gwcluster_shard_events", "gwcluster_shard_worker_starts"):
        assert values(found[name]).keys() == {("0",)}, name
    assert values(found["gwcluster_shard_state"]) == {("0", "live"): 1.0}
