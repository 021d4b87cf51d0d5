"""The sockets of one subscription (does): reads what is there, sends what is due, and never waits."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Final

import zmq
from zmq.utils.monitor import parse_monitor_message

from gwcluster.client.entry import EVENTS, SUCCEEDED, Entry
from gwcluster.client.following import Following
from gwcluster.client.host import Host
from gwcluster.client.keys import Curve
from gwcluster.client.roster import Roster
from gwcluster.client.sockets import Socket, Watching, connected, has_news, monitored

BATCH: Final = 200
"""Messages that are read at a time, of all hosts, before others get their turn."""

LOOK_S: Final = 0.4
STALL_S: Final = 1.0
"""How often to look for messages at least, and the pause after which the publisher may have dropped some."""


class _HostLine:
    """The sockets of one host."""

    def __init__(
        self, context: zmq.Context[Socket], host: Host, curve: Curve | None, following: Following, now: float
    ) -> None:
        self._host = host
        self._following = following
        self._sub, self._monitor = monitored(
            context, zmq.SUB, host.events, curve, EVENTS | zmq.EVENT_DISCONNECTED
        )
        self._entry = Entry(host.events, has_key=curve is not None)
        for prefix in following.wanted.prefixes:
            self._sub.subscribe(prefix)
        self._dealer = connected(context, zmq.DEALER, host.requests, curve)
        self._empty_at = now
        self.sockets = (self._sub, self._monitor, self._dealer)

    def pump(self, limit: int, now: float) -> bool:
        """Hand over what has come, so many messages at most; say whether there were any."""
        following = self._following
        batch = [] if following.full else self._read(limit)
        # After the messages: a new connection is told of before anything that comes over it.
        while has_news(self._monitor):
            self._reported(parse_monitor_message(self._monitor.recv_multipart(zmq.DONTWAIT))["event"], now)
        if now - self._empty_at > STALL_S:
            following.stalled(self._host, now)
            self._empty_at = now
        if len(batch) < limit and not following.full:
            self._empty_at = now
        for frames in batch:
            following.received(frames, self._host, now)
        while has_news(self._dealer):
            following.answered(self._dealer.recv_multipart(zmq.DONTWAIT)[-1], self._host, now)
        return bool(batch)

    def _reported(self, event: int, now: float) -> None:
        if (refused := self._entry.heard(event)) is not None:
            self._following.failed(refused)
        elif event == SUCCEEDED:
            self._following.reconnected(self._host, now)
        elif event == zmq.EVENT_DISCONNECTED:
            self._following.lost(self._host, now)

    def _read(self, limit: int) -> list[list[bytes]]:
        batch: list[list[bytes]] = []
        try:
            while len(batch) < limit:
                batch.append(self._sub.recv_multipart(zmq.DONTWAIT))
        except zmq.Again:
            pass
        return batch

    def ask(self, body: bytes) -> None:
        """Send a question. What there is no room for, since the host has been away for long, is repeated."""
        with contextlib.suppress(zmq.Again):
            self._dealer.send(body, zmq.DONTWAIT)

    @property
    def has_more(self) -> bool:
        """Whether there is something to read already."""
        events, *others = [has_news(socket) for socket in self.sockets]
        return any(others) or (events and not self._following.full)

    def close(self) -> None:
        """Close every socket."""
        self._sub.disable_monitor()
        for socket in self.sockets:
            socket.close()


class Line:
    """What connects one `Following` with all hosts of a cluster.

    Args:
        curve: the keys that open them.
        roster: the hosts; others may change it.
        watch: told which sockets become readable when `pump` has something to do.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        context: zmq.Context[Socket],
        curve: Curve | None,
        *,
        roster: Roster,
        following: Following,
        watch: Watching,
        clock: Callable[[], float],
    ) -> None:
        self._context = context
        self._curve = curve
        self._roster = roster
        self._following = following
        self._watch = watch
        self._clock = clock
        self._joined: tuple[Host, ...] = ()
        self._lines: dict[Host, _HostLine] = {}
        self._join(clock())

    def pump(self) -> bool:
        """Hand over what has come and send what is due; say whether there is more to read already."""
        now = self._clock()
        self._roster.tidy(now)
        self._join(now)
        for host, line in self._lines.items():
            if line.pump(max(1, BATCH // len(self._lines)), now):
                self._roster.heard(host, now)
        for host, body in self._following.questions(now):
            if (line_to := self._lines.get(host)) is not None:
                line_to.ask(body)
        more = [
            line.has_more for line in self._lines.values()
        ]  # of each: a descriptor is quiet until looked at
        return any(more)

    def _join(self, now: float) -> None:
        """Connect with hosts that are new, and leave those that are gone."""
        if self._joined is self._roster.hosts:
            return
        self._joined = self._roster.hosts
        for host in [host for host in self._lines if host not in self._joined]:
            self._leave(host)
            self._following.lost(host, now)
        for host in self._joined:
            if host not in self._lines:
                line = _HostLine(self._context, host, self._curve, self._following, now)
                self._lines[host] = line
                self._watch.add(line.sockets)

    def _leave(self, host: Host) -> None:
        line = self._lines.pop(host)
        self._watch.drop(line.sockets)
        line.close()

    @property
    def wait_s(self) -> float:
        """How long nothing needs to be done, if nothing comes."""
        due = self._following.due
        return LOOK_S if due is None else min(LOOK_S, max(0.0, due - self._clock()))

    def close(self) -> None:
        """Close every socket."""
        for host in list(self._lines):
            self._leave(host)
