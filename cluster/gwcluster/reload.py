"""Reads the configuration again while the cluster runs (does)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from gwcluster.config import Config, ConfigError
from gwcluster.config.changes import changes, taken

log = logging.getLogger(__name__)


async def read_again(old: Config, load: Callable[[], Config]) -> Config | None:
    """Return the running configuration with what it can take of the file, and say what became of each change.

    Args:
        old: what runs.
        load: reads the file, in a thread.

    Returns:
        None if the file is broken; then all stays as it is.
    """
    try:
        new = await asyncio.to_thread(load)
    except ConfigError as error:
        log.error("the configuration isn't reloaded, all stays as it is: %s", error)
        return None
    found = changes(old, new)
    for key in found.never:
        log.warning("%s has changed in the file: that needs another start of the cluster", key)
    for key in found.at_start:
        log.warning("%s has changed: workers take it as they start; restart --rolling has them do it", key)
    for key in found.at_identify:
        log.info("%s has changed: each shard tells it with its next IDENTIFY", key)
    for key in found.at_once:
        log.info("%s has changed, and holds from now on", key)
    if found == type(found)():
        log.info("the configuration was read again; nothing has changed")
    return taken(old, new)
