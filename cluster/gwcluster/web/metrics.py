"""What `/metrics` tells (pure): a status document → metrics. docs/http.md has the same table for people.

Labels are `shard` and `state`, of which there are only so many, and on `gwcluster_info` the cluster's own
name and version; nothing that Discord sends becomes one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from gwcluster.web.readiness import age
from gwcluster.wire.notices import ShardState

Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Gauge:
    """A metric that is read out of a map; None: it isn't known now, and left out."""

    name: str
    meaning: str
    read: Callable[[Figures], float | None]


@dataclass(frozen=True, slots=True)
class Counter(Gauge):
    """One that never goes back while the coordinator lives; its name ends in `_total`."""


@dataclass(frozen=True, slots=True)
class Visits:
    """What HTTP itself tells.

    Attributes:
        streams: readers of `/api/stream` now.
        slow: of them those that were dropped because they didn't read, since the start.
        evicted: connections that had to make room for another one, since the start.
    """

    streams: int
    slow: int
    evicted: int


def _key(key: str) -> Callable[[Figures], float | None]:
    return lambda figures: figures.get(key)


def _identifies(key: str) -> Callable[[Figures], float | None]:
    return lambda figures: None if figures["identifies"] is None else figures["identifies"][key]


def _rolling(key: str) -> Callable[[Figures], float | None]:
    return lambda figures: None if figures.get("rolling") is None else figures["rolling"][key]


def _hosts(read: Callable[[Figures], float | None]) -> Callable[[Figures], float | None]:
    return lambda figures: None if figures["hosts"] is None else read(figures["hosts"])


def _age(key: str) -> Callable[[Figures], float | None]:
    return lambda figures: age(figures[key], figures["pulse_age_s"])


CLUSTER: Final = (
    Gauge("gwcluster_start_time_seconds", "When the coordinator was started, Unix time.", _key("started_at")),
    Gauge(
        "gwcluster_config_reload_time_seconds",
        "When SIGHUP last took a file, Unix time.",
        _key("reloaded_at"),
    ),
    Gauge("gwcluster_bot_shards", "Shard count of the bot.", _key("shards")),
    Gauge("gwcluster_shards", "Shards that this cluster runs.", _key("total")),
    Gauge("gwcluster_shards_ready", "Shards that are live and whose figures are fresh.", _key("ready")),
    Gauge("gwcluster_shards_degraded", "Shards whose log can't be written.", _key("degraded")),
    Gauge("gwcluster_shards_failed", "Shards that were given up.", _key("failed")),
    Gauge("gwcluster_guilds", "Guilds, over all shards that told.", _key("guilds")),
    Gauge("gwcluster_identify_limit", "Identifies that Discord allows in its day.", _identifies("total")),
    Gauge("gwcluster_identify_remaining", "Of them, those that are left.", _identifies("remaining")),
    Gauge(
        "gwcluster_identify_spendable", "Of those, what isn't kept back as reserve.", _identifies("spendable")
    ),
    Gauge(
        "gwcluster_identify_reset_time_seconds",
        "When Discord's day of identifies ends, Unix time.",
        _identifies("resets_at"),
    ),
    Gauge("gwcluster_rolling_restart_shards", "Shards of the rolling restart under way.", _rolling("total")),
    Gauge("gwcluster_rolling_restart_shards_done", "Of them, those that are done.", _rolling("done")),
)
"""Of the cluster: one sample each."""

HOSTS: Final = (
    Gauge(
        "gwcluster_hosts",
        "Hosts of this cluster, this one included.",
        _hosts(lambda all_: len(all_["hosts"])),
    ),
    Gauge(
        "gwcluster_host_draining",
        "1: this host gives its shards to others.",
        _hosts(lambda all_: float(all_["draining"])),
    ),
    Gauge("gwcluster_shards_free", "Shards that no host runs.", _hosts(lambda all_: len(all_["free"]))),
    Gauge(
        "gwcluster_leases", "Leases of shards that this host holds.", _hosts(lambda all_: len(all_["leases"]))
    ),
    Gauge(
        "gwcluster_lease_left_seconds",
        "Until the first of them ends, if it isn't renewed.",
        _hosts(lambda all_: min(all_["leases"].values(), default=None)),
    ),
    Gauge("gwcluster_lease_duration_seconds", "How long a renewed lease lasts.", _hosts(_key("lease_s"))),
    Gauge(
        "gwcluster_nats_connected",
        "1: the connection to NATS stands.",
        _hosts(lambda all_: float(all_["nats"]["connected"])),
    ),
    Gauge(
        "gwcluster_nats_last_answer_age_seconds",
        "Since JetStream last answered.",
        _hosts(lambda all_: all_["nats"]["answered_s"]),
    ),
)
"""Of the host, where there are several: one sample each. With one host there are none."""

SHARD: Final = (
    Gauge(
        "gwcluster_shard_ready",
        "1: live and fresh. 0: anything else.",
        lambda figures: float(figures["state"] == "live" and bool(figures["fresh"])),
    ),
    Gauge(
        "gwcluster_shard_degraded",
        "1: its log can't be written.",
        lambda figures: float(figures["degraded"] is not None),
    ),
    Gauge("gwcluster_shard_state_time_seconds", "When its state last changed, Unix time.", _key("since")),
    Gauge(
        "gwcluster_shard_heartbeat_latency_seconds",
        "Between the last heartbeat and its ACK.",
        _key("latency_s"),
    ),
    Gauge(
        "gwcluster_shard_last_figures_age_seconds", "Since its worker last told figures.", _key("pulse_age_s")
    ),
    Gauge("gwcluster_shard_last_ack_age_seconds", "Since the last ACK of a heartbeat.", _age("ack_age_s")),
    Gauge(
        "gwcluster_shard_last_event_age_seconds", "Since the last event of Discord's.", _age("event_age_s")
    ),
    Gauge("gwcluster_shard_session_age_seconds", "Since READY of its session.", _key("session_age_s")),
    Gauge("gwcluster_shard_guilds", "Guilds on it.", _key("guilds")),
    Gauge("gwcluster_shard_worker_memory_bytes", "Memory of its worker (PSS or RSS).", _key("memory_bytes")),
    Counter("gwcluster_shard_worker_starts_total", "Starts of its worker after the first.", _key("restarts")),
    Counter(
        "gwcluster_shard_worker_deaths_total", "Ends of its worker that nobody asked for.", _key("deaths")
    ),
)
"""Of each shard that this host runs, out of the status document; label `shard`."""

SUMS: Final = (
    Counter(
        "gwcluster_shard_events_total", "Events of Discord's that its workers published.", _key("events")
    ),
    Counter("gwcluster_shard_resumes_total", "RESUMEs that its workers sent.", _key("resumes")),
    Counter("gwcluster_shard_identifies_total", "IDENTIFYs that its workers sent.", _key("identifies")),
)
"""Of each shard, added up over its workers; label `shard`."""

INFO: Final = Gauge("gwcluster_info", "Always 1; labels `name` and `version` of the cluster.", lambda _: 1.0)
STATES: Final = Gauge("gwcluster_shards_in_state", "Shards in each state; label `state`.", lambda _: None)
STATE: Final = Gauge(
    "gwcluster_shard_state",
    "1 for the state that it is in, no sample for others; also label `state`.",
    lambda _: 1.0,
)
STREAMS: Final = Gauge("gwcluster_http_streams", "Readers of /api/stream.", lambda _: None)
SLOW: Final = Counter(
    "gwcluster_http_slow_streams_total", "Of those, dropped because they didn't read.", lambda _: None
)
EVICTED: Final = Counter(
    "gwcluster_http_evicted_connections_total",
    "HTTP connections that had to make room for another one.",
    lambda _: None,
)

ALL: Final[tuple[Gauge, ...]] = (INFO, *CLUSTER, *HOSTS, STATES, *SHARD, *SUMS, STATE, STREAMS, SLOW, EVICTED)
"""Every metric, but for those of the process, which prometheus_client itself names `process_…`."""


def families(document: Figures, totals: Callable[[int], dict[str, int]], visits: Visits) -> Iterator[Metric]:
    """Yield all metrics.

    Args:
        document: docs/wire.md describes it.
        totals: returns a shard's sums.
    """
    info = GaugeMetricFamily(INFO.name, INFO.meaning, labels=["name", "version"])
    info.add_metric([document["name"], document["version"]], 1.0)
    yield info
    for metric in (*CLUSTER, *HOSTS):
        yield _family(metric, metric.read(document))
    yield _states(document)
    shards: list[tuple[list[str], Figures]] = [
        ([str(each["shard"])], each) for each in document["shard"] if each["state"] != ShardState.ELSEWHERE
    ]
    for metric in SHARD:
        yield _per_shard(metric, shards)
    sums = [(labels, dict[str, Any](totals(each["shard"]))) for labels, each in shards]
    for metric in SUMS:
        yield _per_shard(metric, sums)
    state = GaugeMetricFamily(STATE.name, STATE.meaning, labels=["shard", "state"])
    for labels, each in shards:
        state.add_metric([*labels, each["state"]], 1.0)
    yield state
    yield _family(STREAMS, visits.streams)
    yield _family(SLOW, visits.slow)
    yield _family(EVICTED, visits.evicted)


def _family(metric: Gauge, value: float | None) -> Metric:
    family = _empty(metric, [])
    if value is not None:
        family.add_metric([], value)
    return family


def _per_shard(metric: Gauge, shards: list[tuple[list[str], Figures]]) -> Metric:
    family = _empty(metric, ["shard"])
    for labels, figures in shards:
        if (value := metric.read(figures)) is not None:
            family.add_metric(labels, value)
    return family


def _states(document: Figures) -> Metric:
    family = GaugeMetricFamily(STATES.name, STATES.meaning, labels=["state"])
    counts = dict.fromkeys((state.value for state in ShardState), 0)
    if document["hosts"] is None:
        del counts[ShardState.ELSEWHERE.value]
    for shard in document["shard"]:
        counts[shard["state"]] += 1
    for state, count in counts.items():
        family.add_metric([state], count)
    return family


def _empty(metric: Gauge, labels: list[str]) -> GaugeMetricFamily | CounterMetricFamily:
    if isinstance(metric, Counter):
        return CounterMetricFamily(metric.name, metric.meaning, labels=labels)
    return GaugeMetricFamily(metric.name, metric.meaning, labels=labels)
