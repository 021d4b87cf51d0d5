"""Whom requests are handed on to (does): the control loop and the thread that reads logs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from gwcluster.requests.control_loop import ControlLoop
from gwcluster.wire.control import CommandDone
from gwcluster.wire.requests import Replay, Restart, Send


class Replays(Protocol):
    """Who reads logs; see `gwcluster.requests.replay`."""

    def serve(self, ask: Replay, answer: Callable[[bytes], None]) -> None:
        """Call `answer` with the answer, once, in any thread."""

    def close(self) -> None:
        """Come to an end."""


class BackOffice:
    """The control loop and who reads logs, as a clerk sees them: they call back in its own thread.

    Args:
        control: the control loop.
        replays: who reads logs.
        post: has something done in the clerk's thread.
    """

    def __init__(
        self, control: ControlLoop, replays: Replays, post: Callable[[Callable[[], None]], None]
    ) -> None:
        self._control = control
        self._replays = replays
        self._post = post

    @property
    def is_ready(self) -> bool:
        """Whether payloads can be sent at all by now."""
        return self._control.commands is not None

    def has_shard(self, shard: int) -> bool | None:
        """Say whether this cluster runs a shard; None: it doesn't know its shards yet."""
        ids = self._control.ids
        return None if ids is None else shard in ids

    def send(self, ask: Send, done: Callable[[CommandDone], None]) -> None:
        """Have a payload sent."""
        self._control.send(ask, lambda what: self._post(lambda: done(what)))

    def status(self, told: Callable[[dict[str, Any]], None]) -> None:
        """Ask how the cluster is."""
        self._control.status(lambda document: self._post(lambda: told(document)))

    def restart(self, ask: Restart, done: Callable[[str | None], None]) -> None:
        """Have workers restarted."""
        self._control.restart(ask, lambda why: self._post(lambda: done(why)))

    def drain(self, done: Callable[[str | None], None]) -> None:
        """Have all shards handed to other hosts."""
        self._control.drain(lambda why: self._post(lambda: done(why)))

    def read(self, ask: Replay, done: Callable[[bytes], None]) -> None:
        """Have a log read."""
        self._replays.serve(ask, lambda body: self._post(lambda: done(body)))
