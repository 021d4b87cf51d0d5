from __future__ import annotations

import contextlib
from typing import Any

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gwcluster.wire.codec import pack
from gwcluster.wire.permissions import Permission
from gwcluster.wire.requests import (
    BadRequestError,
    Drain,
    Replay,
    Restart,
    Send,
    Status,
    accepted,
    bad_request,
    parse,
    refused,
)


def asked(**fields: Any) -> bytes:
    return pack({"v": 1, "id": 7, "op": "replay", "shard": 3, **fields})


def why_not(body: bytes) -> str:
    with pytest.raises(BadRequestError) as caught:
        parse(body)
    return str(caught.value)


def test_a_replay_that_says_only_the_shard_means_all_of_it() -> None:
    ask = parse(asked())
    assert ask == Replay(7, 3, epoch=None, after=None, names=None, limit=1000, max_bytes=1_048_576)


def test_a_replay_may_say_all_of_this() -> None:
    body = asked(id="x", epoch="9f86d081884c7d65", after=41, names=["A", "B", "A"], limit=0, max_bytes=1)
    assert parse(body) == Replay("x", 3, "9f86d081884c7d65", 41, frozenset({"A", "B"}), 0, 1)


def test_a_replay_from_before_the_first_offset_can_be_asked_for() -> None:
    ask = parse(asked(after=-1))
    assert isinstance(ask, Replay)
    assert ask.after == -1


def test_what_is_to_be_sent_is_handed_on_as_it_came() -> None:
    body = pack({"v": 1, "op": "send", "guild_id": "12", "payload": {"op": 4, "d": {}}, "ttl": 2.5})
    assert parse(body) == Send(None, {"op": 4, "d": {}}, None, "12", 2.5)


def test_the_status_takes_nothing_and_unknown_keys_are_ignored() -> None:
    assert parse(pack({"v": 1, "id": [1, None], "op": "status", "colour": "red"})) == Status([1, None])


def restart(**fields: Any) -> bytes:
    return pack({"v": 1, "id": 7, "op": "restart", **fields})


def test_one_shard_or_all_can_be_restarted_and_all_of_them_one_after_the_other() -> None:
    assert parse(restart(shard=3)) == Restart(7, 3, rolling=False)
    assert parse(restart(shard=3, all=False, rolling=False)) == Restart(7, 3, rolling=False)
    assert parse(restart(all=True)) == Restart(7, None, rolling=False)
    assert parse(restart(all=True, rolling=True)) == Restart(7, None, rolling=True)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, "either shard or all is needed, such as shard: 3 or all: true"),
        ({"rolling": True}, "either shard or all is needed, such as shard: 3 or all: true"),
        ({"shard": 3, "all": True}, "all is true and shard is given; keep one of the two"),
        ({"shard": 3, "rolling": True}, "rolling is true and shard is given; keep one of the two"),
        ({"shard": "3"}, "shard is '3'; it should be a whole number from 0"),
        ({"all": 1}, "all is 1; it should be true or false"),
        ({"all": True, "rolling": "yes"}, "rolling is 'yes'; it should be true or false"),
    ],
)
def test_a_restart_of_who_knows_what_is_refused(keys: dict[str, Any], said: str) -> None:
    assert why_not(restart(**keys)) == said


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"v": 2}, "a request of wire version 2; this side reads up to 1: upgrade it"),
        ({"v": "1"}, "v is '1'; it should be the wire version, 1"),
        ({"v": 0}, "v is 0; it should be the wire version, 1"),
        ({"v": True}, "v is True; it should be the wire version, 1"),
        ({"op": "stop"}, "op is 'stop'; it should be one of replay, send, status, restart, drain"),
        ({"op": ["replay"]}, "op is ['replay']; it should be one of replay, send, status, restart, drain"),
        ({"shard": None}, "shard is None; it should be a whole number from 0"),
        ({"shard": -1}, "shard is -1; it should be a whole number from 0"),
        ({"shard": 3.0}, "shard is 3.0; it should be a whole number from 0"),
        ({"shard": False}, "shard is False; it should be a whole number from 0"),
        (
            {"epoch": "9F86D081884C7D65"},
            "epoch is '9F86D081884C7D65'; it should be 16 lower-case hex digits, or nil for any",
        ),
        (
            {"after": "4"},
            "after is '4'; it should be a whole number from -1, or nil for the oldest that is left",
        ),
        (
            {"after": -2},
            "after is -2; it should be a whole number from -1, or nil for the oldest that is left",
        ),
        ({"limit": 1001}, "limit is 1001; it should be a whole number from 0 to 1000"),
        ({"limit": None}, "limit is None; it should be a whole number from 0 to 1000"),
        ({"max_bytes": 0}, "max_bytes is 0; it should be a whole number from 1 to 1048576"),
        ({"max_bytes": 1_048_577}, "max_bytes is 1048577; it should be a whole number from 1 to 1048576"),
        (
            {"names": "READY"},
            "names is 'READY'; it should be a list of at most 256 event names, or nil for all",
        ),
        ({"names": [7]}, "names is [7]; it should be event names of at most 100 characters, or nil for all"),
    ],
)
def test_what_is_wrong_is_told_with_key_value_and_what_would_be_right(
    wrong: dict[str, Any], said: str
) -> None:
    assert why_not(asked(**wrong)) == said


def test_names_are_bounded_in_number_and_length() -> None:
    assert isinstance(parse(asked(names=["N" * 100] * 256)), Replay)
    assert "at most 256 event names" in why_not(asked(names=["N"] * 257))
    assert "at most 100 characters" in why_not(asked(names=["N" * 101]))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc0",
        b"\x93\x01\x02\x03",
        b"\x81\x01\x02",
        b"{}",
        b"\x81\xa1v",
        pack({"v": 1, "op": "status"}) + b"\x00",
        pack({"v": 1, "op": "status", "x": "y" * 65_536}),
    ],
)
def test_what_is_no_map_is_refused_without_an_id(body: bytes) -> None:
    with pytest.raises(BadRequestError, match="not a request: ") as caught:
        parse(body)
    assert caught.value.id is None


def test_lists_in_lists_that_announce_millions_of_members_make_no_room_for_them() -> None:
    # Each header of 5 bytes would have half a megabyte made ready: ten kilobytes a gigabyte.
    body = b"\x81\xa1x" + b"\xdd\x00\x00\xff\xff" * 500
    assert "65535 exceeds max_array_len" in why_not(body + b"\xc0" * (65_536 - len(body)))


def test_a_request_may_be_nested_32_deep_and_no_deeper() -> None:
    deep: Any = 1
    for _ in range(31):
        deep = [deep]
    assert isinstance(parse(asked(x=deep)), Replay)
    assert why_not(asked(x=[deep])).startswith("not a request: a msgpack map nested deeper than 32: ")
    assert why_not(asked(x={"y": deep})).startswith("not a request: a msgpack map nested deeper than 32: ")


def test_an_id_comes_back_whatever_it_is_unless_it_is_huge() -> None:
    for number in (None, 7, -1.5, "x", b"\xff", [1, {"a": None}], msgpack.ExtType(5, b"x")):
        assert parse(pack({"v": 1, "id": number, "op": "status"})).id == number
        assert msgpack.unpackb(accepted(number))["id"] == number
    assert parse(pack({"v": 1, "id": "x" * 1021, "op": "status"})).id == "x" * 1021
    with pytest.raises(BadRequestError, match="id has 1025 bytes as msgpack; at most 1024") as caught:
        parse(pack({"v": 1, "id": "x" * 1022, "op": "status"}))
    assert caught.value.id is None


def test_the_answer_to_a_bad_request_has_its_id_as_far_as_there_is_one() -> None:
    with pytest.raises(BadRequestError) as caught:
        parse(pack({"v": 1, "id": "mine", "op": "x"}))
    answer = msgpack.unpackb(bad_request(caught.value))
    said = "op is 'x'; it should be one of replay, send, status, restart, drain"
    assert answer == {"v": 1, "id": "mine", "ok": False, "error": {"code": "bad_request", "message": said}}


def test_a_refusal_says_when_to_try_again_only_if_there_is_such_a_moment() -> None:
    assert msgpack.unpackb(refused(1, "not_ready", "no", retry_after_s=1.0))["error"] == {
        "code": "not_ready",
        "message": "no",
        "retry_after": 1.0,
    }
    assert msgpack.unpackb(refused(1, "expired", "no", oldest=5))["error"] == {
        "code": "expired",
        "message": "no",
        "oldest": 5,
    }


@given(st.binary(max_size=80), st.sampled_from(["replay", "send", "status", "restart", "x"]))
@example(b"\xc7\x0c\xff" + b"\xff" * 12, "status")  # a timestamp with too many nanoseconds
@example(b"\xd4\xfe\x00", "status")  # an extension that has no meaning
def test_noise_is_a_request_or_a_bad_one_and_can_be_answered(noise: bytes, op: str) -> None:
    told = b"\x85\xa1v\x01\xa2op" + pack(op) + b"\xa5shard\x00\xa2id"
    for body in (noise, told + noise, told + b"\x01\xa5names" + noise):
        answer = _answer_to(body)
        assert len(answer) < 2000
        with contextlib.suppress(ValueError):  # what msgpack itself can't read again
            msgpack.unpackb(answer)


def _answer_to(body: bytes) -> bytes:
    try:
        return accepted(parse(body).id)
    except BadRequestError as error:
        return bad_request(error)


def test_a_drain_needs_nothing_but_a_key_that_may_operate() -> None:
    ask = parse(pack({"v": 1, "id": 7, "op": "drain", "shard": 3}))
    assert ask == Drain(7)
    assert ask.needs is Permission.OPERATE
