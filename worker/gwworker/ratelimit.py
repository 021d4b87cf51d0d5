"""How much may be sent on one connection (pure): a sliding log of every payload.

A fixed window would let twice the limit pass around its edge, so the moment of each payload is kept.
Commands get what heartbeats, the handshake and some answers to op 1 leave of the limit.

Sources:
    https://docs.discord.com/developers/events/gateway#rate-limiting
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

from gwcluster.discord import SEND_LIMIT, SEND_WINDOW_S

_WINDOW_S: Final = SEND_WINDOW_S + 1.0
"""What we count over: payloads that left 60 s apart may arrive closer than that."""

_HANDSHAKE: Final = 1
_ANSWERS: Final = 3
"""Answers to op 1 that stay possible within a minute however many commands are sent."""

_MOST_ANSWERED: Final = 50
"""So many beats in a minute and op 1 is answered no more. No gateway asks that often; and what is left is
enough for the beats of any interval from a second up, should another Hello ask for one."""

TIGHT_S: Final = 600.0
"""How long half the limit holds after Discord said that it was exceeded."""


class SendBudget:
    """The payloads of one connection at a time; all times are monotonic seconds.

    Whoever sends something says so here: heartbeats and the handshake always may, answers to op 1 and
    commands ask first. Nothing more than 120 leaves in any 60 s as long as beats are an interval apart.
    """

    def __init__(self) -> None:
        self._commands: deque[float] = deque()
        self._others: deque[float] = deque()
        self._beats = 0
        self._tight_until = -math.inf
        self.adopt(SEND_WINDOW_S)

    def start(self) -> None:
        """Begin a connection: nothing was sent on it yet."""
        self._commands.clear()
        self._others.clear()
        self.adopt(SEND_WINDOW_S)

    def adopt(self, interval_s: float) -> None:
        """Keep room for beats that are `interval_s` apart from now on."""
        self._beats = int(_WINDOW_S / interval_s) + 1

    def tighten(self, now: float) -> None:
        """Discord found it too much (4008): half the limit for ten minutes, on later connections too."""
        self._tight_until = now + TIGHT_S

    def note(self, now: float) -> None:
        """A heartbeat, IDENTIFY or RESUME is sent."""
        self._forget(now)
        self._others.append(now)

    def may_answer(self, now: float) -> bool:
        """Say whether op 1 may be answered; if so, call `note`."""
        self._forget(now)
        if len(self._others) >= _MOST_ANSWERED:
            return False
        return len(self._commands) + len(self._others) + self._beats < self._limit(now)

    def room_for_command(self, now: float) -> bool:
        """Say whether a command may be sent; if so and it is, call `note_command`."""
        self._forget(now)
        kept = max(len(self._others) + self._beats, self._beats + _HANDSHAKE + _ANSWERS)
        return len(self._commands) + kept < self._limit(now)

    def note_command(self, now: float) -> None:
        """A command is sent."""
        self._commands.append(now)

    def free_at(self, now: float) -> float:
        """Return `now` if a command may be sent, else the moment at which to ask again.

        That is when the oldest payload stops counting; infinity while beats alone fill the limit.
        """
        if self.room_for_command(now):
            return now
        moments = [sent[0] + _WINDOW_S for sent in (self._commands, self._others) if sent]
        if self._tight_until > now:
            moments.append(self._tight_until)
        return min(moments, default=math.inf)

    def _limit(self, now: float) -> int:
        return SEND_LIMIT // 2 if now < self._tight_until else SEND_LIMIT

    def _forget(self, now: float) -> None:
        for sent in (self._commands, self._others):
            while sent and sent[0] <= now - _WINDOW_S:
                sent.popleft()
