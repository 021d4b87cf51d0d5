from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gwcluster.backoff import Backoff
from gwcluster.identify.gateway_info import (
    GatewayInfo,
    GatewayInfoError,
    Ok,
    Refused,
    RestAnswer,
    Retry,
    decide,
    parse,
)

NOW_WALL = 1_790_000_000.0


def body(**changes: Any) -> bytes:
    limit = {"total": 1000, "remaining": 999, "reset_after": 14_400_000, "max_concurrency": 1}
    answer: dict[str, Any] = {
        "url": "wss://gateway.discord.gg",
        "shards": 9,
        "session_start_limit": limit,
    }
    for key, value in changes.items():
        part = limit if key in limit else answer
        part[key] = value
        if value is ...:
            del part[key]
    return json.dumps(answer).encode()


def decided(answer: RestAnswer, *, jitter: float = 0.0, tries: int = 1) -> Ok | Retry | Refused:
    backoff = Backoff(jitter=lambda: 1.0)
    for _ in range(tries - 1):
        backoff.next()
    return decide(answer, now_wall=NOW_WALL, backoff=backoff, jitter=lambda: jitter, loopback_ok=False)


def retried(answer: RestAnswer, *, jitter: float = 0.0, tries: int = 1) -> Retry:
    decision = decided(answer, jitter=jitter, tries=tries)
    assert isinstance(decision, Retry)
    return decision


def test_the_answer_of_the_documentation_is_understood_and_reset_after_is_in_milliseconds() -> None:
    # "Number of milliseconds after which the limit resets"
    # https://docs.discord.com/developers/events/gateway#session-start-limit-object
    assert decided(RestAnswer(200, body())) == Ok(
        GatewayInfo("wss://gateway.discord.gg", 9, 1000, 999, 14_400.0, max_concurrency=1)
    )


@pytest.mark.parametrize("value", [0, -1, None, "16", True, 1.5, ...])
def test_a_max_concurrency_that_makes_no_sense_is_one_and_never_unlimited(value: object) -> None:
    assert parse(body(max_concurrency=value), loopback_ok=False).max_concurrency == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"shards": 0},
        {"shards": ...},
        {"shards": "4"},
        {"total": None},
        {"remaining": -1},
        {"remaining": ...},
        {"reset_after": 1.5},
        {"session_start_limit": ...},
        {"session_start_limit": []},
        {"url": ...},
        {"url": 7},
    ],
)
def test_an_answer_that_lacks_something_is_asked_for_again(changes: dict[str, Any]) -> None:
    with pytest.raises(GatewayInfoError, match=next(iter(changes))):
        parse(body(**changes), loopback_ok=False)
    assert retried(RestAnswer(200, body(**changes))).after_s == 1.0


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 60_000,
        b'{"a":' + b"1" * 5_000 + b"}",
        b" " * 70_000,
    ],
)
def test_garbage_is_no_crash(garbage: bytes) -> None:
    with pytest.raises(GatewayInfoError):
        parse(garbage, loopback_ok=False)


@pytest.mark.parametrize(
    "url",
    [
        "wss://gateway.discord.gg",
        "wss://gateway.discord.gg/",
        "wss://gateway.discord.gg/?v=10",
        "wss://gateway-us-east1-b.discord.gg:443/path",
        "wss://discord.com/gateway",
    ],
)
def test_a_gateway_on_a_host_of_discord_is_taken_as_told(url: str) -> None:
    assert parse(body(url=url), loopback_ok=False).url == url


@pytest.mark.parametrize(
    "url",
    [
        "ws://gateway.discord.gg",
        "https://gateway.discord.gg",
        "wss://discord.gg.example.org",
        "wss://notdiscord.gg",
        "wss://gateway.discord.gg@example.org",
        "wss://a:b@gateway.discord.gg",
        "wss://example.org\\.discord.gg",
        "wss://gateway.discord.gg:99999",
        "wss://gateway.discord.gg/\r\nx",
        "wss://[::1",
        "wss://",
        "",
        "ws://127.0.0.1:1",
        "wss://localhost",
    ],
)
def test_a_gateway_elsewhere_is_refused(url: str) -> None:
    with pytest.raises(GatewayInfoError, match="url: not a"):
        parse(body(url=url), loopback_ok=False)


@pytest.mark.parametrize("url", ["ws://127.0.0.1:8080", "wss://localhost:1/x", "ws://[::1]:5"])
def test_a_gateway_on_this_machine_is_taken_only_where_the_api_is_there_too(url: str) -> None:
    assert parse(body(url=url), loopback_ok=True).url == url
    with pytest.raises(GatewayInfoError):
        parse(body(url=url), loopback_ok=False)


@pytest.mark.parametrize("url", ["ws://10.0.0.1", "ws://localhost.example.org", "ws://127.0.0.1.example.org"])
def test_another_machine_is_no_loopback(url: str) -> None:
    with pytest.raises(GatewayInfoError):
        parse(body(url=url), loopback_ok=True)


def test_a_bad_token_and_a_forbidden_client_are_refused_for_good() -> None:
    assert decided(RestAnswer(401, b'{"message": "401: Unauthorized", "code": 0}')) == Refused(
        "Discord refuses the token (status 401): put a valid one into the configuration"
    )
    html = decided(RestAnswer(403, b"<!DOCTYPE html><title>Access denied</title>"))
    assert isinstance(html, Refused)
    assert "Cloudflare" in html.reason
    told = decided(RestAnswer(403, b'{"message": "x", "code": 40333}'))
    assert isinstance(told, Refused)
    assert "40333" in told.reason


@pytest.mark.parametrize(
    ("text", "header", "wait_s"),
    [
        (b'{"retry_after": 1.5}', None, 1.5),  # neither 1.5 ms nor 1500 s
        (b'{"retry_after": 1.5}', "2", 2.0),
        (b"", "82721", 82_721.0),
        (b"<html>", "46263", 46_263.0),
        (b"", "Mon, 21 Sep 2026 14:14:10 GMT", 50.0),
        (b"", "0", 1.0),  # never at once
        (b'{"retry_after": 1e999}', None, 172_800.0),  # nor for ever
        (b'{"retry_after": 1' + b"0" * 400 + b"}", None, 172_800.0),
    ],
)
def test_a_rate_limit_is_waited_out_as_told(text: bytes, header: str | None, wait_s: float) -> None:
    # "retry_after: float: The number of seconds to wait before submitting another request."
    # https://docs.discord.com/developers/topics/rate-limits#exceeding-a-rate-limit
    answer = RestAnswer(429, text, header)
    assert retried(answer) == Retry(wait_s, "rate limited (status 429)", told=True)
    assert retried(answer, jitter=1.0).after_s == wait_s + 0.5


@pytest.mark.parametrize(
    ("text", "header"),
    [
        (b"", None),
        (b"", "soon"),
        (b'{"retry_after": "x"}', "-5"),
        (b'{"retry_after": NaN}', "nan"),
        (b'{"retry_after": -1' + b"0" * 400 + b"}", "-inf"),  # below any float
    ],
)
def test_a_rate_limit_without_a_word_on_how_long_backs_off(text: bytes, header: str | None) -> None:
    retry = retried(RestAnswer(429, text, header), tries=4)
    assert (retry.after_s, retry.told) == (8.0, False)


@pytest.mark.parametrize(
    "answer",
    [RestAnswer(None, error="refused"), RestAnswer(500), RestAnswer(502, b"<html>"), RestAnswer(302)],
)
def test_whatever_else_goes_wrong_is_tried_again_later_and_later(answer: RestAnswer) -> None:
    assert [retried(answer, tries=tries).after_s for tries in (1, 2, 3, 8)] == [1.0, 2.0, 4.0, 60.0]


@given(st.binary(max_size=200), st.integers(100, 599), st.none() | st.text(max_size=20))
def test_no_answer_crashes_the_decision(text: bytes, status: int, header: str | None) -> None:
    decision = decided(RestAnswer(status, text, header))
    if isinstance(decision, Retry):
        assert 0 < decision.after_s <= 172_800.5
