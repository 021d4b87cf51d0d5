"""The server at its socket, with a cluster that a test moves."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gwcluster.binding import BindError
from gwcluster.web.server import Web
from support.cluster import until
from support.shown_cluster import Served, ShownCluster, served

OPERATE = {"X_Gwcluster": "operate"}


@pytest.fixture
def server() -> Iterator[Served]:
    with served() as server:
        yield server


def stream(server: Served, seconds: float = 20.0) -> http.client.HTTPResponse:
    """Begin to read the stream."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=seconds)
    connection.request("GET", "/api/stream")
    return connection.getresponse()


def next_status(answer: http.client.HTTPResponse) -> dict[str, Any]:
    while not (line := answer.readline()).startswith(b"data: "):
        assert line, "the stream ended"
    document: dict[str, Any] = json.loads(line.removeprefix(b"data: "))
    return document


def metric(server: Served, name: str, **labels: str) -> float | None:
    _, body, _ = server.ask("/metrics")
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return sample.value
    return None


def test_it_is_healthy_as_long_as_its_loop_turns(server: Served) -> None:
    assert server.json("/healthz") == (200, {"ok": True})


def test_a_loop_that_hangs_can_not_say_that_it_is_healthy(server: Served) -> None:
    server.loop.call_soon_threadsafe(time.sleep, 2.0)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=0.5)
    connection.request("GET", "/healthz")
    with pytest.raises(TimeoutError):
        connection.getresponse()
    connection.close()


def test_it_is_ready_when_all_shards_are_live_and_fresh_and_else_says_which_are_not(server: Served) -> None:
    code, found = server.json("/readyz")
    assert (code, found["ok"], found["ready"], found["total"]) == (200, True, 4, 4)
    server.move(2, "backoff", "no network")
    code, found = server.json("/readyz")
    assert (code, found["ok"], found["ready"]) == (503, False, 3)
    assert [(one["shard"], one["state"], one["why"]) for one in found["reasons"]] == [
        (2, "backoff", "no network")
    ]
    server.move(2, "live")
    server.cluster.shards[1]["fresh"] = False
    code, found = server.json("/readyz")
    assert (code, [one["shard"] for one in found["reasons"]]) == (503, [1])


def test_whoever_wants_lines_gets_lines(server: Served) -> None:
    server.move(2, "backoff", "no network")
    code, body, headers = server.ask("/readyz", Accept="text/plain")
    assert (code, headers.get_content_type()) == (503, "text/plain")
    assert body.decode().startswith("3 of 4 shards are ready\nshard 2: backoff for ")


def test_status_is_the_document_itself(server: Served) -> None:
    code, found = server.json("/api/status")
    assert code == 200
    assert {**found, "now": 0.0, "started_at": 0.0, "identifies": None} == {
        **server.cluster.status(),
        "now": 0.0,
        "started_at": 0.0,
        "identifies": None,
    }


def test_metrics_are_those_of_the_cluster_and_of_its_process(server: Served) -> None:
    assert metric(server, "gwcluster_shards_ready") == 4.0
    assert metric(server, "gwcluster_shard_ready", shard="3") == 1.0
    memory = metric(server, "process_resident_memory_bytes")
    assert memory is not None
    assert memory > 1 << 20
    _, body, headers = server.ask("/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert headers.get_content_type() == "application/openmetrics-text"
    assert body.endswith(b"# EOF\n")


def test_counters_go_on_where_a_worker_ended_also_if_nobody_scraped_meanwhile(server: Served) -> None:
    one = server.cluster.shards[0]

    def counted(value: float) -> None:
        until(lambda: metric(server, "gwcluster_shard_events_total", shard="0") == value, f"{value} events")

    counted(1000.0)
    one.update(pid=None, events=None, resumes=None, identifies=None)
    server.move(0, "starting")
    counted(1000.0)
    one.update(pid=777, events=5, resumes=1, identifies=0)
    server.move(0, "live")
    counted(1005.0)
    assert metric(server, "gwcluster_shard_resumes_total", shard="0") == 1.0
    one.update(events=600)
    time.sleep(0.3)
    server.move(0, "resuming")  # looked at once, with nobody asking
    until(lambda: server.web._watch.totals.of(0)["events"] == 1600, "a look")


def test_the_stream_begins_with_the_status_and_tells_a_change_at_once(server: Served) -> None:
    answer = stream(server)
    assert (answer.status, answer.headers.get_content_type()) == (200, "text/event-stream")
    assert next_status(answer)["ready"] == 4
    server.move(1, "resuming", "op 7")
    changed = next(found for _ in range(9) if (found := next_status(answer))["ready"] == 3)
    assert changed["shard"][1]["state"] == "resuming"
    assert changed["now"] - changed["shard"][1]["since"] < 0.9, "not only with the next second's"
    answer.close()


def test_without_changes_it_comes_once_a_second(server: Served) -> None:
    answer = stream(server)
    moments = [next_status(answer)["now"] for _ in range(5)]
    assert moments[-1] - moments[1] > 2.5
    answer.close()


def test_a_storm_of_changes_is_a_few_messages(server: Served) -> None:
    answer = stream(server)
    next_status(answer)
    for number in range(200):
        server.move(number % 4, "resuming" if number % 8 < 4 else "live")
    server.move(3, "failed")
    seen = 1
    while next_status(answer)["shard"][3]["state"] != "failed":
        seen += 1
    assert seen < 20
    answer.close()


def test_a_reader_that_left_is_forgotten(server: Served) -> None:
    answer = stream(server)
    next_status(answer)
    assert metric(server, "gwcluster_http_streams") == 1.0
    answer.close()
    until(lambda: metric(server, "gwcluster_http_streams") == 0.0, "nobody reads")


def test_what_changed_is_told_to_who_comes_later(server: Served) -> None:
    until(lambda: server.json("/api/history")[1]["samples"], "a first look")
    wanted = []
    for before, state in (("live", "backoff"), ("backoff", "resuming"), ("resuming", "live")):
        server.move(2, state, "as told")
        wanted.append((2, before, state, "as told"))
        changes = server.json("/api/history")[1]["changes"]  # at once, not at the next look
        assert [(one["shard"], one["from"], one["to"], one["reason"]) for one in changes] == wanted


def test_a_restart_is_handed_on(server: Served) -> None:
    assert server.json("/api/restart", "POST", {"shard": 3}, **OPERATE) == (202, {"ok": True})
    body = {"all": True, "rolling": True}
    assert server.json("/api/restart", "POST", body, **OPERATE) == (202, {"ok": True})
    assert server.cluster.restarted == [(3, False), (None, True)]


def test_a_restart_that_can_not_be_is_refused_with_the_reason(server: Served) -> None:
    code, found = server.json("/api/restart", "POST", {"shard": 9}, **OPERATE)
    assert (code, found["error"]["code"]) == (404, "unknown_shard")
    code, found = server.json("/api/restart", "POST", {"shard": "x"}, **OPERATE)
    assert (code, found["error"]["code"]) == (400, "bad_request")
    assert server.cluster.restarted == []
    server.cluster.refuses = "the cluster is stopping"
    code, found = server.json("/api/restart", "POST", {"shard": 1}, **OPERATE)
    assert (code, found["error"]["message"]) == (409, "the cluster is stopping")


def test_without_the_header_nothing_is_restarted(server: Served) -> None:
    code, found = server.json("/api/restart", "POST", {"shard": 3})
    assert (code, found["ok"], found["error"]["code"]) == (403, False, "forbidden")
    code, _ = server.json("/api/restart", "POST", {"shard": 3}, Host="evil.example", **OPERATE)
    assert code == 403
    assert server.cluster.restarted == []


def test_with_a_token_only_who_has_it_restarts_anything() -> None:
    with served(token="s3cret") as server:
        code, body, headers = server.ask("/api/restart", "POST", b'{"shard": 3}', **OPERATE)
        assert (code, headers["WWW-Authenticate"]) == (401, "Bearer")
        assert b"s3cret" not in body
        given = {"Authorization": "Bearer s3cret"}
        assert server.json("/api/restart", "POST", {"shard": 3}, **given)[0] == 202
        assert server.cluster.restarted == [(3, False)]


def test_open_to_other_machines_and_without_a_token_it_says_so_and_restarts_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with served(host="0.0.0.0") as server:
        assert "http.token_file is not set" in caplog.text
        code, found = server.json("/api/restart", "POST", {"shard": 3}, **OPERATE)
        assert (code, found["error"]["code"]) == (403, "forbidden")
        assert server.json("/api/status")[0] == 200
        assert server.cluster.restarted == []


@pytest.mark.parametrize(
    ("path", "method", "code"),
    [
        ("/nothing", "GET", 404),
        ("/static/../server.py", "GET", 404),
        ("/static/%2e%2e/server.py", "GET", 404),
        ("/static/", "GET", 404),
        ("/api/restart", "GET", 405),
        ("/api/status", "POST", 405),
        ("/api/status", "DELETE", 405),
        ("/api/restart", "OPTIONS", 405),  # no other site's page gets leave to send the header
        ("/" + "x" * 5000, "GET", 400),
    ],
)
def test_errors_are_json(server: Served, path: str, method: str, code: int) -> None:
    found, body, headers = server.ask(path, method)
    assert (found, headers.get_content_type()) == (code, "application/json")
    assert not any(header.lower().startswith("access-control-") for header in headers)
    told = json.loads(body)
    assert told["ok"] is False
    assert told["error"]["message"]


def test_a_head_has_the_headers_alone(server: Served) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/api/status", "/api/stream", "/"):
        code, body, headers = server.ask(path, "HEAD")
        assert (code, body) == (200, b""), path
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_pages_may_load_from_here_alone_and_nothing_may_frame_them(server: Served) -> None:
    for path in ("/", "/static/dashboard.js", "/api/status", "/nothing"):
        _, _, headers = server.ask(path)
        assert headers["Content-Security-Policy"].startswith("default-src 'self'; ")
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_our_own_bug_is_an_error_in_json_and_in_the_log_and_the_next_one_is_answered(
    server: Served, caplog: pytest.LogCaptureFixture
) -> None:
    server.cluster.shards[0]["latency_s"] = float("nan")
    code, found = server.json("/api/status")
    assert (code, found["error"]["code"]) == (500, "bug")
    assert "bug: /api/status was not answered" in caplog.text
    server.cluster.shards[0]["latency_s"] = 0.1
    assert server.json("/api/status")[0] == 200


def test_who_has_the_address_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        web = Web("127.0.0.1", port, ShownCluster(1), token=None, clock=time.monotonic)
        with pytest.raises(
            BindError, match=rf"127\.0\.0\.1:{port}: process {os.getpid()} \(.*python.*\) listens"
        ):
            asyncio.run(web.start())


def test_an_address_of_another_machine_is_refused_with_words() -> None:
    web = Web("192.0.2.1", 5572, ShownCluster(1), token=None, clock=time.monotonic)
    with pytest.raises(BindError, match=r"can't bind 192\.0\.2\.1:5572: cannot assign requested address"):
        asyncio.run(web.start())


def test_when_the_cluster_stops_readers_are_let_go() -> None:
    with served() as server:
        answer = stream(server)
        next_status(answer)
    while answer.readline():
        pass
    answer.close()
