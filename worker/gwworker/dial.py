"""Opens TCP connections (does): to whichever address of a host answers first.

The loop's own way to several addresses is to wait for one after the other, and a lookup in its threads costs
every worker four of them for the rest of its life.
"""

from __future__ import annotations

import asyncio
import socket
from asyncio.staggered import staggered_race
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain, zip_longest
from typing import Final, cast

STAGGER_S: Final = 0.25
"""How long an address may take before the next one is tried beside it.
https://www.rfc-editor.org/rfc/rfc8305#section-8"""


async def dial(host: str, port: int) -> asyncio.Transport:
    """Return a new connection; nobody listens to it yet.

    Raises:
        OSError: there is no such host, or none of its addresses lets us in.
        UnicodeError: a label that no host name can have.
    """
    loop = asyncio.get_running_loop()
    attempts = [
        partial(loop.create_connection, asyncio.Protocol, address, port)
        for address in await _addresses(host, port)
    ]
    won, _, errors = await staggered_race(attempts, STAGGER_S)
    if won is None:
        raise next(error for error in errors if error is not None)
    return cast(asyncio.Transport, won[0])


async def _addresses(host: str, port: int) -> list[str]:
    """Return the addresses of `host`, those of its families in turn; a numeric one needs no lookup."""
    look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    try:
        found = look_up(flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        thread = ThreadPoolExecutor(1, "lookup")
        try:
            found = await asyncio.get_running_loop().run_in_executor(thread, look_up)
        finally:
            thread.shutdown(wait=False)
    families: dict[int, list[str]] = {}
    for family, *_, address in found:
        families.setdefault(family, []).append(str(address[0]))
    return [address for address in chain(*zip_longest(*families.values())) if address is not None]
