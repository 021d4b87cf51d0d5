"""Whether a session is worth another RESUME (pure).

A RESUME is free and an IDENTIFY is one of a thousand a day, so a session is held on to. But some never
come back: Discord ends each connection that tries them without a word that says so. Such a session is given
up after a few tries, or the shard would stay deaf.
"""

from __future__ import annotations

from typing import Final

from gwworker.closing import Rule

FRUITLESS: Final = 3
"""RESUMEs in a row without one event, after which the session is taken for dead."""

HOPELESS_S: Final = 600.0
"""How long RESUMEs are tried while Discord itself asks each time to come again. It keeps a session for
minutes; later there is nothing left to resume.
https://docs.discord.com/developers/events/gateway#resuming"""


class Lifeline:
    """Counts what became of a session's RESUMEs; all times are monotonic seconds."""

    def __init__(self) -> None:
        self._fruitless = 0
        self._vain_since: float | None = None
        self._waiting = False
        self._code: int | None = None
        self._times = 0

    def resuming(self, now: float) -> None:
        """RESUME is sent."""
        self._waiting = True
        if self._vain_since is None:
            self._vain_since = now

    def unsent(self) -> None:
        """It was not, after all; that says nothing of the session."""
        self._waiting = False

    def progressed(self) -> None:
        """An event came: the session lives."""
        self._fruitless = 0
        self._vain_since = None
        self._waiting = False

    def held(self) -> None:
        """A connection was good for long enough; how earlier ones ended no longer matters."""
        self._times = 0

    def ended(self, now: float, *, code: int | None, rule: Rule | None, sent_away: bool) -> str | None:
        """A connection is over; return why its session is to be given up, or None to go on with it.

        Args:
            now: monotonic seconds.
            code: the peer's close code; None without one.
            rule: what the table says of the close; None when we ended the connection.
            sent_away: Discord itself asked us to come again, so it knows of no fault in the session.
        """
        if self._waiting:
            self._waiting = False
            if not sent_away:
                self._fruitless += 1
        if self._fruitless >= FRUITLESS:
            return f"{FRUITLESS} RESUMEs without one event"
        if self._vain_since is not None and now - self._vain_since >= HOPELESS_S:
            return f"no event since the first RESUME, {now - self._vain_since:.0f} s ago"
        if rule is None or rule.tries is None:
            return None
        self._times = self._times + 1 if code == self._code else 1
        self._code = code
        if self._times > rule.tries:
            self._times = 0
            return f"closed with {code} {rule.tries + 1} times in a row"
        return None
