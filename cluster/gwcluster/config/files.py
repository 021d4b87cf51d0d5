"""Reads the files of a configuration, bounded (does)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from gwcluster.config.problems import ConfigError, UnfitError

MAX_BYTES: Final = 1 << 20
"""Longest configuration that is read."""

_MAX_LINE_BYTES: Final = 4096


def read_text(path: Path) -> str:
    """Return a configuration file's text.

    Raises:
        ConfigError: It can't be read, is longer than `MAX_BYTES`, or is not UTF-8.
    """
    file = str(path)
    try:
        with path.open("rb") as source:
            raw = source.read(MAX_BYTES + 1)
    except FileNotFoundError:
        message = "there is no such file; give the path of your cluster.yaml"
        raise ConfigError.at(file, message) from None
    except IsADirectoryError:
        message = "this is a folder; give the path of a file, such as cluster.yaml in it"
        raise ConfigError.at(file, message) from None
    except PermissionError:
        message = "this user may not read it; change its owner or mode"
        raise ConfigError.at(file, message) from None
    except (OSError, ValueError) as error:
        raise ConfigError.at(file, f"it can't be read ({reason(error)}); check the path") from None
    if len(raw) > MAX_BYTES:
        raise ConfigError.at(file, "it is longer than 1 MiB; is this the right file?")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        message = f"the byte 0x{raw[error.start]:02X} is not UTF-8; save the file as UTF-8"
        raise ConfigError.at(file, message, line=line) from None


def first_line(path: Path, what: str) -> str:
    """Return a file's first line without the space around it.

    Args:
        path: The file.
        what: What should be there, for the message.

    Raises:
        OSError: It can't be read.
        UnfitError: It is not UTF-8; the message repeats nothing of it.
    """
    with path.open("rb") as source:
        raw = source.readline(_MAX_LINE_BYTES)
    try:
        return raw.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise UnfitError(f"is not text; write {what} there") from None


def reason(error: Exception) -> str:
    """Return the system's own words for an error, in lower case."""
    words = error.strerror if isinstance(error, OSError) else str(error)
    return (words or type(error).__name__).lower()
