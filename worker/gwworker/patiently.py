"""Opens what may not be there for a while (does): tries again, and says meanwhile what it waits for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

WAIT_S: Final = 1.0
"""Between two attempts; each may take long itself."""

_Got = TypeVar("_Got")

log = logging.getLogger(__name__)


async def patiently(
    attempt: Callable[[], Awaitable[_Got]],
    passes: type[Exception],
    *,
    tell: Callable[[str], None],
    each_s: float,
    tries: int | None,
    wait_s: float = WAIT_S,
) -> _Got:
    """Return what an attempt gives.

    Args:
        attempt: begins one.
        passes: after such an error another attempt may do better; any other is raised.
        tell: told every `each_s` seconds that this goes on, and why.
        tries: at most so many attempts; None: something else bounds them.
        wait_s: between two attempts.
    """
    said = "its log isn't open yet"

    async def telling() -> None:
        while True:
            await asyncio.sleep(each_s)
            tell(said)

    teller = asyncio.create_task(telling())
    try:
        count = 1
        while True:
            try:
                return await attempt()
            except passes as error:
                if count == tries:
                    raise
                count += 1
                said = f"its log can't be opened: {error}"
                log.warning("the shard's log can't be opened, trying again: %s", error)
            await asyncio.sleep(wait_s)
    finally:
        teller.cancel()
