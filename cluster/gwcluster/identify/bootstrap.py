"""Asks Discord for the gateway and the limits until it answers (shell; gateway_info.py decides)."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import aiohttp

from gwcluster.backoff import Backoff
from gwcluster.discord import is_loopback_url
from gwcluster.identify.gateway_info import (
    MAX_BODY_BYTES,
    GatewayInfo,
    Ok,
    Refused,
    RestAnswer,
    Retry,
    decide,
)
from gwcluster.identify.ledger import LedgerError
from gwcluster.spans import span

REQUEST_TIMEOUT_S: Final = 10.0

log = logging.getLogger(__name__)


class NotBefore(Protocol):
    """Where the moment before which Discord must not be asked outlives this process; a `Ledger` is one."""

    @property
    def not_before(self) -> float | None:
        """Unix seconds, or None."""

    def set_not_before(self, wall: float) -> None:
        """Keep `wall` (Unix seconds) safely, or raise LedgerError."""


def rest_session() -> aiohttp.ClientSession:
    """Return a session that takes nothing from the environment (proxies, .netrc) and keeps no cookies.

    Sources:
        TLS 1.2 or newer: https://docs.discord.com/developers/reference
    """
    tls = ssl.create_default_context()
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    connector = aiohttp.TCPConnector(ssl=tls)
    return aiohttp.ClientSession(connector=connector, trust_env=False, cookie_jar=aiohttp.DummyCookieJar())


async def fetch(
    session: aiohttp.ClientSession,
    api: str,
    token: str,
    *,
    version: str,
    timeout_s: float = REQUEST_TIMEOUT_S,
) -> RestAnswer:
    """Ask once; whatever goes wrong on the way is an answer, too.

    A connection that breaks before the answer is tried a second time at once: aiohttp does so with every
    GET, and can't be told otherwise.

    Args:
        session: made by `rest_session`.
        api: base address with the API's version, e.g. https://discord.com/api/v10.
        token: the bot's; it goes into one header and nowhere else.
        version: ours, for the User-Agent.
        timeout_s: for the whole answer, in seconds.

    Sources:
        https://docs.discord.com/developers/reference#user-agent
    """
    headers = {
        "Authorization": f"Bot {token}",
        "User-Agent": f"DiscordBot (https://github.com/gwcluster/gwcluster, {version})",
    }
    try:
        async with session.get(
            f"{api.rstrip('/')}/gateway/bot",
            headers=headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=timeout_s),
        ) as response:
            body = bytearray()
            async for chunk in response.content.iter_chunked(8192):
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    break
            text = bytes(body[: MAX_BODY_BYTES + 1]).replace(token.encode(), b"[token]")  # may be logged
            return RestAnswer(response.status, text, response.headers.get("Retry-After"))
    except TimeoutError:
        return RestAnswer(None, error=f"nothing within {timeout_s:g} s")
    except (aiohttp.ClientError, OSError) as error:
        words = " ".join(str(error).split())  # some of aiohttp's have several lines
        return RestAnswer(None, error=f"{type(error).__name__}: {words}")


async def ask_until_answered(
    session: aiohttp.ClientSession,
    api: str,
    token: str,
    *,
    ledger: NotBefore,
    version: str,
    clock: Callable[[], float],
    jitter: Callable[[], float],
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    timeout_s: float = REQUEST_TIMEOUT_S,
) -> GatewayInfo | Refused:
    """Ask Discord until it tells the gateway and the limits, or refuses this bot for good.

    A wait that Discord asks for is in the ledger before it begins, so that no restart cuts it short.

    Args:
        session, api, token, version, timeout_s: as for `fetch`.
        ledger: keeps the moment before which Discord must not be asked.
        clock: Unix seconds.
        jitter: returns evenly distributed numbers from 0.0 to 1.0.
        sleep: waits so many seconds.
    """
    while (not_before := ledger.not_before) is not None and (wait_s := not_before - clock()) > 0:
        log.warning("Discord told us not to ask for another %.0f s; waiting", wait_s)
        await sleep(wait_s)
    backoff = Backoff(jitter=jitter)
    loopback_ok = is_loopback_url(api)
    attempt = 0
    while True:
        attempt += 1
        log.info("asking %s/gateway/bot, attempt %d", api.rstrip("/"), attempt)
        answer = await fetch(session, api, token, version=version, timeout_s=timeout_s)
        match decide(answer, now_wall=clock(), backoff=backoff, jitter=jitter, loopback_ok=loopback_ok):
            case Ok(info):
                log.info(
                    "Discord recommends %d shards, max_concurrency %d; %d of %d identifies are left%s",
                    info.shards,
                    info.max_concurrency,
                    info.remaining,
                    info.total,
                    f", reset in {span(info.reset_after_s)}" if info.reset_after_s else "",
                )
                return info
            case Refused() as refused:
                log.error("%s", refused.reason)
                return refused
            case Retry(after_s, why, told):
                log.warning("/gateway/bot: %s; asking again in %.1f s", why, after_s)
                if told:
                    try:
                        ledger.set_not_before(clock() + after_s)
                    except LedgerError as error:
                        log.error("%s; a restart would ask too early", error)
                await sleep(after_s)
