"""The sockets of a subscription."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import zmq

from gwcluster.client.following import Following
from gwcluster.client.host import Host, Told
from gwcluster.client.line import Line
from gwcluster.client.roster import Roster
from gwcluster.client.sockets import Socket, monitored
from gwcluster.client.topics import Wanted
from support.cluster import until
from support.small_hosts import SmallHost, SmallHosts

NOW = 10_000.0
MESSAGE = "MESSAGE_CREATE"


class Wary:
    """A socket that notes in which order it is asked for what; also the context that makes it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def socket(self, _: int) -> Wary:
        return self

    def setsockopt(self, option: int, value: int) -> None:
        """Take an option."""

    def get_monitor_socket(self, events: int) -> str:
        self.asked.append(f"monitor {events}")
        return "its monitor"

    def connect(self, address: str) -> None:
        self.asked.append(f"connect {address}")


def test_a_monitor_is_there_before_anything_can_happen_to_its_socket() -> None:
    # What a cluster refuses for good is told once, and may be within a millisecond.
    wary = Wary()
    made: tuple[Any, Any] = monitored(cast(zmq.Context[Socket], wary), zmq.DEALER, "ipc:///r", None, 7)
    assert made == (wary, "its monitor")
    assert wary.asked == ["monitor 7", "connect ipc:///r"]


class Watched:
    """Notes which sockets are watched."""

    def __init__(self) -> None:
        self.sockets: set[Socket] = set()

    def add(self, sockets: Iterable[Socket]) -> None:
        self.sockets |= set(sockets)

    def drop(self, sockets: Iterable[Socket]) -> None:
        assert not any(socket.closed for socket in sockets)
        self.sockets -= set(sockets)


class Listening:
    """A line with some hosts, at a clock that a test moves."""

    def __init__(self, hosts: SmallHosts) -> None:
        self.now = NOW
        self.watched = Watched()
        self.roster = Roster([host_of(host) for host in hosts.hosts.values()], now=NOW)
        self.following = Following(
            Wanted([MESSAGE], [0]),
            {},
            roster=self.roster,
            finished=lambda _: None,
            wall=lambda: NOW,
            now=NOW,
        )
        self.line = Line(
            hosts.context,
            None,
            roster=self.roster,
            following=self.following,
            watch=self.watched,
            clock=lambda: self.now,
        )

    def __enter__(self) -> Listening:
        return self

    def __exit__(self, *_: object) -> None:
        self.line.close()

    def offset(self) -> int | None:
        """Pump, and return the next event's offset."""
        self.line.pump()
        event = self.following.next()
        return None if event is None or event.name != MESSAGE else event.offset


def host_of(host: SmallHost) -> Host:
    return Host(host.events, host.requests)


def test_a_lost_connection_has_another_host_asked_though_no_time_goes_by(tmp_path: Path) -> None:
    with SmallHosts(tmp_path) as hosts, Listening(hosts) as listening:

        def heard() -> bool:
            hosts.publish(MESSAGE)
            return listening.offset() is not None

        until(heard, "a first event")
        hosts.hosts["a"].hang()
        deaf = hosts.hosts["a"].deaf
        assert deaf is not None
        (lost,) = hosts.publish(MESSAGE, lost=True)

        def asks() -> bool:
            hosts.publish(MESSAGE)
            listening.offset()
            return bool(deaf.poll(0))

        until(asks, "the question")
        hosts.kill("a")
        until(lambda: listening.offset() == lost, "what was lost")
    assert listening.watched.sockets == set()


def test_hosts_are_joined_when_they_are_told_of_and_left_when_they_are_gone(tmp_path: Path) -> None:
    with SmallHosts(tmp_path, names=["a"]) as hosts, Listening(hosts) as listening:
        assert len(listening.watched.sockets) == 3
        told = [Told(host_of(host), frozenset()) for host in (hosts.hosts["a"], hosts.add("b"))]
        listening.roster.told(told, NOW)
        listening.line.pump()
        assert len(listening.watched.sockets) == 6
        listening.roster.told(told[:1], NOW)
        listening.now += 30.0
        listening.line.pump()
        assert len(listening.watched.sockets) == 3
