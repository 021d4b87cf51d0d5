"""Lets what a test starts hear SIGHUP (does), also where the tests themselves run under nohup."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def heard() -> Iterator[None]:
    """Have processes that are started meanwhile begin with the default for SIGHUP, which nohup takes away."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
