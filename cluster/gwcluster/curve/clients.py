"""Whose keys are good for what (does): the certificates in a folder, read again when they change."""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gwcluster.curve.key_files import KeyFileError, read_public
from gwcluster.errors import quoted
from gwcluster.wire.permissions import Permission, in_words

SUFFIX: Final = ".key"
MAX_CLIENTS: Final = 1024
NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Client:
    """The owner of a key.

    Attributes:
        name: that of the key's file, without its suffix.
        may: what it may do.
    """

    name: str
    may: frozenset[Permission]


_Keys = Mapping[bytes, Client]
_Seen = dict[Path, tuple[tuple[int, ...], tuple[bytes, Client]]]


class Clients:
    """The clients that a cluster knows. Any thread may ask; one looks.

    Args:
        folder: holds a public certificate `NAME.key` for each of them.

    Raises:
        KeyFileError: the folder or a file in it can't be used.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._seen: _Seen = {}
        self._said: frozenset[str] = frozenset()
        self._keys, problems = self._read()
        if problems:
            raise problems[0]

    def __len__(self) -> int:
        return len(self._keys)

    def who(self, public_key: bytes) -> Client | None:
        """Return whose key it is, None if nobody's."""
        return self._keys.get(public_key)

    def look(self) -> bool:
        """Read what has changed in the folder; say whether a key may no longer read.

        A file that can't be used is said, and its key is good for nothing until it can. A folder that
        can't be read is said, too, and changes nothing.
        """
        before = self._keys
        try:
            after, problems = self._read()
        except KeyFileError as error:
            after, problems = before, [error]
        said = frozenset(map(str, problems))
        for problem in sorted(said - self._said):
            log.error("clients' keys: %s", problem)
        self._said = said
        self._keys = after
        _tell(before, after)
        return any(
            Permission.READ in client.may
            and ((now := after.get(key)) is None or Permission.READ not in now.may)
            for key, client in before.items()
        )

    def _read(self) -> tuple[_Keys, list[KeyFileError]]:
        paths = _certificates(self.folder)
        seen: _Seen = {}
        problems: list[KeyFileError] = []
        keys: dict[bytes, Client] = {}
        for path in paths:
            try:
                status = path.stat()
                stamp = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
                known = self._seen.get(path)
                key, client = known[1] if known is not None and known[0] == stamp else _client(path)
            except OSError as error:  # removed meanwhile, or a link to nowhere
                problems.append(KeyFileError(path, f"it can't be read: {(error.strerror or '').lower()}"))
                continue
            except KeyFileError as error:
                problems.append(error)
                continue
            seen[path] = stamp, (key, client)
            if (other := keys.setdefault(key, client)) is not client:
                said = f"it holds the same key as {other.name}{SUFFIX}; each client needs its own, remove one"
                problems.append(KeyFileError(path, said))
        self._seen = seen
        return keys, problems


def _certificates(folder: Path) -> list[Path]:
    try:
        status = folder.stat()
        paths = sorted(path for path in folder.iterdir() if path.name.endswith(SUFFIX))
    except OSError as error:
        raise KeyFileError(folder, f"this folder can't be read: {(error.strerror or '').lower()}") from None
    if status.st_uid not in {0, os.geteuid()} or status.st_mode & stat.S_IWOTH:
        raise KeyFileError(
            folder, "others may put keys into this folder; make it yours or root's, and chmod 0755 it"
        )
    if len(paths) > MAX_CLIENTS:
        raise KeyFileError(folder, f"there are {len(paths)} keys in it; at most {MAX_CLIENTS} are read")
    return paths


def _client(path: Path) -> tuple[bytes, Client]:
    name = path.name.removesuffix(SUFFIX)
    if NAME.fullmatch(name) is None:
        raise KeyFileError(
            path,
            f"{quoted(name)} can't be a client's name; use up to 64 letters, digits, dots and hyphens",
        )
    found = read_public(path)
    return found.public_key, Client(name, found.may)


def _tell(before: _Keys, after: _Keys) -> None:
    for key, client in after.items():
        if before.get(key) != client:
            log.info("client %s may now %s", client.name, in_words(client.may))
    for key, client in before.items():
        if key not in after:
            log.info("client %s may do nothing any more: its key is gone", client.name)
