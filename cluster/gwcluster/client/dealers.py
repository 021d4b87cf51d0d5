"""The sockets over which a cluster is asked (does): one for each host; they never wait."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import zmq
from zmq.utils.monitor import parse_monitor_message

from gwcluster.client.entry import EVENTS, SUCCEEDED, Entry
from gwcluster.client.host import Host
from gwcluster.client.keys import Curve, KeyRefused
from gwcluster.client.roster import Roster
from gwcluster.client.sockets import Socket, Watching, has_news, monitored
from gwcluster.wire.replay import encode_request

_HEARD: Final = EVENTS | zmq.EVENT_DISCONNECTED


@dataclass(frozen=True, slots=True)
class Answer:
    """What a host has answered."""

    host: Host
    body: bytes


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection to a host is lost."""

    host: Host


News = Answer | Lost | KeyRefused


class _Dealer:
    def __init__(self, context: zmq.Context[Socket], host: Host, curve: Curve | None) -> None:
        self.socket, self.monitor = monitored(context, zmq.DEALER, host.requests, curve, _HEARD)
        self.entry = Entry(host.requests, has_key=curve is not None)

    def close(self) -> None:
        self.socket.disable_monitor()
        self.monitor.close()
        self.socket.close()


class Dealers:
    """One DEALER for each host.

    Args:
        curve: the keys that open them.
        roster: the hosts; others may change it.
        watch: told which sockets to wait for.

    Attributes:
        up: the hosts with whom there is a connection.
    """

    def __init__(
        self, context: zmq.Context[Socket], curve: Curve | None, *, roster: Roster, watch: Watching
    ) -> None:
        self._context = context
        self._curve = curve
        self._roster = roster
        self._watch = watch
        self._joined: tuple[Host, ...] = ()
        self._dealers: dict[Host, _Dealer] = {}
        self.up: set[Host] = set()
        for _ in self._join():
            raise AssertionError("nobody can be left before there was anybody")

    def look(self, now: float) -> Iterator[News]:
        """Connect with hosts that are new, leave those that are gone, and iterate over what has come."""
        self._roster.tidy(now)
        yield from self._join()
        for host, dealer in list(self._dealers.items()):
            while has_news(dealer.socket):
                yield Answer(host, dealer.socket.recv_multipart(zmq.DONTWAIT)[-1])
            while has_news(dealer.monitor):
                event = parse_monitor_message(dealer.monitor.recv_multipart(zmq.DONTWAIT))["event"]
                if event == zmq.EVENT_DISCONNECTED:
                    if host in self.up:  # else nothing was sent over it
                        self.up.discard(host)
                        yield Lost(host)
                elif (refused := dealer.entry.heard(event)) is not None:
                    yield refused
                elif event == SUCCEEDED:
                    self.up.add(host)

    def send(self, host: Host, body: bytes) -> None:
        """Send a question.

        Raises:
            zmq.Again: for long nobody has read there.
        """
        self._dealers[host].socket.send(body, zmq.DONTWAIT)

    @property
    def where(self) -> str:
        """The addresses, for people."""
        return ", ".join(host.requests for host in self._joined) or "any host"

    @property
    def hint(self) -> str:
        """Words to add where nobody answers; empty: none."""
        return next((dealer.entry.hint for dealer in self._dealers.values() if dealer.entry.hint), "")

    def refresh(self, now: float, numbers: Iterator[int]) -> None:
        """Ask for the hosts if nobody has for long; nobody waits for the answer.

        Args:
            now: monotonic seconds.
            numbers: of questions; one is taken if it is asked.
        """
        host = self._roster.pick(None, now, self.up) if self._roster.is_stale(now) else None
        if host is not None:
            with contextlib.suppress(zmq.Again):
                self.send(host, encode_request("status", next(numbers)))

    def close(self) -> None:
        """Close every socket."""
        for host in list(self._dealers):
            self._leave(host)

    def _join(self) -> Iterator[Lost]:
        if self._joined is self._roster.hosts:
            return
        self._joined = self._roster.hosts
        for host in [host for host in self._dealers if host not in self._joined]:
            self._leave(host)
            yield Lost(host)
        for host in self._joined:
            if host not in self._dealers:
                dealer = self._dealers[host] = _Dealer(self._context, host, self._curve)
                self._watch.add((dealer.socket, dealer.monitor))

    def _leave(self, host: Host) -> None:
        dealer = self._dealers.pop(host)
        self.up.discard(host)
        self._watch.drop((dealer.socket, dealer.monitor))
        dealer.close()
