"""The gateway as the harness sees it (does): a process that is told what to send, and asked."""

from __future__ import annotations

import time
from typing import Any

from bench.accounts import Sent
from bench.schedule import Pace
from bench.serving import Mark, Sender, Settings, serve
from bench.spawned import Spawned


class Gateway(Spawned):
    """The gateway process, seen from outside. Use as a context manager."""

    def __init__(self, settings: Settings) -> None:
        super().__init__("gateway", serve, settings)
        self.settings = settings
        self._answers: dict[str, Any] = {}
        self.port: int = self._answer("port", 120.0)

    @property
    def api(self) -> str:
        """Address of the REST API."""
        return f"http://127.0.0.1:{self.port}/api/v10"

    @property
    def url(self) -> str:
        """Address of the gateway."""
        return f"ws://127.0.0.1:{self.port}"

    def marks(self) -> list[Mark]:
        """Return all that happened so far."""
        self._pipe.send("marks")
        found: list[Mark] = self._answer("marks", 30.0)
        return found

    def live(self) -> int:
        """Return how many connections carry a session."""
        self._pipe.send("live")
        found: int = self._answer("live", 30.0)
        return found

    def send(self, pace: Pace) -> None:
        """Begin to send."""
        self._pipe.send(pace)

    def sent(self, patience_s: float) -> tuple[Sent, Sender] | None:
        """Wait until all of it was sent; return what, or None when it takes too long."""
        try:
            found: tuple[Sent, Sender] | None = self._answer("sent", patience_s)
        except TimeoutError:
            self._pipe.send("enough")
            found = self._answer("sent", 10.0)
        return found

    def _answer(self, kind: str, seconds: float) -> Any:
        """Wait for an answer; what else comes meanwhile is kept."""
        deadline = time.monotonic() + seconds
        while kind not in self._answers:
            said, value = self._hear(max(deadline - time.monotonic(), 0.0))
            self._answers[said] = value
        return self._answers.pop(kind)
