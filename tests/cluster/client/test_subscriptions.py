"""Both kinds of subscription over real sockets, with real logs behind them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

import gwcluster
from gwcluster.client import Event, Subscription
from gwcluster.errors import WireVersionError
from gwcluster.wire.codec import pack, unpack_map
from gwcluster.wire.control import CommandDone
from gwcluster.wire.events import topic
from support.cluster import until
from support.readers import QUIET_S, SECONDS, Kind, connected, offsets, settled
from support.small_cluster import SmallCluster

MESSAGE, TYPING, RARE = "MESSAGE_CREATE", "TYPING_START", "GUILD_ROLE_UPDATE"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[SmallCluster]:
    with SmallCluster(tmp_path) as cluster:
        yield cluster


@pytest.fixture(params=["asyncio", "blocking"])
def kind(request: pytest.FixtureRequest, small: SmallCluster) -> Iterator[Kind]:
    with connected(request.param, small.connect) as one:
        yield one


def test_events_of_the_wanted_names_come_with_all_that_is_known_of_them(
    small: SmallCluster, kind: Kind
) -> None:
    reader = settled(small, kind, MESSAGE)
    _, at = small.publish(TYPING, MESSAGE, data={"content": "hi"})
    event = reader.next()
    assert event is not None
    assert (event.name, event.shard, event.shards, event.offset) == (MESSAGE, 0, 2, at)
    assert (event.epoch, event.session, event.at) == (small.writers[0].epoch, 1, 10_000.0)
    assert event.data == {"content": "hi"}
    assert b'"content": "hi"' in event.payload
    assert event.seq is not None
    assert reader.next(QUIET_S) is None


def test_without_names_every_event_of_every_shard_comes_in_its_order(small: SmallCluster, kind: Kind) -> None:
    reader = settled(small, kind)
    (at,) = small.publish(MESSAGE)
    assert offsets(reader, 1) == [(MESSAGE, at)]
    settle = small.publish(TYPING, shard=1)
    assert offsets(reader, 1) == [(TYPING, settle[0])]


def test_shards_that_are_not_wanted_do_not_come(small: SmallCluster, kind: Kind) -> None:
    reader = settled(small, kind, MESSAGE, shards=[1], shard=1)
    small.publish(MESSAGE, shard=0)
    (at,) = small.publish(MESSAGE, shard=1)
    event = reader.next()
    assert event is not None
    assert (event.shard, event.offset) == (1, at)


def test_it_begins_at_now(small: SmallCluster, kind: Kind) -> None:
    small.publish(*[MESSAGE] * 5)
    reader = settled(small, kind, MESSAGE)
    (at,) = small.publish(MESSAGE)
    assert offsets(reader, 1) == [(MESSAGE, at)]


@pytest.mark.parametrize("names", [(), (MESSAGE,), (MESSAGE, RARE)])
def test_what_was_lost_on_the_way_comes_before_what_follows(
    small: SmallCluster, kind: Kind, names: tuple[str, ...]
) -> None:
    reader = settled(small, kind, *names)
    first = small.publish(MESSAGE)
    lost = small.publish(MESSAGE, MESSAGE, lost=True)
    last = small.publish(MESSAGE)
    assert offsets(reader, 4) == [(MESSAGE, at) for at in first + lost + last]


def test_a_last_event_that_was_lost_comes_after_a_beacon(small: SmallCluster, kind: Kind) -> None:
    reader = settled(small, kind, RARE)
    small.publish(MESSAGE)
    (at,) = small.publish(RARE, lost=True)
    small.publish(MESSAGE)
    assert reader.next(QUIET_S) is None
    small.beacon()
    assert offsets(reader, 1) == [(RARE, at)]


def test_a_coordinator_that_was_killed_and_restarted_is_followed_without_a_hole(
    small: SmallCluster, kind: Kind
) -> None:
    reader = settled(small, kind, MESSAGE)
    before = small.publish(MESSAGE)
    small.vanish()
    while_away = [small.writers[0].next_offset]
    small.writers[0].append(MESSAGE, b'{"t":"MESSAGE_CREATE","s":7,"op":0,"d":{}}', session=1, seq=7, at=1.0)
    small.writers[0].flush()
    small.come_back()
    assert offsets(reader, 1) == [(MESSAGE, before[0])]

    def heard() -> Event | None:
        small.beacon()
        return reader.next(0.05)

    event = until(heard, "what came while it was away")
    assert event is not None
    assert [event.offset] == while_away
    assert reader.next(QUIET_S) is None


def test_a_slow_subscriber_loses_its_messages_and_gets_them_all_the_same(tmp_path: Path) -> None:
    for which in ("asyncio", "blocking"):
        (tmp_path / which).mkdir()
        with (
            SmallCluster(tmp_path / which, high_water_mark=10, retention=64 << 20) as small,
            connected(which, small.connect) as kind,
        ):
            reader = settled(small, kind, MESSAGE)
            data = "x" * 4_000
            published = [small.publish(MESSAGE, TYPING, data=data)[0] for _ in range(3_000)]
            found: list[int] = []
            deadline = time.monotonic() + SECONDS
            while len(found) < len(published) and time.monotonic() < deadline:
                if (event := reader.next(QUIET_S)) is None:
                    small.beacon()  # there was no room for earlier ones
                else:
                    found.append(event.offset)
            assert found == published
            assert reader.next(QUIET_S) is None


def test_who_comes_back_with_a_cursor_goes_on_after_the_last_event_that_was_done(
    small: SmallCluster, kind: Kind, tmp_path: Path
) -> None:
    path = tmp_path / "bot.cursor"
    reader = settled(small, kind, MESSAGE, cursor=path)
    published = small.publish(MESSAGE, TYPING, MESSAGE, MESSAGE)
    assert offsets(reader, 2) == [(MESSAGE, published[0]), (MESSAGE, published[2])]
    reader.close()  # while the handler of the second one is at work
    missed = small.publish(MESSAGE, TYPING)
    again = kind.subscribe(MESSAGE, cursor=path)
    expected = [published[2], published[3], missed[0]]
    assert offsets(again, 3) == [(MESSAGE, at) for at in expected]
    assert again.next(QUIET_S) is None  # by asking for it, the last one is done
    again.close()
    third = kind.subscribe(MESSAGE, cursor=path)
    (at,) = small.publish(MESSAGE)
    assert offsets(third, 1) == [(MESSAGE, at)]


def test_a_cursor_that_is_older_than_the_log_says_exactly_what_is_missing(
    small: SmallCluster, kind: Kind, tmp_path: Path
) -> None:
    path = tmp_path / "bot.cursor"
    reader = settled(small, kind, cursor=path)
    (done,) = small.publish(MESSAGE)
    assert offsets(reader, 1) == [(MESSAGE, done)]
    reader.next(QUIET_S)
    reader.close()
    small.publish(*[MESSAGE] * 40, data="x" * 100_000)  # retention is 1 MiB
    small.writers[0].sync()
    small.writers[0].tidy(10_000.0)
    again = kind.subscribe(cursor=path)
    gap, first = again.next(), again.next()
    assert gap is not None
    assert first is not None
    assert gap.name == "GWCLUSTER_GAP"
    assert gap.data == {
        "shard": 0,
        "first": done + 1,
        "last": first.offset - 1,
        "reason": "it has expired from the shard's log",
    }
    assert first.offset > done + 1
    rest = small.writers[0].next_offset - first.offset - 1
    assert [at for _, at in offsets(again, rest)] == list(range(first.offset + 1, first.offset + 1 + rest))


def test_a_cursor_of_a_log_that_is_gone_says_so_and_goes_on_from_the_new_ones_beginning(
    small: SmallCluster, kind: Kind, tmp_path: Path
) -> None:
    path = tmp_path / "bot.cursor"
    reader = settled(small, kind, MESSAGE, cursor=path)
    (done,) = small.publish(MESSAGE)
    small.beacon()  # nothing else came in between
    offsets(reader, 1)
    reader.next(QUIET_S)
    reader.close()
    small.begin_anew()
    small.publish(MESSAGE, MESSAGE)
    again = kind.subscribe(MESSAGE, cursor=path)
    gap = again.next()
    assert gap is not None
    assert gap.data == {
        "shard": 0,
        "first": done + 1,
        "last": None,
        "reason": "the shard's log was started anew",
    }
    assert offsets(again, 2) == [(MESSAGE, 0), (MESSAGE, 1)]


def test_a_log_that_begins_anew_under_a_subscriber_is_a_gap_and_nothing_of_it_is_missed(
    small: SmallCluster, kind: Kind
) -> None:
    reader = settled(small, kind, MESSAGE)
    small.begin_anew()
    small.publish(MESSAGE, lost=True)
    small.publish(MESSAGE)
    gap = reader.next()
    assert gap is not None
    assert gap.name == "GWCLUSTER_GAP"
    assert offsets(reader, 2) == [(MESSAGE, 0), (MESSAGE, 1)]


def test_garbage_of_the_publisher_is_dropped_with_a_word_and_the_rest_comes(
    small: SmallCluster, kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    reader = settled(small, kind, MESSAGE)
    small.pub.send_multipart([b"MESSAGE_CREATE.0.", b"\xc1", b"{}"])
    small.pub.send_multipart([b"MESSAGE_CREATE.0."])
    (at,) = small.publish(MESSAGE)
    with caplog.at_level(logging.WARNING, "gwcluster"):
        assert offsets(reader, 1) == [(MESSAGE, at)]
    assert [record.levelname for record in caplog.records if record.name == "gwcluster"] == ["WARNING"] * 2


def test_a_newer_wire_is_refused_with_both_numbers(small: SmallCluster, kind: Kind) -> None:
    reader = settled(small, kind, MESSAGE)
    small.publish(MESSAGE)
    offsets(reader, 1)
    frames = small.writers[0].append(MESSAGE, b'{"d":1}', session=1, seq=None, at=1.0)
    header = unpack_map(frames[1], max_bytes=1_000) | {"v": 2}
    small.pub.send_multipart([topic(MESSAGE, 0), pack(header), frames[2]])
    with pytest.raises(WireVersionError, match=r"version 2; this side reads up to 1"):
        reader.next()


def test_time_that_runs_out_while_waiting_loses_nothing(small: SmallCluster, kind: Kind) -> None:
    reader = settled(small, kind, MESSAGE)
    published = []
    found: list[Event] = []
    for _ in range(200):
        published += small.publish(MESSAGE)
        event = reader.next(0.0)
        found += [] if event is None else [event]
    while len(found) < 200 and (event := reader.next()) is not None:
        found.append(event)
    assert [event.offset for event in found] == published


def test_a_closed_subscription_ends_its_loop(small: SmallCluster) -> None:
    async def follow() -> int:
        async with small.connect() as cluster:
            subscription = cluster.subscribe(MESSAGE)
            asyncio.get_running_loop().call_later(0.05, subscription.close)
            async with asyncio.timeout(SECONDS):
                count = len([event async for event in subscription])
            subscription.close()
            return count

    assert asyncio.run(follow()) == 0
    with small.connect() as plain:
        subscription = plain.subscribe(MESSAGE)
        subscription.close()
        assert list(subscription) == []


def test_two_subscriptions_of_one_connection_do_not_take_each_others_events(small: SmallCluster) -> None:
    async def follow() -> tuple[int, int]:
        async with small.connect() as cluster, asyncio.timeout(SECONDS):
            one, other = cluster.subscribe(MESSAGE), cluster.subscribe(MESSAGE)

            async def first(subscription: Subscription) -> int:
                async for event in subscription:
                    if event.name == MESSAGE:
                        return event.offset
                raise AssertionError

            tasks = asyncio.gather(first(one), first(other))
            while not tasks.done():
                small.publish(MESSAGE)
                await asyncio.sleep(0.02)
            one_got, other_got = await tasks
            return one_got, other_got

    one, other = asyncio.run(follow())
    assert abs(one - other) <= small.writers[0].next_offset


def test_others_on_the_loop_get_their_turn_however_many_events_are_ready(small: SmallCluster) -> None:
    async def follow() -> int:
        async with small.connect() as cluster, asyncio.timeout(SECONDS):
            subscription = cluster.subscribe(MESSAGE)
            while True:
                small.publish(MESSAGE)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await anext(subscription)
                        break
            small.publish(*[MESSAGE] * 1_000)
            small.beacon()
            await asyncio.sleep(0.3)
            turns = 0

            async def other() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            task = asyncio.create_task(other())
            for _ in range(900):
                await anext(subscription)
            task.cancel()
            return turns

    assert asyncio.run(follow()) >= 10


# Commands and status


def test_a_command_is_sent_and_a_refusal_says_what_helps(small: SmallCluster) -> None:
    async def go() -> None:
        async with small.connect() as cluster:
            await cluster.send({"op": 3, "d": {"status": "idle"}}, shard=1)
            await cluster.send({"op": 4, "d": {}}, guild_id=1 << 22)
            with pytest.raises(gwcluster.SendRefused, match="unknown_shard: shard 7") as refused:
                await cluster.send({"op": 3, "d": {}}, shard=7)
            assert (refused.value.code, refused.value.retry_after) == ("unknown_shard", None)
            small.settle = lambda command: CommandDone(command.id, "rate_limited", "too many", 2.5, None)
            with pytest.raises(gwcluster.SendRefused) as refused:
                await cluster.send({"op": 3, "d": {}}, shard=0)
            assert (refused.value.code, refused.value.retry_after) == ("rate_limited", 2.5)

    asyncio.run(go())
    assert small.sent == [(1, 3, {"status": "idle"}), (1, 4, {}), (0, 3, {})]
    with small.connect() as plain:
        small.settle = lambda command: CommandDone(command.id, None, "", None, None)
        plain.send({"op": 3, "d": {}}, shard=0)
        with pytest.raises(gwcluster.SendRefused, match="unknown_shard"):
            plain.send({"op": 3, "d": {}}, shard=7)


def test_the_status_is_the_clusters(small: SmallCluster) -> None:
    async def go() -> dict[str, Any]:
        async with small.connect() as cluster:
            many = await asyncio.gather(*(cluster.status() for _ in range(8)))
            assert all(one == many[0] for one in many)
            return many[0]

    assert asyncio.run(go()) == {"name": "small", "ids": [0, 1]}
    with small.connect() as plain:
        assert plain.status() == {"name": "small", "ids": [0, 1]}


def test_a_command_whose_connection_is_lost_is_not_sent_twice_and_its_fate_is_told(
    small: SmallCluster,
) -> None:
    small.settle = lambda _: None

    async def go() -> None:
        async with small.connect() as cluster, asyncio.timeout(SECONDS):
            waiting = asyncio.create_task(cluster.send({"op": 3, "d": {}}, shard=0))
            await asyncio.to_thread(until, lambda: small.sent, "the command")
            await asyncio.to_thread(small.vanish)
            with pytest.raises(gwcluster.SendRefused, match="Discord may have this or not"):
                await waiting
            await asyncio.to_thread(small.come_back)
            assert (await cluster.status())["name"] == "small"

    asyncio.run(go())
    assert len(small.sent) == 1


def test_a_status_is_asked_for_again_over_the_next_connection(small: SmallCluster) -> None:
    small.vanish()

    async def go() -> dict[str, Any]:
        async with small.connect() as cluster, asyncio.timeout(SECONDS):
            waiting = asyncio.create_task(cluster.status())
            await asyncio.sleep(0.1)
            await asyncio.to_thread(small.come_back)
            return await waiting

    assert asyncio.run(go())["name"] == "small"


def test_who_talks_to_nobody_is_told_where_nobody_is(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path / 'nobody'}"

    async def go() -> None:
        async with gwcluster.connect(events=address, requests=address) as cluster:
            await cluster._requests.ask("status", 0.2, {})

    said = rf"no answer from {address} within 0.2 s; is the cluster running"
    with pytest.raises(gwcluster.NoAnswer, match=said):
        asyncio.run(go())
    with (
        gwcluster.connect(events=address, requests=address) as plain,
        pytest.raises(gwcluster.NoAnswer, match=said),
    ):
        plain._requests.ask("status", 0.2, {})


def test_no_thread_of_ours_is_started(small: SmallCluster) -> None:
    before = threading.active_count()
    with small.connect() as plain:
        subscription = plain.subscribe(MESSAGE)
        plain.status()
        subscription.poll(0.05)
        assert threading.active_count() == before


class Hands:
    """Restarts nothing, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[int | str] = []

    def restart(self, shard: int) -> str | None:
        self.asked.append(shard)
        return "the cluster is stopping" if shard else None

    def restart_all(self) -> str | None:
        self.asked.append("every")
        return None

    def roll(self) -> str | None:
        self.asked.append("rolling")
        return None


def test_workers_are_restarted_and_a_refusal_says_why(small: SmallCluster) -> None:
    small.operations.hands = hands = Hands()

    async def go() -> None:
        async with small.connect() as cluster:
            await cluster.restart(0)
            await cluster.restart(rolling=True)
            await cluster.restart(every=True)
            with pytest.raises(
                gwcluster.RestartRefused, match="not_ready: the cluster is stopping"
            ) as refused:
                await cluster.restart(shard=1)
            assert refused.value.code == "not_ready"
            with pytest.raises(ValueError, match="needs one of"):
                await cluster.restart()
            with pytest.raises(ValueError, match="needs one of"):
                await cluster.restart(0, rolling=True)

    asyncio.run(go())
    with small.connect() as plain:
        plain.restart(0)
        plain.restart(rolling=True)
        with pytest.raises(gwcluster.RestartRefused, match="unknown_shard"):
            plain.restart(7)
    assert hands.asked == [0, "rolling", "every", 1, 0, "rolling"]


def test_a_restart_whose_connection_is_lost_is_not_asked_for_twice(tmp_path: Path) -> None:
    requests = f"ipc://{tmp_path / 'requests'}"

    async def go() -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        router = context.socket(zmq.ROUTER)
        router.bind(requests)
        async with (
            gwcluster.connect(events=f"ipc://{tmp_path / 'events'}", requests=requests) as cluster,
            asyncio.timeout(SECONDS),
        ):
            waiting = asyncio.create_task(cluster.restart(0))
            await asyncio.to_thread(until, lambda: router.poll(0), "the request")
            context.destroy(linger=0)
            with pytest.raises(gwcluster.NoAnswer, match="it may restart this or not"):
                await waiting

    asyncio.run(go())


def test_a_host_is_drained_and_a_refusal_says_why(small: SmallCluster) -> None:
    drained: list[str] = []

    async def go() -> None:
        async with small.connect() as cluster:
            with pytest.raises(
                gwcluster.DrainRefused, match="not_ready: this cluster runs on one"
            ) as refused:
                await cluster.drain()
            assert refused.value.code == "not_ready"
            small.operations.emptied = lambda: drained.append("all")
            await cluster.drain()

    asyncio.run(go())
    with small.connect() as plain:
        plain.drain()
        small.operations.emptied = None
        with pytest.raises(gwcluster.DrainRefused, match=r"cluster\.yaml has no `hosts`"):
            plain.drain()
    assert drained == ["all", "all"]
