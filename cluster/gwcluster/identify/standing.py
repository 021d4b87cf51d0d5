"""What a start finds in the state folder, and what it makes of it (does): sessions that can be resumed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gwcluster.config import Config
from gwcluster.errors import LogError
from gwcluster.identify.gateway_info import GatewayInfo
from gwcluster.identify.known import Known
from gwcluster.identify.start import Start, StartError, check_recommendation, shard_ids
from gwcluster.log.interface import LogReader, SessionStore
from gwcluster.log.reader import Reader
from gwcluster.log.session_state import FileSessions, SavedSession, alive_at, token_digest

FRESH_S: Final = 600.0
"""Age up to which a RESUME is expected to succeed. Discord says only "a few minutes"; after it a start counts
on nothing, but workers still try, as a refused RESUME costs nothing."""


Sessions = Mapping[int, SavedSession]
"""By shard: saved sessions of one bot that are fresh and whose logs are there, whatever they were for."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What may be there of a shard.

    Attributes:
        alive_at: Unix second at which its session was last known to be alive.
        sessions: keeps the session.
        log: reads its log.
    """

    shard: int
    alive_at: float
    sessions: SessionStore
    log: LogReader


def kept_in(folder: Path) -> Iterator[Kept]:
    """Iterate over what there is in the folder of all shards."""
    for shard, path in _shard_folders(folder):
        if (seen_at := alive_at(path)) is not None:
            yield Kept(shard, seen_at, FileSessions(path), Reader(path))


def look(folder: Path, *, token: str, now: float) -> Sessions:
    """Return what `fresh` finds in the folder of all shards."""
    return fresh(kept_in(folder), token=token, now=now)


def fresh(kept: Iterable[Kept], *, token: str, now: float) -> Sessions:
    """Look at what is kept, at Unix second `now`; nothing is changed.

    The session's number isn't compared with the log's, as that takes reading the log: a worker does it.
    """
    found: dict[int, SavedSession] = {}
    for each in kept:
        if abs(now - each.alive_at) > FRESH_S:
            continue
        saved = each.sessions.load()
        if saved is None or saved.token_digest != token_digest(token):
            continue
        with contextlib.suppress(LogError):
            if each.log.epoch:
                found[each.shard] = saved
    return found


def resuming(config: Config, sessions: Sessions, known: Known | None) -> Start | None:
    """Return the start that goes on where the last run stopped; None if no shard could resume.

    It needs no answer of Discord's: sessions die within minutes, and REST may be away for hours. With
    `shards.count: auto` it keeps the count of the last run, so that a restart is never a change of shards.
    """
    if known is None or known.api != config.gateway.api:
        return None
    try:
        start = _start(config, sessions, config.shards.count or known.shards)
    except StartError:  # `shards.ids` names further ones; perhaps Discord recommends more by now
        return None
    return start if start.resumable else None


def beginning(config: Config, sessions: Sessions, known: Known | None, info: GatewayInfo) -> Start:
    """Return the start after Discord's answer.

    Raises:
        StartError: the recommended count is absurd, or `shards.ids` names shards that there are not.
    """
    if config.shards.count is None:
        check_recommendation(info.shards, known.recommended if known else None)
    return _start(config, sessions, config.shards.count or info.shards)


def certain(config: Config, sessions: Sessions) -> Start | None:
    """Return the start that follows whatever Discord will answer; None where its answer decides.

    Raises:
        StartError: `shards.ids` names shards that there are not.
    """
    return None if config.shards.count is None else _start(config, sessions, config.shards.count)


def _start(config: Config, sessions: Sessions, count: int) -> Start:
    token = config.token.get_secret_value()
    ids = shard_ids(config.shards.ids, count)
    usable = {
        shard
        for shard, saved in sessions.items()
        if saved.fits(shard=shard, shards=count, intents=config.intents, token=token)
    }
    return Start(count, ids, frozenset(usable.intersection(ids)), len(sessions) - len(usable))


def forget_all(folder: Path) -> int:
    """Remove every saved session; return how many there were.

    Raises:
        LogError: the disk refuses.
    """
    found = list(kept_in(folder))
    for each in found:
        each.sessions.forget()
    return len(found)


def _shard_folders(folder: Path) -> Iterator[tuple[int, Path]]:
    with contextlib.suppress(OSError):
        for path in sorted(folder.iterdir()):
            if path.name.isdecimal() and path.is_dir():
                yield int(path.name), path
