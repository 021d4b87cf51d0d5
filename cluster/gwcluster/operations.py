"""What can be seen and done from outside (does): one object for requests, HTTP and signals alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol


class Hands(Protocol):
    """Whoever can restart workers; see `gwcluster.supervise.crew`."""

    def restart(self, shard: int) -> str | None:
        """Restart one shard's worker; None: it will be done, else why not."""

    def restart_all(self) -> str | None:
        """Restart the worker of every shard, over two seconds."""

    def roll(self) -> str | None:
        """Restart one worker after the other, each with the newest code."""


class Operations:
    """How the cluster is, and what an operator may do to it. For the control loop's thread alone.

    Args:
        document: returns the status.

    Attributes:
        hands: who does it; None: the shards aren't known yet.
        emptied: has all shards handed to other hosts, or says why not; None: there are no other hosts.
    """

    def __init__(self, document: Callable[[], dict[str, Any]]) -> None:
        self.hands: Hands | None = None
        self.emptied: Callable[[], str | None] | None = None
        self._document = document
        self._subscribers: list[Callable[[], None]] = []

    def status(self) -> dict[str, Any]:
        """Return the document on how the cluster is; docs/wire.md describes it."""
        return self._document()

    def restart(self, shard: int | None, *, rolling: bool) -> str | None:
        """Restart workers; their shards resume, which costs no identify if they were live.

        Args:
            shard: which one, also one that is failed or waits in backoff; None: all.
            rolling: of all, one after the other, each with the code that is installed now.

        Returns:
            None when it will be done, else why not.
        """
        if self.hands is None:
            return "the cluster doesn't know its shards yet"
        if shard is not None:
            return self.hands.restart(shard)
        return self.hands.roll() if rolling else self.hands.restart_all()

    def drain(self) -> str | None:
        """Hand all shards to other hosts, one after the other, which costs no identify.

        Returns:
            None when it will be done, else why not.
        """
        if self.emptied is None:
            return "this cluster runs on one host: cluster.yaml has no `hosts`"
        return self.emptied()

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` whenever the state of a shard has changed; return what ends that.

        It must not wait, and look at `status` itself: several changes may be one call.
        """
        entry = lambda: callback()  # noqa: E731 - one of its own, should a callback be there twice
        self._subscribers.append(entry)

        def unsubscribe() -> None:
            if entry in self._subscribers:
                self._subscribers.remove(entry)

        return unsubscribe

    def changed(self) -> None:
        """The state of a shard changed."""
        for callback in tuple(self._subscribers):
            callback()
