"""Whether a cluster lets a socket in (pure): ZeroMQ's reports of a connection, as errors in words."""

from __future__ import annotations

import logging
from typing import Final

from gwcluster.client.keys import KeyRefused

# https://libzmq.readthedocs.io/en/latest/zmq_socket_monitor.html
FAILED: Final = 0x0800
SUCCEEDED: Final = 0x1000
MISMATCHED: Final = 0x2000
REFUSED: Final = 0x4000
EVENTS: Final = FAILED | SUCCEEDED | MISMATCHED | REFUSED

DOUBTS: Final = 3
"""Connections that end before they have begun, one after the other, until the keys are doubted."""

_log = logging.getLogger("gwcluster")


class Entry:
    """What is known of the way into a cluster.

    Args:
        address: of the socket.
        has_key: whether one knocks with a key.

    Attributes:
        hint: words to add where a cluster doesn't answer; empty: none.
    """

    def __init__(self, address: str, *, has_key: bool) -> None:
        self._address = address
        self._has_key = has_key
        self._failed = 0
        self.hint = ""

    def heard(self, event: int) -> KeyRefused | None:
        """Take an event of the socket's monitor; return the error if ZeroMQ has given up for good."""
        if event == REFUSED:
            return KeyRefused(
                f"{self._address} doesn't know this key, or it may not read; is its public half in "
                "security.curve.clients_dir?"
            )
        if event == MISMATCHED and self._has_key:
            return KeyRefused(f"{self._address} asks for no key; is it a cluster without security.curve?")
        if event == MISMATCHED:
            return KeyRefused(f"{self._address} lets nobody in without a key; give one as curve=")
        if event == SUCCEEDED:
            self._failed, self.hint = 0, ""
        elif event == FAILED:
            self._doubt()
        return None

    def _doubt(self) -> None:
        # A cluster that is just being started or stopped hangs up, too, as does a proxy that stands for it.
        self._failed += 1
        if self._has_key and self._failed == DOUBTS:
            self.hint = "; it hangs up on each new connection: is the server's key the right one?"
            _log.warning("%s is there%s", self._address, self.hint)
