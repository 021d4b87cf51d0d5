"""When to beat, and when silence means that nobody is there (pure).

Sources:
    https://docs.discord.com/developers/events/gateway#sending-heartbeats
    Beats count among the 120 payloads a minute: https://docs.discord.com/developers/events/gateway#rate-limiting
"""

from __future__ import annotations

import enum
from collections import deque
from typing import Final

from gwcluster.discord import SEND_LIMIT, SEND_WINDOW_S

_REQUEST_RESERVE: Final = 10
"""Payloads of each minute that answers to op 1 leave for scheduled beats and the handshake."""

_STALL_S: Final = 1.0
"""A tick later than this means that we slept, not Discord; what it sent meanwhile is read before judging."""


class Verdict(enum.Enum):
    """What a due heartbeat asks for."""

    BEAT = "send a beat"
    WAIT = "we were stalled: read first, then judge"
    ZOMBIE = "nobody is there"


class Heartbeat:
    """The heartbeat of one connection at a time; all times are monotonic seconds.

    A connection is a zombie when a beat got no ACK for a whole interval and nothing at all was received
    since, or when no ACK came for two intervals whatever else arrived.

    Attributes:
        due: moment of the next beat, None while there is no connection.
        latency_s: from the last acknowledged beat to its ACK; None before the first on this connection.
        acked_at: moment of the last ACK, None before the first on this connection.
    """

    def __init__(self) -> None:
        self.due: float | None = None
        self.latency_s: float | None = None
        self.acked_at: float | None = None
        self._interval_s = 0.0
        self._heard_at = 0.0
        self._unacked: deque[float] = deque(maxlen=SEND_LIMIT)
        self._unacked_since: float | None = None
        self._sent: deque[float] = deque(maxlen=SEND_LIMIT)
        self._stalled = False

    def start(self, interval_s: float, now: float, jitter: float) -> None:
        """Begin a connection's beats; the first comes after `jitter`, 0 to 1, times the interval."""
        self.stop()
        self._sent.clear()
        self._interval_s = interval_s
        self._heard_at = now
        self.due = now + interval_s * jitter

    def adopt(self, interval_s: float) -> None:
        """Change the interval from the next beat on."""
        self._interval_s = interval_s

    def stop(self) -> None:
        """End the connection's beats."""
        self.due = self.latency_s = self.acked_at = self._unacked_since = None
        self._unacked.clear()
        self._stalled = False

    def heard(self, now: float) -> None:
        """Something was received."""
        self._heard_at = now

    def acked(self, now: float) -> None:
        """An ACK was received; one that nobody asked for changes nothing but `acked_at`."""
        self.acked_at = now
        self._unacked_since = None
        if self._unacked:
            self.latency_s = now - self._unacked.popleft()

    def tick(self, now: float) -> Verdict:
        """Decide, at or after `due`, what is to be done; a beat is taken for sent."""
        assert self.due is not None, "no connection, no beat"
        since = self._unacked_since
        if since is not None and (self._heard_at < since or now - since >= 2 * self._interval_s):
            if self._stalled or now - self.due <= _STALL_S:
                return Verdict.ZOMBIE
            self._stalled = True
            self.due = now + _STALL_S
            return Verdict.WAIT
        self._stalled = False
        self.due = now + self._interval_s
        self._note_sent(now)
        return Verdict.BEAT

    def requested(self, now: float) -> bool:
        """Op 1: say whether to answer; the timer stays as it is, and no ACK is missed by it.

        A peer that asks so often that answering would break the send limit gets no answer.
        """
        while self._sent and self._sent[0] <= now - SEND_WINDOW_S:
            self._sent.popleft()
        if len(self._sent) >= SEND_LIMIT - _REQUEST_RESERVE:
            return False
        self._note_sent(now)
        return True

    def _note_sent(self, now: float) -> None:
        self._sent.append(now)
        self._unacked.append(now)
        if self._unacked_since is None:
            self._unacked_since = now
