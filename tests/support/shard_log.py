"""Opens logs the way these tests need them."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

from gwcluster.log import Writer

AT = 10_000.0
BIG = b"x" * 100_000
_epochs = count(1)


def new_epoch() -> str:
    return f"{next(_epochs):016x}"


def open_log(folder: Path, **changed: Any) -> Writer:
    """Open shard 3 of 16 with plenty of retention, at a wall clock that stands still."""
    arguments: dict[str, Any] = {
        "shard": 3,
        "shards": 16,
        "retention_bytes": 64 << 20,
        "retention_age_s": 3600.0,
        "new_epoch": new_epoch,
        "wall": lambda: AT,
        "boot": lambda: "boot-1",
    }
    kind: type[Writer] = changed.pop("kind", Writer)
    return kind.open(folder, **(arguments | changed))


def put(
    writer: Writer, *names: str, payload: bytes = b"{}", session: int = 1, first_seq: int | None = None
) -> list[tuple[bytes, bytes, bytes]]:
    """Append and flush one event for each name, with consecutive seqs."""
    seq = (writer.seq or 0) + 1 if first_seq is None else first_seq
    frames = [
        writer.append(name, payload, session=session, seq=seq + i, at=AT + i) for i, name in enumerate(names)
    ]
    writer.flush()
    return frames


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.log"))


@contextlib.contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """Let the kernel refuse writes beyond `size` bytes of any file (Python ignores SIGXFSZ)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class Wall:
    """A wall clock that a test moves."""

    def __init__(self) -> None:
        self.now = AT

    def __call__(self) -> float:
        return self.now


def damage(path: Path, change: Callable[[bytearray], object]) -> None:
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(bytes(data))
