"""Hosts are found in NATS, and the library does without it where there is one host."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nats
import pytest

import gwcluster
from gwcluster.client import Connection
from gwcluster.client.addresses import Addresses, find
from gwcluster.client.host import Host, Told
from gwcluster.client.search import NatsSearch
from support.cluster import until
from support.nats_servers import NatsServers, nats_servers
from support.readers import SECONDS
from support.small_hosts import SmallHosts


class Login:
    """Servers that ask for nothing."""

    def __init__(self, servers: list[str]) -> None:
        self.servers = servers

    def options(self) -> dict[str, Any]:
        return {"servers": self.servers}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServers]:
    with nats_servers(tmp_path_factory.mktemp("nats")) as servers:
        yield servers


def listed(servers: NatsServers, cluster: str, entries: Mapping[str, object]) -> None:
    """Have hosts write their entries, those of None delete them."""

    async def write() -> None:
        client = await nats.connect(servers.urls)
        bucket = await client.jetstream().create_key_value(bucket=f"gwcluster-{cluster}-hosts", ttl=60.0)
        for name, entry in entries.items():
            if entry is None:
                await bucket.delete(name)
            else:
                value = entry if isinstance(entry, bytes) else json.dumps(entry).encode()
                await bucket.put(name, value)
        await client.close()

    asyncio.run(write())


def entry_of(name: str) -> dict[str, Any]:
    return {
        "v": 1,
        "name": name,
        "events": [f"tcp://{name}:1"],
        "requests": [f"tcp://{name}:2"],
        "shards": [1],
    }


def found(search: NatsSearch) -> list[Told]:
    return asyncio.run(search.found())


def test_the_hosts_are_those_in_the_bucket_and_a_broken_entry_is_said(
    servers: NatsServers, caplog: pytest.LogCaptureFixture
) -> None:
    entries = {"a": entry_of("a"), "b": entry_of("b"), "c": b"{", "gone": entry_of("gone")}
    listed(servers, "some", entries)
    listed(servers, "some", {"gone": None})
    assert sorted(told.host.events for told in found(NatsSearch("some", Login(servers.urls)))) == [
        "tcp://a:1",
        "tcp://b:1",
    ]
    assert "gwcluster-some-hosts has an entry c that can't be used" in caplog.text


def test_where_nothing_is_listed_nothing_is_found(
    servers: NatsServers, caplog: pytest.LogCaptureFixture
) -> None:
    assert found(NatsSearch("none", Login(servers.urls))) == []
    listed(servers, "empty", {})
    assert found(NatsSearch("empty", Login(servers.urls))) == []
    assert "can't read gwcluster-none-hosts" in caplog.text
    assert "gwcluster-empty-hosts" not in caplog.text


def test_a_server_that_is_away_or_silent_costs_some_seconds_and_a_line_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "gwcluster")

    async def silent() -> list[Told]:
        async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            waiting.append(writer)

        waiting: list[asyncio.StreamWriter] = []
        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        begun = time.monotonic()
        told = await NatsSearch("x", Login([f"nats://127.0.0.1:{port}"])).found()
        assert time.monotonic() - begun < 10
        server.close()
        for writer in waiting:
            writer.close()
        return told

    assert asyncio.run(silent()) == []
    assert found(NatsSearch("x", Login(["nats://127.0.0.1:9"]))) == []
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "can't read gwcluster-x-hosts at nats"
    ] * 2


@pytest.mark.parametrize("kind", ["asyncio", "blocking"])
def test_when_no_host_of_the_beginning_is_left_they_are_found_in_nats(
    servers: NatsServers, tmp_path: Path, kind: str
) -> None:
    with SmallHosts(tmp_path, names=["a"]) as hosts:
        told = {each["name"]: each | {"v": 1} for each in hosts.entries()}
        listed(servers, kind, told)
        addresses = Addresses((), None, NatsSearch(kind, Login(servers.urls)))
        names = []

        def replace() -> None:
            hosts.kill("a")
            hosts.add("b")
            hosts.owners = dict.fromkeys(hosts.owners, "b")
            listed(servers, kind, {"a": None, **{each["name"]: each | {"v": 1} for each in hosts.entries()}})

        async def go() -> None:
            async with Connection(addresses) as cluster, asyncio.timeout(SECONDS):
                names.append((await cluster.status())["name"])
                await asyncio.to_thread(replace)
                await cluster.send({"op": 3, "d": {}}, shard=0)

        if kind == "asyncio":
            asyncio.run(go())
        else:
            with Connection(addresses) as cluster:
                names.append(cluster.status()["name"])
                replace()
                cluster.send({"op": 3, "d": {}}, shard=0)
        assert names == ["small"]
        assert hosts.hosts["b"].sent == [(0, 3)]


def test_without_nats_known_hosts_go_on_being_used_and_those_that_come_up_are_found(
    tmp_path: Path,
) -> None:
    class Away:
        """Knows no host at first."""

        def __init__(self) -> None:
            self.looked = 0
            self.told: list[Told] = []

        async def found(self) -> list[Told]:
            self.looked += 1
            return self.told

    with SmallHosts(tmp_path, names=["a"]) as hosts:
        search = Away()
        host = Host(hosts.hosts["a"].events, hosts.hosts["a"].requests)
        search.told = [Told(host, frozenset())]
        with Connection(Addresses((), None, search)) as cluster:
            search.told = []
            reader = cluster.subscribe("MESSAGE_CREATE")

            def comes() -> bool:
                hosts.publish("MESSAGE_CREATE")
                return reader.poll(0.05) is not None

            until(comes, "an event")
            assert cluster.status()["name"] == "small"
            assert search.looked == 1, "nobody looks while a host speaks"


def test_plainly_several_hosts_are_not_looked_for_where_a_loop_runs() -> None:
    async def go() -> None:
        with (
            pytest.raises(RuntimeError, match="use `async with`"),
            Connection(Addresses((), None, NatsSearch("x", Login([])))),
        ):
            pass

    asyncio.run(go())


def test_what_one_host_does_for_itself_is_not_asked_of_any(tmp_path: Path) -> None:
    with SmallHosts(tmp_path) as hosts, hosts.connect() as cluster, hosts.connect("b") as one:
        for ask in (
            cluster.drain,
            lambda: cluster.restart(rolling=True),
            lambda: cluster.restart(every=True),
        ):
            with pytest.raises(ValueError, match="a connection with one host"):
                ask()
        assert one.status()["name"] == "small"
        with pytest.raises(gwcluster.DrainRefused):
            one.drain()


def test_a_file_with_hosts_leads_to_nats_and_the_command_line_to_this_machine(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text("name: some\nintents: 0\nhosts: {nats: nats://127.0.0.1:4222}\n")
    found = find(file, None, None)
    assert isinstance(found.search, NatsSearch)
    assert (found.hosts, found.alone) == ((), False)
    here = find(file, None, None, here=True)
    assert here == Addresses((Host("tcp://127.0.0.1:5570", "tcp://127.0.0.1:5571"),), alone=True)
    given = find(file, ["ipc:///e", "ipc:///f"], ["ipc:///r", "ipc:///s"])
    assert given == Addresses((Host("ipc:///e", "ipc:///r"), Host("ipc:///f", "ipc:///s")))
    with pytest.raises(TypeError, match="needs both events= and requests=, or neither"):
        find(file, "ipc:///e", None)
    with pytest.raises(ValueError, match="2 addresses of events and 1 of requests"):
        find(None, ["ipc:///e", "ipc:///f"], "ipc:///r")


def test_a_connection_with_this_machines_host_hears_of_no_other(tmp_path: Path) -> None:
    with SmallHosts(tmp_path) as hosts:
        a = Host(hosts.hosts["a"].events, hosts.hosts["a"].requests)
        with Connection(Addresses((a,), alone=True)) as cluster:
            for _ in range(3):
                cluster.status()
        assert (hosts.hosts["a"].asked, hosts.hosts["b"].asked) == (3, 0)


ONE_HOST = """
import asyncio, sys, gwcluster
from pathlib import Path
from support.small_cluster import SmallCluster
async def go(small):
    async with small.connect() as cluster:
        await cluster.status()
        cluster.subscribe("MESSAGE_CREATE")
        await asyncio.sleep(0)
with SmallCluster(Path(sys.argv[1])) as small:
    asyncio.run(go(small))
    with small.connect() as cluster:
        cluster.status()
        cluster.subscribe("MESSAGE_CREATE").poll(0.05)
file = Path(sys.argv[1]) / "cluster.yaml"
file.write_text("token: x\\nintents: 0\\n")
with gwcluster.connect(file):
    pass
print(sorted(name for name in sys.modules if name.split(".")[0] == "nats"))
"""


def test_one_host_needs_no_nats(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", ONE_HOST, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert (run.stdout, run.stderr) == ("[]\n", "")
