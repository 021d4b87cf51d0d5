"""Which logs a folder holds (does)."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from gwcluster.errors import LogError
from gwcluster.log.segments import segment_paths
from gwcluster.state_folder import shards_in


def logs_in(folder: Path) -> list[Path]:
    """Return the folders of the logs: `folder` itself, or those of all shards in the state folder that it is.

    Raises:
        UsageError: there is no log; the message says what would be right.
        LogError: the disk can't read it.
    """
    try:
        if segment_paths(folder):
            return [folder]
        shards = shards_in(folder) if shards_in(folder).is_dir() else folder
        numbered = [path for path in shards.iterdir() if path.name.isdecimal() and path.is_dir()]
        found = [path for path in sorted(numbered, key=lambda path: int(path.name)) if segment_paths(path)]
    except (FileNotFoundError, NotADirectoryError):
        found = []
    except OSError as error:
        raise LogError(f"can't read {folder}: {error.strerror}") from error
    if found:
        return found
    what = "there is no log in it" if folder.is_dir() else "there is no such folder"
    raise click.UsageError(
        f"{folder}: {what}. Name a cluster's state folder (`gwcluster check FILE` says where it is), "
        "or the log of one shard in it, such as STATE/shards/0."
    )


@contextlib.contextmanager
def quiet_pipe() -> Iterator[None]:
    """End the block without a word when nobody reads what it prints any more."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still buffered must go somewhere when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
