"""Small real disks that a test may fill, freeze, make read-only and take away."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


def _did(*command: str | Path) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


@contextlib.contextmanager
def small_disk(folder: Path, size_mib: int = 2) -> Iterator[Path]:
    """Mount a file system in memory; skip the test where that isn't allowed."""
    disk = folder / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or not _did("mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "none", disk):
        pytest.skip("no right to mount a small disk")
    try:
        yield disk
    finally:
        _did("umount", "-l", disk)


@contextlib.contextmanager
def freezing_disk(folder: Path) -> Iterator[Path]:
    """Mount an ext4 out of a file, which `frozen` can hold up; skip the test where that isn't allowed."""
    image, disk = folder / "image", folder / "disk"
    disk.mkdir()
    with image.open("wb") as file:
        file.truncate(32 << 20)
    if (
        os.geteuid() != 0
        or shutil.which("fsfreeze") is None
        or not _did("mkfs.ext4", "-q", image)
        or not _did("mount", "-o", "loop", image, disk)
    ):
        pytest.skip("no right to mount a disk that can be frozen, or no tool for it")
    try:
        yield disk
    finally:
        _did("umount", "-l", disk)
        image.unlink()


@contextlib.contextmanager
def frozen(disk: Path) -> Iterator[None]:
    """Let every write to the disk wait as long as the block runs."""
    assert _did("fsfreeze", "-f", disk), "the disk can't be frozen"
    try:
        yield
    finally:
        assert _did("fsfreeze", "-u", disk), "the disk can't be thawed"


def immutable(disk: Path, *, on: bool) -> None:
    """Let every write to a segment fail, also to one that is open."""
    for path in disk.rglob("*.log"):
        assert _did("chattr", "+i" if on else "-i", path), f"can't change {path}"


def take_away(disk: Path) -> str:
    """Unmount the disk from under whoever uses it; return what was mounted."""
    device = subprocess.run(
        ["findmnt", "-n", "-o", "SOURCE", disk], capture_output=True, text=True, check=True, timeout=30
    ).stdout.strip()
    assert _did("umount", "-l", disk), "the disk can't be unmounted"
    return device


def bring_back(disk: Path, device: str) -> None:
    """Mount it again."""
    assert _did("mount", device, disk), "the disk can't be mounted again"


def fill(disk: Path) -> None:
    """Leave no room on the disk."""
    with contextlib.suppress(OSError), (disk / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def empty(disk: Path) -> None:
    """Make room again."""
    (disk / "filler").unlink()
