from __future__ import annotations

import json
from typing import Any

import pytest

from gwworker.all_members import AllMembers, Objection, parse_objection

START = 10_000.0


def rate_limited(**changed: Any) -> bytes:
    data: dict[str, Any] = {"opcode": 8, "retry_after": 12.5, "meta": {"guild_id": "41", "nonce": "n"}}
    return json.dumps({"t": "RATE_LIMITED", "s": 7, "op": 0, "d": data | changed}).encode()


def test_a_guild_may_be_asked_for_once_in_30_s() -> None:
    # "1 request per guild per bot every 30 seconds": https://docs.discord.com/developers/change-log
    guilds = AllMembers()
    assert guilds.wait_s("41", START) == 0.0
    guilds.claim("41", START)
    guilds.written("41", START + 1.0)
    assert guilds.wait_s("41", START + 11.0) == 20.0
    assert guilds.wait_s("41", START + 31.0) == 0.0
    assert guilds.wait_s("42", START + 1.0) == 0.0


def test_while_a_request_has_not_left_the_guild_is_taken_for_an_unknown_time() -> None:
    guilds = AllMembers()
    guilds.claim("41", START)
    assert guilds.wait_s("41", START + 500.0) == 30.0
    guilds.released("41")
    assert guilds.wait_s("41", START + 500.0) == 0.0


def test_discord_knows_better() -> None:
    guilds = AllMembers()
    guilds.refused("41", 100.0, START)
    assert guilds.wait_s("41", START + 40.0) == 60.0
    guilds.refused("41", 2.0, START + 40.0)
    assert guilds.wait_s("41", START + 42.0) == 0.0


def test_guilds_whose_time_has_passed_are_forgotten_and_no_others() -> None:
    guilds = AllMembers()
    for guild in range(10_000):
        guilds.claim(str(guild), START + guild)
        guilds.written(str(guild), START + guild)
        assert guild < 10 or guilds.wait_s(str(guild - 10), START + guild) == 20.0
    assert len(guilds._free_at) <= 2_048
    assert guilds.wait_s("9999", START + 9_999.0) == 30.0


def test_the_objection_is_read() -> None:
    assert parse_objection(rate_limited()) == Objection("41", "n", 12.5)
    assert parse_objection(rate_limited(meta={"guild_id": 41})) == Objection("41", None, 12.5)
    assert parse_objection(rate_limited(meta={"guild_id": "41", "nonce": 5})) == Objection("41", None, 12.5)
    assert parse_objection(rate_limited(retry_after=1e9)) == Objection("41", "n", 3600.0)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b'{"d":null}',
        b'{"op":0}',
        b"[" * 100_000,
        rate_limited(opcode=9),
        rate_limited(retry_after=None),
        rate_limited(retry_after="soon"),
        rate_limited(retry_after=-1),
        rate_limited(retry_after=float("nan")),
        rate_limited(retry_after=float("inf")),
        rate_limited(retry_after=10**400),
        rate_limited(meta=None),
        rate_limited(meta=[]),
        rate_limited(meta={}),
    ],
)
def test_what_we_do_not_know_is_no_objection(payload: bytes) -> None:
    assert parse_objection(payload) is None
