"""A terminal that a program has to itself for a while (does), and gets back as it was."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def keys(pressed: Callable[[str], None]) -> Iterator[None]:
    """Hand over each key as it is pressed, without showing it; the terminal is restored however this ends.

    Needs a running loop, and a terminal at standard input.
    """
    loop, descriptor = asyncio.get_running_loop(), sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def read() -> None:
        data = os.read(descriptor, 64)
        if not data:
            loop.remove_reader(descriptor)  # the terminal is gone, and so are we: SIGHUP comes
        for key in data.decode(errors="replace"):
            pressed(key)

    tty.setcbreak(descriptor)
    loop.add_reader(descriptor, read)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


@contextlib.contextmanager
def signals(end: Callable[[], None], resized: Callable[[], None]) -> Iterator[None]:
    """Have SIGINT, SIGTERM and SIGHUP end the program in good order, and tell when the window has changed."""
    loop = asyncio.get_running_loop()
    handlers = {
        signal.SIGINT: end,
        signal.SIGTERM: end,
        signal.SIGHUP: end,
        signal.SIGWINCH: resized,
    }
    for signum, handler in handlers.items():
        loop.add_signal_handler(signum, handler)
    try:
        yield
    finally:
        for signum in handlers:
            loop.remove_signal_handler(signum)
