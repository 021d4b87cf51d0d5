"""Answers to GET /gateway/bot and addresses in them, as sent and as damaged (does)."""

from __future__ import annotations

import json
import math
import random
import socket
from typing import Any, Final
from urllib.parse import urlsplit

from websockets.uri import parse_uri

from fuzz.cases import Target
from fuzz.mutate import mutated
from fuzz.samples import a_text, deep, spelled, value
from gwcluster.backoff import Backoff
from gwcluster.discord import GatewayUrlError, gateway_url
from gwcluster.identify.gateway_info import LONGEST_WAIT_S, Ok, Refused, RestAnswer, Retry, decide
from gwcluster.identify.known import Known, decode

_HOME: Final = bytes(15) + b"\1"
"""The address ::1, however it is written."""

STATUSES: Final = (None, 200, 200, 200, 401, 403, 429, 429, 429, 500, 502, 301, 204, 0, 999)
WAITS: Final = (
    None, "0", "1", "1.5", "-1", "nan", "inf", "-inf", "1e400", "9" * 400, "", " ", "1 2", "١", "0x10", "1_0",
    "Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:28:00 -0000", "Mon, 01 Jan 0001 00:00:00 GMT",
    "Fri, 31 Dec 9999 23:59:59 -2359", "Wed, 32 Oct 2026 99:99:99 GMT", "1 Jan 99999 00:00:00 +9999",
)  # fmt: skip
URLS: Final = (
    "wss://gateway.discord.gg", "wss://gateway-us-east1-b.discord.gg/?v=9&compress=zlib-stream", "ws://[::1]:80",
    "ws://127.0.0.1:8080/", "wss://discord.com", "wss://localhost", "wss://user@discord.gg", "wss://discord.gg:0",
    "wss://discord.gg.example.com", "https://discord.gg", "wss://discord.gg@example.com", "wss://[::1%25eth0]/",
)  # fmt: skip
PIECES: Final = (
    "@",
    ":",
    "/",
    "?",
    "#",
    "\\",
    "%",
    "[",
    "]",
    ".",
    "..",
    "discord.gg",
    "example.com",
    " ",
    "=",
    "&",
)


def case(dice: random.Random) -> None:
    """Play one of the games below."""
    dice.choice((answered, addressed, known))(dice)


def answered(dice: random.Random) -> None:
    """Whatever comes back, a decision follows, and no wait is endless, negative or unknown."""
    wait = dice.choice(WAITS)
    if wait and dice.random() < 0.4:
        wait = mutated(dice, wait.encode()).decode("latin-1")
    answer = RestAnswer(dice.choice(STATUSES), _body(dice), wait, a_text(dice))
    backoff = Backoff(base_s=1.0, cap_s=60.0, jitter=dice.random)
    loopback_ok = dice.random() < 0.5
    match decide(answer, now_wall=1.79e9, backoff=backoff, jitter=dice.random, loopback_ok=loopback_ok):
        case Ok(info):
            assert answer.status == 200
            assert min(info.shards, info.max_concurrency) >= 1
            assert min(info.total, info.remaining) >= 0
            assert 0 <= info.reset_after_s < math.inf
            assert info.url == json.loads(answer.body)["url"]
            _leads_home(gateway_url(info.url, "none", plain_ok=loopback_ok), loopback_ok=loopback_ok)
        case Retry(after_s, why, _):
            assert 0 <= after_s <= LONGEST_WAIT_S + 1.0, f"a wait of {after_s} s"
            assert len(why) < 1000 + len(answer.error)
        case Refused(reason):
            assert answer.status in {401, 403}
            assert len(reason) < 1000


def addressed(dice: random.Random) -> None:
    """An address that is let through can be dialed, and leads to Discord or to this machine."""
    url = dice.choice(URLS)
    for _ in range(dice.randrange(4)):
        at = dice.randrange(len(url) + 1)
        url = url[:at] + dice.choice((*PIECES, a_text(dice)[:20])) + url[at + dice.randrange(3) :]
    loopback_ok = dice.random() < 0.5
    try:
        complete = gateway_url(url, dice.choice(("none", "zlib-stream", "zstd-stream")), plain_ok=loopback_ok)
    except GatewayUrlError as error:
        assert len(str(error)) < 400
        return
    _leads_home(complete, loopback_ok=loopback_ok)


def known(dice: random.Random) -> None:
    """What an earlier coordinator noted is usable, or nothing."""
    noted = Known(
        dice.choice(("https://discord.com/api/v10", "http://127.0.0.1:1")), dice.choice(URLS[:5]), 16, 8
    )
    fields = json.loads(noted.encode())
    if dice.random() < 0.5:
        fields[dice.choice((*fields, a_text(dice)))] = dice.choice(
            (0, -1, True, 1.5, 10**400, math.inf, value(dice))
        )
    text = json.dumps(fields)
    if dice.random() < 0.3:
        text = mutated(dice, text.encode()).decode("latin-1")
    found = decode(text)
    if found is None:
        return
    assert type(found.shards) is type(found.recommended) is int
    assert min(found.shards, found.recommended) >= 1
    assert isinstance(found.api, str)
    _leads_home(gateway_url(found.url, "none", plain_ok=True), loopback_ok=True)


def _leads_home(url: str, *, loopback_ok: bool) -> None:
    parts, dialed = urlsplit(url), parse_uri(url)
    assert parts.hostname is not None
    assert parts.hostname.lower() == dialed.host.lower(), "two readers, two hosts"
    assert (parts.port or (443 if parts.scheme == "wss" else 80)) == dialed.port
    assert dialed.username is None
    discord = parts.hostname in {"discord.gg", "discord.com"} or parts.hostname.endswith(
        (".discord.gg", ".discord.com")
    )
    home = parts.hostname == "localhost" or parts.hostname.startswith(("127.", "::ffff:127."))
    if ":" in parts.hostname and not home:
        home = socket.inet_pton(socket.AF_INET6, parts.hostname.partition("%")[0]) == _HOME
    assert (discord and parts.scheme == "wss") or (home and loopback_ok), f"leads to {parts.hostname}"
    assert url.isascii()


def _body(dice: random.Random) -> bytes:
    limit: Any = {
        "total": dice.choice((1000, 0, 2**53, value(dice))),
        "remaining": dice.choice((1000, 0, -1, value(dice))),
        "reset_after": dice.choice((0, 86_400_000, value(dice))),
        "max_concurrency": dice.choice((1, 16, 0, value(dice))),
    }
    fields: Any = {
        "url": dice.choice((*URLS, value(dice))),
        "shards": dice.choice((1, 64, 0, value(dice))),
        "session_start_limit": dice.choice((limit, limit, limit, value(dice))),
        "retry_after": dice.choice((0.5, 65, -1, -(10**400), 10**400, True, math.nan, math.inf, value(dice))),
    }
    if dice.random() < 0.05:
        return deep(dice)
    body = spelled(dice, fields)
    return mutated(dice, body) if dice.random() < 0.4 else body


TARGET: Final = Target("rest", case)
