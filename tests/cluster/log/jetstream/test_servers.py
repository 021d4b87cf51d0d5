"""A log while its servers die, hang and come back."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from gwcluster.log.jetstream import names, stream
from gwcluster.log.jetstream.answers import outcome
from gwcluster.log.jetstream.writer import Writer
from support.kept_logs import InJetStream, counted, in_jetstream, put, until
from support.nats_servers import NatsServers, nats_servers
from support.shard_log import AT


def play(servers: NatsServers, scene: Callable[[InJetStream], Awaitable[None]]) -> None:
    async def run() -> None:
        async with in_jetstream(servers.urls) as kept:
            async with asyncio.timeout(90.0):
                await scene(kept)

    uvloop.run(run())


class Source:
    """Appends event after event, and notes which count."""

    def __init__(self, writer: Writer) -> None:
        self.counted: list[int] = []
        self._writer = writer
        self._running = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            seq = self._writer.next_offset + 1
            self._writer.append("A", b"x" * 500, session=1, seq=seq, at=AT)
            self._writer.flush(lambda seq=seq: self.counted.append(seq))  # type: ignore[misc]
            await asyncio.sleep(0.002)

    async def end(self) -> None:
        """Append no more, and wait until all of it counts."""
        self._running.cancel()
        await counted(self._writer)

    async def more(self) -> None:
        """Wait until further events count."""
        before = len(self.counted)
        await until(lambda: len(self.counted) > before + 50, 60.0)


async def whole(kept: InJetStream, source: Source, writer: Writer) -> None:
    """Everything is there, once, in order, and counted in order."""
    await source.end()
    assert source.counted == list(range(1, writer.next_offset + 1))
    after, seqs = None, []
    while True:
        page = await kept.read(after)
        assert page.holes == []
        seqs += [record.seq for record in page.records]
        after = page.last
        if not page.more:
            break
    assert seqs == source.counted
    assert writer.degraded is None


def test_a_server_that_is_killed_and_comes_back_costs_nothing_but_time(tmp_path: Path) -> None:
    with nats_servers(tmp_path / "one") as servers:

        async def scene(kept: InJetStream) -> None:
            writer, _ = await kept.open()
            source = Source(writer)
            for _ in range(2):
                await source.more()
                servers.kill(0)
                await until(lambda: writer.degraded is not None)
                assert "NATS is not connected" in (writer.degraded or "")
                assert writer.waiting > 0
                servers.start_one(0)
                await source.more()
            await whole(kept, source, writer)

        play(servers, scene)


def test_a_server_that_hangs_is_waited_for_and_what_it_took_meanwhile_is_seen(tmp_path: Path) -> None:
    with nats_servers(tmp_path / "one") as servers:

        async def scene(kept: InJetStream) -> None:
            writer, _ = await kept.open()
            source = Source(writer)
            await source.more()
            servers.kill(0, signal.SIGSTOP)
            await until(lambda: writer.degraded is not None)
            servers.kill(0, signal.SIGCONT)
            await source.more()
            await whole(kept, source, writer)

        play(servers, scene)


def test_three_servers_lose_their_leader_and_the_log_goes_on(tmp_path: Path) -> None:
    with nats_servers(tmp_path / "three", 3) as servers:

        async def scene(kept: InJetStream) -> None:
            writer, _ = await kept.open(take_s=30.0)
            info = await kept.link.api(f"STREAM.INFO.{names.stream(kept.name, 3)}")
            assert info["config"]["num_replicas"] == 3
            leader = int(info["cluster"]["leader"].removeprefix("n"))
            source = Source(writer)
            await source.more()
            servers.kill(leader)
            await source.more()
            servers.start_one(leader)
            await source.more()
            await whole(kept, source, writer)
            assert kept.fenced == []

        play(servers, scene)


def test_three_servers_refuse_what_arrives_late_as_one_does(tmp_path: Path) -> None:
    with nats_servers(tmp_path / "three", 3) as servers:

        async def scene(kept: InJetStream) -> None:
            writer, _ = await kept.open(take_s=30.0)
            await put(writer, "A")
            last = (await stream.ends(kept.link, names.stream(kept.name, 3))).last
            await kept.killed(writer)
            successor, _ = await kept.open(take_s=30.0)
            subject = names.subject(kept.name, 3, "LATE")
            for after in range(last, last + 256):
                headers = {"Nats-Expected-Last-Sequence": str(after)}
                answer = await kept.link.request(subject, b"{}", headers=headers)
                assert b"wrong last sequence" in answer.data
            await put(successor, "B")
            assert [record.name for record in (await kept.read(None)).records] == ["A", "B"]

        play(servers, scene)


@pytest.mark.parametrize("count", [1, 3])
def test_limits_that_change_are_brought_up_to_date(tmp_path: Path, count: int) -> None:
    with nats_servers(tmp_path / "some", count) as servers:

        async def scene(kept: InJetStream) -> None:
            writer, _ = await kept.open(take_s=30.0)
            await kept.ended(writer)
            again, _ = await kept.open(take_s=30.0, retention_bytes=5 << 20)
            info = await kept.link.api(f"STREAM.INFO.{names.stream(kept.name, 3)}")
            config = info["config"]
            assert (config["max_bytes"], config["num_replicas"]) == (5 << 20, count)
            assert (config.get("max_age", 0), config["allow_direct"]) == (0, True)
            assert again.next_offset == 0

        play(servers, scene)


def test_a_store_that_is_full_is_told_of_and_the_log_goes_on_when_there_is_room(tmp_path: Path) -> None:
    store = {"store_dir": str(tmp_path / "store"), "max_file_store": 70 << 20}
    with nats_servers(tmp_path / "one", jetstream=store) as servers:

        async def scene(kept: InJetStream) -> None:
            writer, _ = await kept.open(retention_bytes=32 << 20)
            fill = {"name": "fill", "subjects": ["fill"], "storage": "file", "retention": "limits"}
            await kept.link.api("STREAM.CREATE.fill", fill)
            source = Source(writer)
            await source.more()
            for _ in range(200):
                put_at = outcome(None, (await kept.link.request("fill", bytes(500_000))).data)
                if isinstance(put_at, str):
                    break
            await until(lambda: writer.degraded is not None)
            assert "short of resources: give it more memory or disk" in (writer.degraded or "")
            await kept.link.api("STREAM.PURGE.fill", {})
            await source.more()
            await whole(kept, source, writer)

        play(servers, scene)
