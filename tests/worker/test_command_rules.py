"""Rules of https://docs.discord.com/developers/events/gateway-events#send-events."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gwworker.command_rules import Checked, CommandRefusedError
from gwworker.command_rules import check as check_with

GUILD = "197038439483310086"


def check(op: object, d: object) -> Checked:
    return check_with(op, d, intents=1 << 1)  # GUILD_MEMBERS


def sent(op: object, d: object) -> Any:
    return json.loads(check(op, d).payload)


def refused(op: object, d: object) -> tuple[str, str]:
    with pytest.raises(CommandRefusedError) as caught:
        check(op, d)
    return caught.value.code.value, str(caught.value)


# Opcodes


@pytest.mark.parametrize("op", [0, 1, 2, 6, 7, 9, 10, 11, 12, 14, -1, 3.0, "3", None, True, [3], 2**70])
def test_other_opcodes_are_refused_and_the_right_ones_named(op: object) -> None:
    code, message = refused(op, {})
    assert code == "forbidden_opcode"
    assert "3, 4, 8, 31, 43" in message


@pytest.mark.parametrize("op", [3, 4, 8, 31, 43])
@pytest.mark.parametrize("d", [None, [], "x", 7])
def test_data_that_is_no_map_is_refused(op: int, d: object) -> None:
    assert refused(op, d) == ("bad_request", f"d is {d!r}; it should be a map")


# Size


def test_a_payload_has_4096_bytes_at_most_as_it_leaves_and_letters_are_not_bytes() -> None:
    # "Must not exceed 4096 bytes": https://docs.discord.com/developers/events/gateway#sending-events
    def presence(name: str) -> dict[str, Any]:
        return {"activities": [{"name": name, "type": 0}]}

    bare = len(check(3, presence("x")).payload) - 1
    fits = "ü" * ((4096 - bare) // 2) + "x" * ((4096 - bare) % 2)
    assert len(check(3, presence(fits)).payload) == 4096
    assert refused(3, presence(fits + "x")) == (
        "too_large",
        "4097 bytes of JSON; Discord takes at most 4096",
    )


def test_a_payload_is_compact_utf_8() -> None:
    assert check(43, {"guild_id": GUILD, "fields": ["ü"]}).payload == (
        b'{"op":43,"d":{"guild_id":"197038439483310086","fields":["\xc3\xbc"]}}'
    )


@pytest.mark.parametrize("odd", [b"x", float("nan"), float("inf"), "\ud800", {1, 2}])
def test_what_json_can_not_say_is_refused(odd: object) -> None:
    code, message = refused(3, {"odd": odd})
    assert code == "bad_request"
    assert message.startswith("d can't be written as JSON: ")


def test_nesting_without_end_is_refused() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert refused(3, {"odd": deep})[0] == "bad_request"


def test_keys_that_we_do_not_know_pass() -> None:
    assert sent(43, {"guild_id": GUILD, "fields": ["status"], "new": 1})["d"]["new"] == 1


# Presence


def test_an_incomplete_presence_is_completed() -> None:
    complete: dict[str, Any] = {"since": None, "activities": [], "status": "online", "afk": False}
    assert sent(3, {}) == {"op": 3, "d": complete}
    assert sent(3, {"since": 0.0})["d"]["since"] == 0
    assert sent(3, {"status": "idle", "since": 91879201, "afk": True})["d"] == {
        "since": 91879201,
        "activities": [],
        "status": "idle",
        "afk": True,
    }


@pytest.mark.parametrize("status", ["online", "dnd", "idle", "invisible", "offline"])
def test_the_five_statuses_are_taken(status: str) -> None:
    assert sent(3, {"status": status})["d"]["status"] == status


def test_activities_are_taken_as_they_are() -> None:
    activities = [
        {"name": "chess", "type": 0},
        {"name": "Custom Status", "type": 4, "state": "thinking"},
        {"name": "live", "type": 1, "url": "https://twitch.tv/x"},
    ]
    assert sent(3, {"activities": activities})["d"]["activities"] == activities


@pytest.mark.parametrize(
    ("d", "key", "right"),
    [
        ({"status": "away"}, "d.status is 'away'", "online, dnd, idle, invisible, offline"),
        ({"status": None}, "d.status is None", "one of online"),
        ({"since": "now"}, "d.since is 'now'", "null or milliseconds"),
        ({"since": -1}, "d.since is -1", "null or milliseconds"),
        ({"since": 0.5}, "d.since is 0.5", "null or milliseconds"),
        ({"since": float("inf")}, "d.since is inf", "null or milliseconds"),
        ({"since": True}, "d.since is True", "null or milliseconds"),
        ({"afk": 1}, "d.afk is 1", "true or false"),
        ({"activities": None}, "d.activities is None", "a list"),
        ({"activities": {}}, "d.activities is {}", "a list"),
        ({"activities": ["chess"]}, "d.activities[0] is 'chess'", "a map"),
        ({"activities": [{"type": 0}]}, "d.activities[0].name is None", "words"),
        ({"activities": [{"name": "", "type": 0}]}, "d.activities[0].name is ''", "words"),
        ({"activities": [{"name": "a", "type": 0}, {"name": "a"}]}, "d.activities[1].type is None", "0 for"),
        ({"activities": [{"name": "a", "type": "0"}]}, "d.activities[0].type is '0'", "an integer"),
        ({"activities": [{"name": "a", "type": 1, "url": 5}]}, "d.activities[0].url is 5", "words or null"),
        ({"activities": [{"name": "a", "type": 4, "state": []}]}, "d.activities[0].state is []", "words"),
    ],
)
def test_a_wrong_presence_is_refused_by_key(d: object, key: str, right: str) -> None:
    code, message = refused(3, d)
    assert code == "bad_request"
    assert message.startswith(f"{key}; it should be ")
    assert right in message


# Voice state


def test_a_voice_state_has_its_ids_as_strings() -> None:
    voice = {"guild_id": 41771983423143937, "channel_id": 127121515262115840}
    assert sent(4, {**voice, "self_mute": False, "self_deaf": True}) == {
        "op": 4,
        "d": {
            "guild_id": "41771983423143937",
            "channel_id": "127121515262115840",
            "self_mute": False,
            "self_deaf": True,
        },
    }


def test_a_bot_leaves_a_voice_channel_with_null() -> None:
    # "ID of the voice channel client wants to join (null if disconnecting)"
    voice = {"guild_id": GUILD, "channel_id": None, "self_mute": False, "self_deaf": False}
    assert sent(4, voice)["d"] == voice


VOICE = {"guild_id": GUILD, "channel_id": None, "self_mute": False, "self_deaf": False}


@pytest.mark.parametrize(
    ("without", "message"),
    [
        ("guild_id", "d.guild_id is missing; it should be an id, as a string of digits"),
        ("channel_id", "d.channel_id is missing; it should be a channel's id, or null to leave"),
        ("self_mute", "d.self_mute is missing; it should be true or false"),
        ("self_deaf", "d.self_deaf is missing; it should be true or false"),
    ],
)
def test_a_voice_state_needs_all_four(without: str, message: str) -> None:
    assert refused(4, {key: VOICE[key] for key in VOICE if key != without}) == ("bad_request", message)


@pytest.mark.parametrize(
    "wrong", [0, -5, 1 << 64, 1.5, True, "", "abc", "-5", "1" * 21, "٣", "1_0", " 1", [GUILD], {}]
)
def test_what_is_no_id_is_refused(wrong: object) -> None:
    for key in ("guild_id", "channel_id"):
        code, message = refused(4, {**VOICE, key: wrong})
        assert code == "bad_request"
        assert message.startswith(f"d.{key} is ")


@pytest.mark.parametrize("right", [1, (1 << 64) - 1, "1", "18446744073709551615"])
def test_ids_have_64_bits(right: object) -> None:
    assert sent(4, {**VOICE, "guild_id": right})["d"]["guild_id"] == str(right)


# Members


def test_a_request_for_all_members_is_known_as_one() -> None:
    # "a limit of 0 can be used with an empty string query to return all members"
    checked = check(8, {"guild_id": int(GUILD), "query": "", "limit": 0, "nonce": "n"})
    assert (checked.all_members_of, checked.nonce) == (GUILD, "n")
    assert json.loads(checked.payload)["d"] == {"guild_id": GUILD, "query": "", "limit": 0, "nonce": "n"}


@pytest.mark.parametrize(
    "d",
    [
        {"query": "a", "limit": 0},
        {"query": "", "limit": 1},
        {"user_ids": ["1"]},
        {"user_ids": "1"},
        {"user_ids": 1, "limit": 0, "presences": True},
    ],
)
def test_other_requests_for_members_are_not(d: dict[str, Any]) -> None:
    assert check(8, {"guild_id": GUILD, **d}).all_members_of is None


@pytest.mark.parametrize("limit", [0, 1, 100])
def test_a_list_of_members_that_the_intents_do_not_cover_is_refused_since_no_answer_would_come(
    limit: int,
) -> None:
    # "GUILD_MEMBERS intent is required to request the entire member list"
    # https://docs.discord.com/developers/events/gateway-events#request-guild-members
    with pytest.raises(CommandRefusedError, match="intent GUILD_MEMBERS") as caught:
        check_with(8, {"guild_id": GUILD, "query": "", "limit": limit}, intents=~(1 << 1))
    assert caught.value.code == "bad_request"


@pytest.mark.parametrize("d", [{"query": "a", "limit": 0}, {"user_ids": ["1"]}])
def test_other_requests_for_members_need_no_intent(d: dict[str, Any]) -> None:
    assert check_with(8, {"guild_id": GUILD, **d}, intents=0).op == 8


def test_user_ids_leave_as_strings() -> None:
    assert sent(8, {"guild_id": GUILD, "user_ids": [1, "2"]})["d"]["user_ids"] == ["1", "2"]
    assert sent(8, {"guild_id": GUILD, "user_ids": 3})["d"]["user_ids"] == "3"
    assert len(sent(8, {"guild_id": GUILD, "user_ids": list(range(1, 101))})["d"]["user_ids"]) == 100


@pytest.mark.parametrize(
    ("d", "says"),
    [
        ({}, "either query (with limit) or user_ids"),
        ({"query": "", "limit": 0, "user_ids": ["1"]}, "and not both"),
        ({"query": ""}, "d.limit is missing"),
        ({"query": "", "limit": None}, "d.limit is None"),
        ({"query": "", "limit": -1}, "d.limit is -1"),
        ({"query": "", "limit": False}, "d.limit is False"),
        ({"query": None, "limit": 0}, "d.query is None"),
        ({"user_ids": []}, "1 to 100 ids; these are 0"),
        ({"user_ids": [str(one) for one in range(1, 102)]}, "1 to 100 ids; these are 101"),
        ({"user_ids": ["1", "x"]}, "d.user_ids[1] is 'x'"),
        ({"user_ids": None}, "d.user_ids is missing"),
        ({"user_ids": ["1"], "presences": "yes"}, "d.presences is 'yes'"),
        ({"user_ids": ["1"], "nonce": 5}, "d.nonce is 5"),
        ({"user_ids": ["1"], "limit": "1"}, "d.limit is '1'"),
    ],
)
def test_a_wrong_request_for_members_is_refused_by_key(d: dict[str, Any], says: str) -> None:
    # query and user_ids: "one of query or user_ids"; limit: "true when specifying query"; "Requesting
    # user_ids will continue to be limited to returning 100 members"
    code, message = refused(8, {"guild_id": GUILD, **d})
    assert code == "bad_request"
    assert says in message


def test_members_are_those_of_one_guild() -> None:
    # "You will be limited to requesting 1 guild_id per request"
    assert refused(8, {"guild_id": [GUILD], "user_ids": ["1"]})[0] == "bad_request"


@pytest.mark.parametrize(("nonce", "size"), [("x" * 33, 33), ("ü" * 17, 34)])
def test_a_nonce_of_more_than_32_bytes_is_refused_since_discord_would_ignore_it(
    nonce: str, size: int
) -> None:
    # "Nonce can only be up to 32 bytes. If you send an invalid nonce it will be ignored"
    code, message = refused(8, {"guild_id": GUILD, "user_ids": ["1"], "nonce": nonce})
    assert code == "bad_request"
    assert message.endswith(f"at most 32 bytes; these are {size}")


@pytest.mark.parametrize("nonce", ["", "x" * 32, "ü" * 16])
def test_a_nonce_of_32_bytes_is_taken(nonce: str) -> None:
    assert check(8, {"guild_id": GUILD, "user_ids": ["1"], "nonce": nonce}).nonce == nonce


# Sounds and channels


def test_sounds_are_asked_for_by_guilds() -> None:
    # "guild_ids: array of snowflakes"
    assert sent(31, {"guild_ids": [1, "2"]}) == {"op": 31, "d": {"guild_ids": ["1", "2"]}}


@pytest.mark.parametrize("d", [{}, {"guild_ids": []}, {"guild_ids": "1"}, {"guild_ids": [None]}])
def test_wrong_requests_for_sounds_are_refused(d: object) -> None:
    code, message = refused(31, d)
    assert code == "bad_request"
    assert message.startswith("d.guild_ids")


def test_channel_info_is_asked_for_by_fields() -> None:
    asked = {"guild_id": GUILD, "fields": ["status", "voice_start_time"]}
    assert sent(43, asked) == {"op": 43, "d": asked}


@pytest.mark.parametrize(
    "d",
    [
        {"guild_id": GUILD},
        {"guild_id": GUILD, "fields": []},
        {"guild_id": GUILD, "fields": [1]},
        {"fields": ["status"]},
    ],
)
def test_wrong_requests_for_channel_info_are_refused(d: object) -> None:
    assert refused(43, d)[0] == "bad_request"
