"""A folder for one run of a measurement (does), gone afterwards however that ends."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PREFIX: Final = "gwcluster-bench-"
PATIENCE_S: Final = 5.0
"""For processes that were killed and are still writing."""


@contextmanager
def scratch(owner: int, beside: Path | None = None) -> Iterator[Path]:
    """Yield a new folder; SIGTERM ends this process in order from now on, as Ctrl-C does.

    What runs left behind that were killed for good is removed first.

    Args:
        owner: process id of this one.
        beside: where it is made; None: where temporary files go.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    beside = Path(tempfile.gettempdir()) if beside is None else beside
    for left in beside.glob(f"{PREFIX}*-*"):
        pid = left.name.removeprefix(PREFIX).partition("-")[0]
        if pid.isdecimal() and not Path("/proc", pid).exists():
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{owner}-", dir=beside))
    try:
        yield folder
    finally:
        until = time.monotonic() + PATIENCE_S
        while folder.exists() and time.monotonic() < until:
            shutil.rmtree(folder, ignore_errors=True)
