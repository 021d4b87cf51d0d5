"""Both kinds of subscription and of requests, where several hosts share the shards."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import gwcluster
from support.cluster import until
from support.readers import QUIET_S, SECONDS, Kind, Reader, connected, offsets, settled
from support.small_hosts import SmallHosts

MESSAGE, TYPING, RARE = "MESSAGE_CREATE", "TYPING_START", "GUILD_ROLE_UPDATE"


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[SmallHosts]:
    with SmallHosts(tmp_path) as hosts:
        yield hosts


@pytest.fixture(params=["asyncio", "blocking"])
def kind(request: pytest.FixtureRequest, hosts: SmallHosts) -> Iterator[Kind]:
    with connected(request.param, hosts.connect) as one:
        yield one


def collected(hosts: SmallHosts, reader: Reader, count: int, name: str = MESSAGE) -> list[int]:
    """Return the offsets of the next events of one name, while their owner's beacons come."""
    found: list[int] = []

    def heard() -> bool:
        hosts.beacon()
        event = reader.next(0.05)
        found.extend([event.offset] if event is not None and event.name == name else [])
        return len(found) == count

    until(heard, f"{count} events")
    return found


@pytest.mark.parametrize("names", [(), (MESSAGE,), (MESSAGE, RARE)])
def test_a_shard_that_moves_is_followed_and_what_was_lost_in_between_comes_first(
    hosts: SmallHosts, kind: Kind, names: tuple[str, ...]
) -> None:
    reader = settled(hosts, kind, *names)
    before = hosts.publish(MESSAGE)
    lost = hosts.publish(MESSAGE, MESSAGE, lost=True)
    hosts.owners[0] = "b"
    after = hosts.publish(MESSAGE, MESSAGE)
    assert collected(hosts, reader, 5) == before + lost + after


def test_a_last_event_that_the_host_before_did_not_publish_comes_after_the_new_ones_beacon(
    hosts: SmallHosts, kind: Kind
) -> None:
    reader = settled(hosts, kind, RARE)
    (at,) = hosts.publish(RARE, lost=True)
    hosts.owners[0] = "b"
    assert collected(hosts, reader, 1, RARE) == [at]


@pytest.mark.parametrize("names", [(), (MESSAGE,)])
def test_what_the_fenced_owner_and_the_new_one_both_publish_comes_once(
    hosts: SmallHosts, kind: Kind, names: tuple[str, ...]
) -> None:
    reader = settled(hosts, kind, *names)
    published = hosts.publish(MESSAGE) + hosts.publish(MESSAGE, via=["a", "b"])
    hosts.owners[0] = "b"
    published += hosts.publish(MESSAGE)
    assert collected(hosts, reader, 3) == published
    assert reader.next(QUIET_S) is None


def test_a_replay_that_its_owner_does_not_answer_is_asked_of_another_host(
    hosts: SmallHosts, kind: Kind
) -> None:
    reader = settled(hosts, kind, MESSAGE)
    hosts.hosts["a"].reads = False
    lost = hosts.publish(MESSAGE, lost=True)
    after = hosts.publish(MESSAGE)
    assert offsets(reader, 2) == [(MESSAGE, at) for at in lost + after]
    assert hosts.hosts["a"].unread == 1, "it had been asked first, since it publishes for the shard"


def test_a_host_that_dies_during_a_replay_is_not_waited_for(hosts: SmallHosts, kind: Kind) -> None:
    reader = settled(hosts, kind, MESSAGE)
    owner = hosts.hosts["a"]
    owner.reads = False
    lost = hosts.publish(MESSAGE, lost=True)
    hosts.publish(MESSAGE)
    until(lambda: reader.next(0.01) is not None or owner.unread, "the question")
    hosts.kill("a")
    assert offsets(reader, 1) == [(MESSAGE, lost[0])]


def test_when_all_hosts_have_been_replaced_one_by_one_nothing_is_missing(
    hosts: SmallHosts,
) -> None:
    for which in ("asyncio", "blocking"):
        with contextlib.ExitStack() as stack:
            names = list(hosts.hosts)
            hosts.owners[0] = names[0]
            kind = stack.enter_context(connected(which, lambda: hosts.connect(names[0])))  # noqa: B023
            reader = settled(hosts, kind, MESSAGE)
            published = hosts.publish(MESSAGE)
            found: list[int] = []
            for number in range(3):
                hosts.add(f"{which}{number}")
                published += hosts.publish(MESSAGE, lost=True)
                hosts.kill(next(iter(hosts.hosts)))
                hosts.owners[0] = f"{which}{number}"
                published += hosts.publish(MESSAGE)
                found += collected(hosts, reader, len(published) - len(found))
            assert found == published
            assert not set(names) & set(hosts.hosts)


def test_a_host_that_dies_has_the_others_asked_for_hosts_at_once(hosts: SmallHosts, kind: Kind) -> None:
    reader = settled(hosts, kind, MESSAGE)
    asked = hosts.hosts["b"].asked
    hosts.kill("a")

    def is_asked() -> bool:
        reader.next(0.01)
        return hosts.hosts["b"].asked > asked

    until(is_asked, "a question for the status")


def test_who_comes_back_with_a_cursor_goes_on_wherever_the_shard_is(
    hosts: SmallHosts, tmp_path: Path
) -> None:
    path = tmp_path / "bot.cursor"
    with connected("blocking", lambda: hosts.connect("a")) as kind:
        reader = settled(hosts, kind, MESSAGE, cursor=path)
        done = hosts.publish(MESSAGE)
        assert offsets(reader, 1) == [(MESSAGE, done[0])]
        reader.next(QUIET_S)
    missed = hosts.publish(MESSAGE)
    hosts.owners[0] = "b"
    hosts.kill("a")
    missed += hosts.publish(MESSAGE)
    with connected("blocking", lambda: hosts.connect("b")) as kind:
        reader = kind.subscribe(MESSAGE, cursor=path)
        assert offsets(reader, 2) == [(MESSAGE, at) for at in missed]


def test_each_host_tells_its_own_state_and_only_its_changes_come(hosts: SmallHosts, kind: Kind) -> None:
    reader = settled(hosts, kind, MESSAGE)

    def tell(host: str, ready: int) -> None:
        frames = [b"GWCLUSTER_CLUSTER_STATE.0.", STATE_HEADER, b'{"op":0,"d":{"ready":%d}}' % ready]
        hosts.hosts[host].pub.send_multipart(frames)

    tell("a", 1)
    first = reader.next()
    for ready in (1, 1, 2):
        tell("a", ready)
    second = reader.next()
    assert first is not None
    assert second is not None
    assert [first.data, second.data] == [{"ready": 1}, {"ready": 2}]


STATE_HEADER = bytes.fromhex(
    "89a17601a5736861726400a673686172647310a565706f6368b030303030303030303030303030303030"
    "a66f666673657400a470726576c0a773657373696f6e00a3736571c0a26174cb41da556e40800000"
)


# Commands and status


def test_a_command_goes_to_the_shards_owner_and_to_another_when_that_is_gone(hosts: SmallHosts) -> None:
    hosts.owners = {0: "a", 1: "b"}

    async def go() -> None:
        async with hosts.connect() as cluster, asyncio.timeout(SECONDS):
            await cluster.status()
            for shard in (0, 1, 1, 0):
                await cluster.send({"op": 3, "d": {}}, shard=shard)
            await cluster.send({"op": 4, "d": {}}, guild_id=1 << 22)
            await asyncio.to_thread(hosts.kill, "a")
            await cluster.send({"op": 8, "d": {}}, shard=0)

    sent = {name: host.sent for name, host in hosts.hosts.items()}
    asyncio.run(go())
    assert sent == {"a": [(0, 3), (0, 3)], "b": [(1, 3), (1, 3), (1, 4), (0, 8)]}


def test_plainly_too(hosts: SmallHosts) -> None:
    hosts.owners = {0: "a", 1: "b"}
    sent = {name: host.sent for name, host in hosts.hosts.items()}
    with hosts.connect() as cluster:
        cluster.status()
        for shard in (0, 1, 1, 0):
            cluster.send({"op": 3, "d": {}}, shard=shard)
        hosts.kill("a")
        cluster.send({"op": 8, "d": {}}, shard=0)
    assert sent == {"a": [(0, 3), (0, 3)], "b": [(1, 3), (1, 3), (0, 8)]}


def test_a_command_whose_host_dies_is_not_sent_twice_and_its_fate_is_told(hosts: SmallHosts) -> None:
    host = hosts.hosts["a"]
    host.answers = False

    async def go() -> None:
        async with hosts.connect() as cluster, asyncio.timeout(SECONDS):
            await cluster.status()
            waiting = asyncio.create_task(cluster.send({"op": 3, "d": {}}, shard=0))
            await asyncio.to_thread(until, lambda: host.sent, "the command")
            await asyncio.to_thread(hosts.kill, "a")
            with pytest.raises(gwcluster.SendRefused, match="Discord may have this or not"):
                await waiting

    asyncio.run(go())
    assert hosts.hosts["b"].sent == []


def test_plainly_a_command_whose_host_dies_is_not_sent_twice_either(hosts: SmallHosts) -> None:
    host = hosts.hosts["a"]
    host.answers = False

    def die() -> None:
        until(lambda: host.sent, "the command")
        hosts.kill("a")

    with hosts.connect() as cluster:
        cluster.status()
        dying = threading.Thread(target=die)
        dying.start()
        with pytest.raises(gwcluster.SendRefused, match="Discord may have this or not"):
            cluster.send({"op": 3, "d": {}}, shard=0)
        dying.join()
    assert hosts.hosts["b"].sent == []


@pytest.mark.parametrize("silent", ["a", "b"])
def test_a_status_is_asked_of_another_host_when_one_is_silent(hosts: SmallHosts, silent: str) -> None:
    hosts.hosts[silent].hang()

    async def go() -> str:
        async with hosts.connect() as cluster, asyncio.timeout(SECONDS):
            return str((await cluster.status())["name"])

    assert asyncio.run(go()) == "small"
    with hosts.connect() as plain:
        assert plain.status()["name"] == "small"


def test_who_only_sends_finds_the_hosts_that_come_later(hosts: SmallHosts) -> None:
    sent = {name: host.sent for name, host in hosts.hosts.items()}
    with hosts.connect("a") as cluster:
        cluster.send({"op": 3, "d": {}}, shard=0)  # and asks, once, who else is there
        cluster.status()
        hosts.kill("a")
        cluster.send({"op": 8, "d": {}}, shard=0)
    assert sent == {"a": [(0, 3)], "b": [(0, 8)]}


def test_no_thread_of_ours_is_started_for_several_hosts(hosts: SmallHosts) -> None:
    before = threading.active_count()
    with hosts.connect("a") as plain:
        subscription = plain.subscribe(MESSAGE)
        plain.status()
        subscription.poll(0.05)
        assert threading.active_count() == before
