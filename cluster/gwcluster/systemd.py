"""What systemd is told of us (does): that we are ready, how we are, that we are alive, that we stop.

No library: the protocol is one datagram of text, and those on PyPI are untyped, unmaintained for years, or
bindings to a C library that bots' machines need not have.

Sources:
    https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
    https://www.freedesktop.org/software/systemd/man/latest/sd_watchdog_enabled.html
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final

from gwcluster.sight import Sight, in_words

PULSES: Final = 3
"""We say that we are alive so often in the time after which systemd takes us for stuck; it advises two."""

LOOK_S: Final = 1.0
"""Between two looks at how we are."""

log = logging.getLogger(__name__)


class Systemd:
    """The service manager, if it started us and wants to know; otherwise nothing is sent.

    Nothing here waits: what systemd has no room for is dropped, and said again where it matters.

    Args:
        environ: where systemd left the address of its socket and its patience.
        pid: ours.
        monotonic: seconds of CLOCK_MONOTONIC.

    Attributes:
        pulse_s: seconds between two `alive`; None: nobody waits for them.
    """

    def __init__(self, environ: Mapping[str, str], *, pid: int, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._told = ""
        self._socket: socket.socket | None = None
        self.pulse_s = _pulse_s(environ, pid)
        address = environ.get("NOTIFY_SOCKET", "")
        if not address.startswith(("/", "@")):
            return
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        try:
            self._socket.connect("\0" + address[1:] if address[0] == "@" else address)
        except OSError as error:
            log.warning("systemd can't be told anything: %s", error)
            self.close()

    def ready(self) -> None:
        """The sockets are bound and the control loop runs; also the end of a reload."""
        self._say("READY=1")

    def status(self, text: str) -> None:
        """One line on how we are, for `systemctl status`; sent only if it isn't the last one."""
        if text != self._told and self._say(f"STATUS={' '.join(text.split())}"):
            self._told = text

    def alive(self) -> None:
        """The control loop took its turn; without it for WatchdogSec systemd ends us and starts anew."""
        self._say("WATCHDOG=1")

    def reloading(self) -> None:
        """The configuration is read again; `ready` says when that is done."""
        self._say(f"RELOADING=1\nMONOTONIC_USEC={int(self._monotonic() * 1_000_000)}")

    def stopping(self) -> None:
        """We are on our way out."""
        self._say("STOPPING=1")

    def close(self) -> None:
        """Nothing more is said."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _say(self, message: str) -> bool:
        if self._socket is not None:
            with contextlib.suppress(OSError):  # systemd is busy, or being replaced
                self._socket.send(message.encode(errors="replace"))
                return True
        return False


def _pulse_s(environ: Mapping[str, str], pid: int) -> float | None:
    usec = environ.get("WATCHDOG_USEC", "")
    if not usec.isascii() or not usec.isdigit() or int(usec) == 0:
        return None
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    return int(usec) / 1_000_000 / PULSES


@contextlib.asynccontextmanager
async def told(systemd: Systemd, look: Callable[[], Sight]) -> AsyncIterator[None]:
    """Keep systemd told while the block runs, by a task of the control loop: if that is stuck, so is this.

    Args:
        systemd: is told that we are ready on the way in, and that we stop on the way out.
        look: returns how the cluster is.
    """
    systemd.ready()
    telling = asyncio.ensure_future(_tell(systemd, look))
    try:
        yield
    finally:
        telling.cancel()
        systemd.stopping()
        systemd.close()


async def _tell(systemd: Systemd, look: Callable[[], Sight]) -> None:
    stopping = False
    while True:
        seen = look()
        systemd.status(in_words(seen))
        systemd.alive()
        if seen.stopping and not stopping:
            stopping = True
            systemd.stopping()
        await asyncio.sleep(LOOK_S if systemd.pulse_s is None else min(LOOK_S, systemd.pulse_s))
