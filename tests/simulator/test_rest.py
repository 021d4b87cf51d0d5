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
