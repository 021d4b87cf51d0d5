"""A line between a cluster and its subscribers that loses some events (does)."""

from __future__ import annotations

import random
import threading
from collections.abc import Collection
from types import TracebackType

import zmq


class Lossy:
    """Hands on what is published, but not every message of some names; all else it hands on.

    Args:
        events: the cluster's address.
        address: where subscribers find this.
        names: the names of which it loses some; None: of all, also of notices.
        share: how much of those, from 0 to 1.
        seed: of the dice.

    Attributes:
        lost: how many messages it swallowed.
    """

    def __init__(
        self, events: str, address: str, names: Collection[str] | None, *, share: float = 0.3, seed: int = 7
    ) -> None:
        self.address = address
        self.lost = 0
        self._events = events
        self._names = None if names is None else frozenset(name.encode() for name in names)
        self._share = share
        self._dice = random.Random(seed)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Lossy:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        with zmq.Context() as context, context.socket(zmq.SUB) as sub, context.socket(zmq.PUB) as pub:
            pub.linger = 0
            pub.bind(self.address)
            sub.subscribe("")
            sub.connect(self._events)
            while not self._over.is_set():
                if sub.poll(50):
                    frames = sub.recv_multipart()
                    name = frames[0].partition(b".")[0]
                    if (self._names is None or name in self._names) and self._dice.random() < self._share:
                        self.lost += 1
                    else:
                        pub.send_multipart(frames)
