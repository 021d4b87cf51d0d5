"""HTTP and the dashboard of a real cluster against the simulator, in a real browser."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gwsimulator import Settings, ThreadedSimulator
from support.browser import browser, page
from support.cluster import Cluster, kill, running, until
from support.discord import discord

pytestmark = pytest.mark.e2e


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


class Site:
    """A cluster and where it serves HTTP."""

    def __init__(self, cluster: Cluster, sim: ThreadedSimulator, port: int) -> None:
        self.cluster, self.sim, self.port = cluster, sim, port
        self.origin = f"http://127.0.0.1:{port}"

    def get(self, path: str, timeout: float = 20.0) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def ready(self) -> tuple[int, dict[str, Any]]:
        code, body = self.get("/readyz")
        return code, json.loads(body)

    def status(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.get("/api/status")[1])
        return document


@contextlib.contextmanager
def served(folder: Path, *excused: str) -> Iterator[Site]:
    """Run a cluster of four shards, ready; see `support.discord` for what may be excused."""
    port = free_port()
    settings = Settings(shards=4, guilds=12, rate=40.0, max_concurrency=4)
    bind = f"{{bind: '127.0.0.1:{port}'}}"
    with discord(settings, excused=excused) as sim, running(folder, sim.api, http=bind) as cluster:
        cluster.wait_ready()
        yield Site(cluster, sim, port)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with served(tmp_path) as site:
        yield site


def test_a_killed_worker_is_seen_on_the_page_and_restarts_by_it_cost_no_identify(site: Site) -> None:
    with browser() as socket, page(socket) as shown:
        shown.open(site.origin)
        shown.until("document.querySelectorAll('.cell.live').length === 4")
        kill(site.cluster.workers(4)[2])
        shown.until("/shard 2 .*live → /.test(document.querySelector('#changes').textContent)", 5.0)
        shown.until("document.querySelectorAll('.cell.live').length === 4")
        before = site.cluster.workers(4)[1]
        shown.click(".cell[data-shard='1']")
        shown.until("!document.querySelector('#detail').hidden")
        shown.click("#restart-one")
        shown.click("#ask-yes")
        until(lambda: site.cluster.workers(4)[1] != before, "another worker")
        shown.until("/shard 1 .*live → /.test(document.querySelector('#changes').textContent)")
        shown.until("document.querySelectorAll('.cell.live').length === 4")
        old = set(site.cluster.workers(4).values())
        shown.click("#restart-all")
        shown.click("#ask-yes")
        until(lambda: not old & set(site.cluster.workers(4).values()), "other workers")
        shown.until("document.querySelectorAll('.cell.live').length === 4")
        assert len(site.sim.ledger.identifies) == 4
        assert shown.complaints == []
    assert site.sim.ledger.violations == []


def test_a_worker_that_hangs_is_not_ready_although_it_was_live(tmp_path: Path) -> None:
    with served(tmp_path, "I7") as site:  # its next beat is as late as it hung
        until(lambda: all(one["pulse_age_s"] is not None for one in site.status()["shard"]), "figures of all")
        assert site.ready()[0] == 200
        pid = site.cluster.workers(4)[3]
        os.kill(pid, signal.SIGSTOP)
        try:
            until(lambda: site.ready()[0] == 503, "a shard that isn't ready")
            code, found = site.ready()
            assert (code, found["ready"], found["total"]) == (503, 3, 4)
            (reason,) = found["reasons"]
            assert (reason["shard"], reason["state"]) == (3, "live")
            assert "not fresh: last figures" in reason["why"]
        finally:
            os.kill(pid, signal.SIGCONT)
        until(lambda: site.ready()[0] == 200, "all ready again")


def test_a_coordinator_that_hangs_is_not_healthy(site: Site) -> None:
    assert site.get("/healthz")[0] == 200
    os.kill(site.cluster.pid, signal.SIGSTOP)
    try:
        with pytest.raises(TimeoutError):
            site.get("/healthz", timeout=0.5)
    finally:
        os.kill(site.cluster.pid, signal.SIGCONT)
    assert site.get("/healthz")[0] == 200


def test_counters_do_not_fall_when_workers_are_killed(site: Site) -> None:
    def counted(name: str) -> float:
        lines = site.get("/metrics")[1].decode().splitlines()
        return sum(float(line.split()[1]) for line in lines if line.startswith(f"{name}{{"))

    until(lambda: counted("gwcluster_shard_identifies_total") == 4, "figures of all")
    until(lambda: counted("gwcluster_shard_events_total") > 100, "events")
    before = counted("gwcluster_shard_events_total")
    for pid in site.cluster.workers(4).values():
        kill(pid)
    until(lambda: counted("gwcluster_shard_resumes_total") == 4, "four resumes")
    assert counted("gwcluster_shard_events_total") >= before
    assert counted("gwcluster_shard_worker_deaths_total") == 4
    assert counted("gwcluster_shard_identifies_total") == 4


def test_the_page_is_there_when_it_is_stopped_and_started_again(site: Site) -> None:
    assert site.cluster.stop() == 0
    with pytest.raises(ConnectionRefusedError):
        site.get("/healthz")
    site.cluster.start()
    site.cluster.wait_ready(2)
    assert site.get("/healthz")[0] == 200
    assert site.status()["ready"] == 4


def test_a_second_cluster_at_the_same_address_names_the_first(site: Site, tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    bind = f"{{bind: '127.0.0.1:{site.port}'}}"
    with running(tmp_path / "second", site.sim.api, http=bind) as second:
        assert second.process is not None
        assert second.process.wait(20) == 1
        assert f"can't bind 127.0.0.1:{site.port}: process {site.cluster.pid} (" in second.text()


def test_who_wants_no_http_loads_none_of_it(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "import gwcluster.coordinator\n"
        "from gwcluster.config import load\n"
        "from gwcluster.means import real_means\n"
        f"means = real_means(load(Path({str(tmp_path / 'cluster.yaml')!r}), environ=dict()), dict(), None)\n"
        "assert means.web(None) is None\n"
        "print([name for name in sys.modules if name.startswith("
        "('gwcluster.web', 'aiohttp.web', 'prometheus_client'))])\n"
    )
    cluster = Cluster(tmp_path, "http://127.0.0.1:9/api/v10")
    assert "http: {bind: null}" in cluster.file.read_text()
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
