"""Who listens at an address that can't be bound (does), as far as this user may see it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

_LISTENING: Final = "0A"  # TCP_LISTEN, https://github.com/torvalds/linux/blob/master/include/net/tcp_states.h
_SHOWN: Final = 80


def who_listens(port: int) -> str | None:
    """Return who listens at a TCP port, as `process 123 (its command line)`; None: it is hidden."""
    sockets = {f"socket:[{inode}]" for inode in _inodes(port)}
    if not sockets:
        return None
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and _has_one(folder, sockets):
            return f"process {folder.name} ({_command(folder)})"
    return None


def _inodes(port: int) -> set[str]:
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                    found.add(fields[9])
    return found


def _has_one(folder: Path, sockets: set[str]) -> bool:
    with contextlib.suppress(OSError):
        for descriptor in (folder / "fd").iterdir():
            with contextlib.suppress(OSError):
                if str(descriptor.readlink()) in sockets:
                    return True
    return False


def _command(folder: Path) -> str:
    try:
        raw = (folder / "cmdline").read_bytes()
    except OSError:
        return "?"
    words = raw.decode(errors="replace").replace("\0", " ").strip()
    return words if len(words) <= _SHOWN else words[: _SHOWN - 1] + "…"
