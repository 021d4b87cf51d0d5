"""What Discord's answer to GET /gateway/bot says, and what to do about it (pure).

Sources:
    https://docs.discord.com/developers/events/gateway#get-gateway-bot
    https://docs.discord.com/developers/topics/rate-limits
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeGuard

from gwcluster.backoff import Backoff
from gwcluster.discord import GatewayUrlError, gateway_url
from gwcluster.errors import GwclusterError, quoted

MAX_BODY_BYTES: Final = 65_536
"""The real answer has some 200 bytes."""

LONGEST_WAIT_S: Final = 172_800.0
"""A wait is believed up to two days; 23 h were seen: https://github.com/discord/discord-api-docs/issues/8570"""

RETRY_FLOOR_S: Final = 1.0
RETRY_SPREAD_S: Final = 0.5


class GatewayInfoError(GwclusterError):
    """The answer isn't what /gateway/bot promises; ask again later."""


@dataclass(frozen=True, slots=True)
class GatewayInfo:
    """What a start needs to know.

    Attributes:
        url: gateway address, as told.
        shards: recommended shard count, 1 or more.
        total, remaining: identifies in a day, and how many of them are left.
        reset_after_s: seconds until Discord counts anew; 0.0 was seen while nothing was left.
        max_concurrency: keys on which one IDENTIFY per 5 s is allowed, 1 or more.
    """

    url: str
    shards: int
    total: int
    remaining: int
    reset_after_s: float
    max_concurrency: int


@dataclass(frozen=True, slots=True)
class RestAnswer:
    """What came back from a request.

    Attributes:
        status: HTTP status, or None if there was no answer.
        body: its body, cut at one byte more than `MAX_BODY_BYTES`.
        retry_after: the header of that name, if any.
        error: why there was no answer.
    """

    status: int | None
    body: bytes = b""
    retry_after: str | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Ok:
    """Discord answered."""

    info: GatewayInfo


@dataclass(frozen=True, slots=True)
class Retry:
    """Ask again after `after_s` seconds; `told` when Discord asked for that wait itself (429)."""

    after_s: float
    why: str
    told: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """Never ask again by yourself; the process exits with `Exit.REFUSED` (64)."""

    reason: str


def decide(
    answer: RestAnswer,
    *,
    now_wall: float,
    backoff: Backoff,
    jitter: Callable[[], float],
    loopback_ok: bool,
) -> Ok | Retry | Refused:
    """Return what follows from `answer`.

    Args:
        answer: what came back.
        now_wall: Unix seconds, for a Retry-After that is a date.
        backoff: gives the waits that Discord doesn't tell.
        jitter: returns evenly distributed numbers from 0.0 to 1.0.
        loopback_ok: as for `parse`.
    """
    match answer.status:
        case None:
            return Retry(backoff.next(), f"no answer: {answer.error}")
        case 200:
            try:
                return Ok(parse(answer.body, loopback_ok=loopback_ok))
            except GatewayInfoError as error:
                return Retry(backoff.next(), f"status 200, but {error}")
        case 401:
            return Refused("Discord refuses the token (status 401): put a valid one into the configuration")
        case 403:
            return Refused(f"Discord refuses this client (status 403): {_why_forbidden(answer.body)}")
        case 429:
            told_s = _told_wait_s(answer, now_wall)
            if told_s is None:
                return Retry(backoff.next(), "rate limited (status 429) without a word on how long")
            wait_s = max(told_s, RETRY_FLOOR_S) + RETRY_SPREAD_S * jitter()
            return Retry(wait_s, "rate limited (status 429)", told=True)
        case status:
            return Retry(backoff.next(), f"status {status}: {quoted(answer.body[:200])}")


def parse(body: bytes, *, loopback_ok: bool) -> GatewayInfo:
    """Return what the body of a 200 says.

    Args:
        body: JSON as Discord sends it.
        loopback_ok: also accept a gateway on this machine, `ws` or `wss`; only where the API is there, too.

    Raises:
        GatewayInfoError: it is too long, not JSON, or lacks something; ask again later.
    """
    if len(body) > MAX_BODY_BYTES:
        raise GatewayInfoError(f"an answer of over {MAX_BODY_BYTES} bytes")
    try:
        answer: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise GatewayInfoError(f"not JSON: {quoted(body[:200])}") from error
    if not isinstance(answer, dict):
        raise GatewayInfoError(f"not a JSON object: {quoted(answer)}")
    limit = answer.get("session_start_limit")
    if not isinstance(limit, dict):
        raise GatewayInfoError(f"session_start_limit is {quoted(limit)}, not an object")
    max_concurrency = limit.get("max_concurrency")
    if not _is_whole(max_concurrency) or max_concurrency < 1:
        max_concurrency = 1  # never "unlimited"
    return GatewayInfo(
        url=_checked_url(answer.get("url"), loopback_ok=loopback_ok),
        shards=_whole(answer, "shards", least=1),
        total=_whole(limit, "total", least=0),
        remaining=_whole(limit, "remaining", least=0),
        reset_after_s=_whole(limit, "reset_after", least=0) / 1000,  # milliseconds, unlike every Retry-After
        max_concurrency=max_concurrency,
    )


def _checked_url(url: Any, *, loopback_ok: bool) -> str:
    if not isinstance(url, str):
        raise GatewayInfoError(f"url is {quoted(url)}, not an address")
    try:
        gateway_url(url, "none", plain_ok=loopback_ok)
    except GatewayUrlError as error:
        raise GatewayInfoError(f"url: {error}") from error
    return url


def _whole(fields: dict[str, Any], key: str, *, least: int) -> int:
    value = fields.get(key)
    if not _is_whole(value) or not least <= value < 2**53:
        raise GatewayInfoError(f"{key} is {quoted(value)}, not a whole number from {least} on")
    return value


def _is_whole(value: Any) -> TypeGuard[int]:  # JSON enters here
    return isinstance(value, int) and not isinstance(value, bool)


def _told_wait_s(answer: RestAnswer, now_wall: float) -> float | None:
    """The longer one of what the header (whole seconds or a date) and the body (seconds) ask for."""
    waits: list[float] = []
    if answer.retry_after is not None:
        try:
            waits.append(float(answer.retry_after))
        except ValueError:
            with contextlib.suppress(ValueError, OverflowError):
                waits.append(parsedate_to_datetime(answer.retry_after).timestamp() - now_wall)
    try:
        body: Any = json.loads(answer.body)
    except (ValueError, RecursionError):
        body = None  # a ban by Cloudflare is HTML, or nothing
    if isinstance(body, dict) and isinstance(told := body.get("retry_after"), int | float) and told >= 0:
        waits.append(
            min(told, LONGEST_WAIT_S)
        )  # before anything else: an integer may be too large for a float
    honest = [min(wait, LONGEST_WAIT_S) for wait in waits if not math.isnan(wait) and wait >= 0]
    return max(honest, default=None)


def _why_forbidden(body: bytes) -> str:
    try:
        answer: Any = json.loads(body)
    except (ValueError, RecursionError):
        return "the answer is not JSON, so it is probably Cloudflare that blocks this machine's address"
    return quoted(answer)
