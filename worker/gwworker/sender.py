"""What a bot sends to Discord (does): writes what `Commands` lets go, and answers the coordinator."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from gwcluster.wire.control import Command, CommandDone
from gwworker.all_members import parse_objection
from gwworker.commands import Commands, Write

LOOK_AGAIN_S: Final = 0.05
"""How often to look whether a socket that was full has taken the rest."""

_BLAMED: Final = frozenset({4001, 4002, 4008})
"""Close codes that what we sent may have brought about."""

log = logging.getLogger(__name__)


class Sender:
    """The way out of one shard's commands; all times are monotonic seconds.

    Args:
        commands: decides.
        send: writes one payload to the connection; False if there is none that takes any.
        unsent: bytes that were written to the connection and that its socket hasn't taken yet.
        answer: tells the coordinator.

    Attributes:
        due: moment at which `tick` is wanted, None for never.
    """

    def __init__(
        self,
        commands: Commands,
        *,
        send: Callable[[bytes], bool],
        unsent: Callable[[], int],
        answer: Callable[[CommandDone], None],
    ) -> None:
        self.due: float | None = None
        self._commands = commands
        self._send = send
        self._unsent = unsent
        self._answer = answer

    def heard(self, command: Command, now: float) -> None:
        """The coordinator wants a command sent."""
        self._tell(self._commands.offer(command, now))
        self.tick(now)

    def opened(self, now: float) -> None:
        """The shard is live."""
        self._commands.opened()
        self.tick(now)

    def shut(self, now: float, code: int | None = None) -> None:
        """The connection ends or is about to; call it before anything else that this brings about.

        Args:
            code: what Discord closed with, if it did. When it is only known later, say it then.
        """
        self._tell(self._commands.shut(now, code))
        last = self._commands.last
        if code in _BLAMED and last is not None:
            op, at = last
            log.warning(
                "close code %d came %.1f s after a command with opcode %d was sent; it is not sent again",
                code,
                now - at,
                op,
            )
        self.tick(now)

    def rate_limited(self, payload: bytes, now: float) -> None:
        """A RATE_LIMITED dispatch came."""
        objection = parse_objection(payload)
        if objection is None:
            log.warning("Discord rate limits something else than a request for all members of a guild")
            return
        self.tick(now)  # what Discord objects to has left, even if nobody has looked since
        self._tell(self._commands.rate_limited(objection, now))
        self.tick(now)

    def tick(self, now: float) -> None:
        """Do what is due."""
        commands = self._commands
        if commands.in_flight and not self._unsent():
            self._tell(commands.taken(now))
        while effects := commands.step(now):
            for effect in effects:
                if isinstance(effect, Write):
                    self._write(effect, now)
                else:
                    self._answer(effect)
        due = commands.due(now)
        if commands.in_flight:
            due = now + LOOK_AGAIN_S if due is None else min(due, now + LOOK_AGAIN_S)
        self.due = due

    def _write(self, write: Write, now: float) -> None:
        if not self._send(write.payload):
            self._tell(self._commands.shut(now, None))
        elif not self._unsent():
            self._tell(self._commands.taken(now))

    def _tell(self, answers: list[CommandDone]) -> None:
        for answer in answers:
            self._answer(answer)
