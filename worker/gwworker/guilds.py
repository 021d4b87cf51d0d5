"""Which guilds a shard has, for people (does): counted from READY on, and kept for the next worker.

A resumed session tells nobody its guilds, so they are kept in a file beside the log. It is written now and
then: after a SIGKILL the count may lack what changed in the minute before, until the next session.
"""

from __future__ import annotations

import json
import logging
import re
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from zlib import crc32

FILE_NAME: Final = "guilds"
FORMAT: Final = 1
MAX_GUILDS: Final = 1 << 20
"""Discord gives a shard 2,500 at most. https://docs.discord.com/developers/events/gateway#sharding"""

NAMES: Final = frozenset({"GUILD_CREATE", "GUILD_DELETE"})
_ID: Final = re.compile(rb'"id":"([0-9]{1,20})"')

log = logging.getLogger(__name__)


class Guilds:
    """The guilds of one shard's session.

    Args:
        folder: where they are kept.
        session: the one that is going to be resumed.
    """

    def __init__(self, folder: Path, session: int) -> None:
        self._path = folder / FILE_NAME
        self._session = session
        self._since = 0.0
        self._ids: array[int] | None = None
        self._dirty = False
        self._load()

    @property
    def count(self) -> int | None:
        """How many there are, None while that can't be known."""
        return None if self._ids is None else len(self._ids)

    def age_s(self, session: int, wall: float) -> float | None:
        """Return the seconds since READY of a session, None while that can't be known."""
        known = self._ids is not None and session == self._session
        return max(0.0, wall - self._since) if known else None

    def ready(self, session: int, ids: Iterable[int], wall: float) -> None:
        """READY of a new session listed these, at Unix second `wall`."""
        self._session, self._since = session, wall
        self._ids = array("Q", sorted(set(ids)))
        self._dirty = True

    def heard(self, name: str, payload: bytes) -> None:
        """Take a GUILD_CREATE or a GUILD_DELETE that wasn't taken before."""
        ids = self._ids
        if ids is None or (name == "GUILD_CREATE" and self._is_known(payload)):
            return  # most come after READY for guilds that it listed, and are large: don't parse those
        guild = _guild(payload)
        number = int(guild.get("id", 0))
        if not 0 < number < 1 << 64:
            return
        at = bisect_left(ids, number)
        there = at < len(ids) and ids[at] == number
        if name == "GUILD_CREATE" and not there and len(ids) < MAX_GUILDS:
            ids.insert(at, number)
            self._dirty = True
        elif name == "GUILD_DELETE" and there and not guild.get("unavailable"):  # else it is an outage
            ids.pop(at)
            self._dirty = True

    def keep(self) -> None:
        """Write them down if they changed; a disk that refuses costs the next worker its count, no more."""
        if not self._dirty or self._ids is None:
            return
        self._dirty = False
        body = self._ids.tobytes()
        head = {"format": FORMAT, "session": self._session, "since": self._since, "crc32": crc32(body)}
        new = self._path.with_suffix(".tmp")
        try:
            new.write_bytes(json.dumps(head).encode() + b"\n" + body)
            new.replace(self._path)
        except OSError as error:
            log.debug("the guilds can't be kept for a restart: %s", error)

    def _is_known(self, payload: bytes) -> bool:
        """Say whether an id in a GUILD_CREATE is a known guild's: nothing in it has that of another guild."""
        assert self._ids is not None
        for found in _ID.finditer(payload):
            number = int(found[1])
            at = bisect_left(self._ids, number)
            if at < len(self._ids) and self._ids[at] == number:
                return True
        return False

    def _load(self) -> None:
        try:
            head, _, body = self._path.read_bytes().partition(b"\n")
            told: dict[str, Any] = json.loads(head)
            if told["format"] != FORMAT or told["session"] != self._session or told["crc32"] != crc32(body):
                return
            self._since = float(told["since"])
            ids = array("Q")
            ids.frombytes(body)
            self._ids = ids
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.debug("the guilds of the worker before are not known: %s", error)


def _guild(payload: bytes) -> dict[str, Any]:
    try:
        data = json.loads(payload).get("d")
    except ValueError:
        return {}
    return data if isinstance(data, dict) and str(data.get("id", "")).isdecimal() else {}
