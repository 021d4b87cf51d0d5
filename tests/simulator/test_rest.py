import json
from typing import Any

import pytest

from gwsimulator import rest
from gwsimulator.faults import RestFault
from support.sim_rig import Rig

BOT = {"Authorization": "Bot abc", "User-Agent": "DiscordBot (https://example.com, 1.0)"}
URL = "ws://gateway.test"


def ask(rig: Rig, path: str, headers: dict[str, str] = BOT) -> tuple[int, Any]:
    answer = rest.answer(rig.gateway, path, headers, URL, rig.now)
    return answer.status, json.loads(answer.body)


def test_gateway_bot_names_shards_and_what_is_left_of_the_day_in_milliseconds() -> None:
    rig = Rig(shards=2, daily_limit=1000, max_concurrency=3, identify_window_s=0.0)
    assert ask(rig, "/api/v10/gateway/bot") == (
        200,
        {
            "url": URL,
            "shards": 2,
            "session_start_limit": {"total": 1000, "remaining": 1000, "reset_after": 0, "max_concurrency": 3},
        },
    )
    rig.go_live(0)
    rig.run_for(400.0)
    limit = ask(rig, "/api/v10/gateway/bot")[1]["session_start_limit"]
    assert (limit["remaining"], limit["reset_after"]) == (999, 86_000_000)


def test_gateway_needs_no_token() -> None:
    assert ask(Rig(), "/api/v10/gateway", {"User-Agent": BOT["User-Agent"]}) == (200, {"url": URL})


@pytest.mark.parametrize("authorization", ["", "abc", "Bearer abc", "Bot ", "Bot wrong"])
def test_a_request_without_a_valid_token_is_401(authorization: str) -> None:
    rig = Rig(token="abc")
    status, body = ask(rig, "/api/v10/gateway/bot", {**BOT, "Authorization": authorization})
    assert (status, body["message"]) == (401, "401: Unauthorized")
    assert rig.rules_broken() == ["authorization"]


@pytest.mark.parametrize("agent", ["", "python-requests/2", "DiscordBot"])
def test_a_request_without_a_bots_user_agent_is_403(agent: str) -> None:
    rig = Rig()
    status, body = ask(rig, "/api/v10/gateway/bot", {**BOT, "User-Agent": agent})
    assert (status, body["code"]) == (403, 40333)
    assert rig.rules_broken() == ["user_agent"]


def test_a_user_agent_without_the_comma_is_let_in_and_noted() -> None:
    rig = Rig()
    assert ask(rig, "/api/v10/gateway/bot", {**BOT, "User-Agent": "DiscordBot (url 1.0)"})[0] == 200
    assert rig.rules_broken() == ["user_agent"]


def test_old_versions_are_gone_and_no_version_is_a_violation() -> None:
    rig = Rig()
    assert ask(rig, "/api/v5/gateway/bot")[0] == 400
    assert ask(rig, "/api/gateway/bot")[0] == 200
    assert rig.rules_broken() == ["api_version", "api_version"]


@pytest.mark.parametrize("path", ["/users/@me", "/applications/@me", "/oauth2/applications/@me"])
def test_what_clients_ask_at_login_is_answered(path: str) -> None:
    rig = Rig()
    status, body = ask(rig, f"/api/v10{path}")
    assert status == 200
    assert body["id"] == rig.world.bot["id"]


def test_other_paths_are_404() -> None:
    assert ask(Rig(), "/api/v10/channels/1")[0] == 404


def test_scripted_answers_come_first_and_as_often_as_said() -> None:
    rig = Rig()
    fault = RestFault(429, b'{"retry_after":1.5}', {"Retry-After": "2"}, path="/gateway/bot")
    rig.faults.rest.add(fault, times=2)
    assert ask(rig, "/api/v10/users/@me")[0] == 200
    assert [ask(rig, "/api/v10/gateway/bot")[0] for _ in range(3)] == [429, 429, 200]
    assert [call.status for call in rig.ledger.rest_calls] == [200, 429, 429, 200]


def test_every_answer_says_how_many_requests_are_left() -> None:
    # https://docs.discord.com/developers/topics/rate-limits#header-format
    rig = Rig(rest_limit=5)
    headers = [rest.answer(rig.gateway, "/api/v10/gateway", BOT, URL, rig.now).headers for _ in range(2)]
    assert [one["X-RateLimit-Remaining"] for one in headers] == ["4", "3"]
    assert headers[0]["X-RateLimit-Limit"] == "5"
    assert float(headers[0]["X-RateLimit-Reset-After"]) == 1.0
    assert headers[0]["X-RateLimit-Bucket"]


def test_the_51st_request_within_a_second_is_429_for_all_routes() -> None:
    rig = Rig()
    assert [ask(rig, "/api/v10/gateway/bot")[0] for _ in range(50)] == [200] * 50
    rig.run_for(0.4)
    answer = rest.answer(rig.gateway, "/api/v10/users/@me", BOT, URL, rig.now)
    assert answer.status == 429
    assert json.loads(answer.body)["retry_after"] == 0.6
    assert json.loads(answer.body)["global"] is True
    assert (answer.headers["Retry-After"], answer.headers["X-RateLimit-Scope"]) == ("1", "global")
    assert rig.rules_broken() == ["rest_rate"]
    rig.run_for(0.6)
    assert ask(rig, "/api/v10/users/@me")[0] == 200


def test_after_more_than_10_000_invalid_answers_in_10_minutes_everything_is_403() -> None:
    # https://docs.discord.com/developers/topics/rate-limits#invalid-request-limit
    rig = Rig(token="abc", rest_limit=1_000_000)
    wrong = {**BOT, "Authorization": "Bot wrong"}
    for _ in range(10_000):
        rest.answer(rig.gateway, "/api/v10/gateway/bot", wrong, URL, rig.now)
    rig.run_for(300.0)
    assert ask(rig, "/api/v10/gateway/bot")[0] == 200
    assert ask(rig, "/api/v10/gateway/bot", wrong)[0] == 401
    answer = rest.answer(rig.gateway, "/api/v10/gateway/bot", BOT, URL, rig.now)
    assert (answer.status, answer.headers["Content-Type"], answer.body[:6]) == (403, "text/html", b"<html>")
    assert rig.rules_broken()[-1] == "invalid_answers"
    rig.run_for(600.0)
    assert ask(rig, "/api/v10/gateway/bot")[0] == 200


@pytest.mark.parametrize(
    ("status", "headers", "banned"),
    [
        (401, {}, True),
        (403, {}, True),
        (429, {}, True),
        (429, {"X-RateLimit-Scope": "user"}, True),
        (429, {"X-RateLimit-Scope": "shared"}, False),
        (404, {}, False),
        (502, {}, False),
    ],
)
def test_only_401_403_and_429_are_invalid_and_not_those_of_a_shared_limit(
    status: int, headers: dict[str, str], banned: bool
) -> None:
    rig = Rig(invalid_answers_max=2)
    rig.faults.rest.add(RestFault(status, b"{}", headers), times=3)
    for _ in range(3):
        ask(rig, "/api/v10/gateway/bot")
    answer = rest.answer(rig.gateway, "/api/v10/gateway/bot", BOT, URL, rig.now)
    assert (answer.status == 403) == banned


@pytest.mark.parametrize(
    ("fault", "not_before"),
    [
        (RestFault(429, b"", {"Retry-After": "82721"}), 92_721.0),
        (RestFault(429, b'{"retry_after":1.5}'), 10_001.5),
        (RestFault(429, b"<html>", delay_s=2.0), None),
        (RestFault(429, b"", {"Retry-After": "5"}, delay_s=2.0), 10_007.0),
        (RestFault(503, b"", {"Retry-After": "5"}), None),
    ],
)
def test_what_a_429_said_is_in_the_ledger(fault: RestFault, not_before: float | None) -> None:
    rig = Rig()
    rig.faults.rest.add(fault)
    rest.answer(rig.gateway, "/api/v10/gateway/bot", BOT, URL, rig.now)
    assert rig.ledger.rest_calls[0].not_before == not_before


@pytest.mark.parametrize(("setting", "reset_after"), [("fixed", 36_400_000), ("sliding", 36_400_000)])
def test_reset_after_counts_down_in_milliseconds(setting: str, reset_after: int) -> None:
    rig = Rig(daily_window=setting)
    rig.identify(rig.dial())
    rig.run_for(50_000.0)
    rig.identify(rig.dial())
    limit = ask(rig, "/api/v10/gateway/bot")[1]["session_start_limit"]
    assert (limit["remaining"], limit["reset_after"]) == (998, reset_after)
    rig.run_for(36_400.0)
    limit = ask(rig, "/api/v10/gateway/bot")[1]["session_start_limit"]
    assert limit["reset_after"] == (0 if setting == "fixed" else 50_000_000)
