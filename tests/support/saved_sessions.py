"""Saved sessions as workers leave them in a state folder."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from gwcluster.log.session_state import SavedSession, save, token_digest
from support.shard_log import open_log

TOKEN = "MTk4.secret.token"
WALL = 1_790_000_000.0


def leave(
    shards_folder: Path,
    ids: Iterable[int],
    *,
    shards: int = 4,
    intents: int = 513,
    token: str = TOKEN,
    at: float = WALL,
    log: bool = True,
) -> None:
    """Leave a session and a log for each of `ids`, alive at Unix second `at`."""
    for shard in ids:
        folder = shards_folder / str(shard)
        folder.mkdir(parents=True, exist_ok=True)
        if log:
            open_log(folder, shard=shard, shards=shards).close()
        url = "ws://127.0.0.1:9/"
        save(folder, SavedSession(1, f"s{shard}", url, shard, shards, intents, token_digest(token), 10))
        os.utime(folder / "session.json", (at, at))
