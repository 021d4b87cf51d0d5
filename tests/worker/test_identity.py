from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from gwworker.effects import Remember
from gwworker.identity import (
    beat_payload,
    identify_payload,
    resumable,
    resume_payload,
    saved_session,
)
from gwworker.redial import Known
from support.jobs import TOKEN, job

URL = "wss://gateway-us-east1-c.discord.gg"
REMEMBER = Remember(7, "a" * 32, URL)
PRESENCE: dict[str, Any] = {"since": None, "activities": [], "status": "idle", "afk": False}


def identify(**changed: Any) -> dict[str, Any]:
    sent = json.loads(identify_payload(job(**changed)))
    assert sent["op"] == 2
    data: dict[str, Any] = sent["d"]
    return data


def test_identify_says_who_we_are() -> None:
    # "Intents are optionally supported on the v6 gateway but required as of v8"; "If an app is using payload
    # compression, it cannot use transport compression": https://docs.discord.com/developers/events/gateway
    assert identify() == {
        "token": TOKEN,
        "intents": 513,
        "properties": {"os": "linux", "browser": "gwcluster", "device": "gwcluster"},
        "compress": False,
        "large_threshold": 50,
        "shard": [3, 16],
    }


def test_intents_are_sent_even_if_there_are_none() -> None:
    assert identify(intents=0)["intents"] == 0


def test_shard_0_is_named_like_any_other() -> None:
    # "The first item in this array should be the zero-based integer value of the current shard"
    # https://docs.discord.com/developers/events/gateway#sharding
    assert identify(shard=0, shards=1)["shard"] == [0, 1]


def test_a_presence_is_sent_whole_and_none_is_not_sent() -> None:
    assert identify(presence=PRESENCE)["presence"] == PRESENCE
    assert "presence" not in identify()


def test_further_fields_are_sent_but_replace_none_of_ours() -> None:
    sent = identify(identify={"capabilities": 32768, "token": "x", "shard": [9, 9], "intents": 0})
    assert sent["capabilities"] == 32768
    assert (sent["token"], sent["shard"], sent["intents"]) == (TOKEN, [3, 16], 513)


def test_a_presence_in_another_script_is_sent_as_utf_8() -> None:
    payload = identify_payload(job(presence=PRESENCE | {"activities": [{"name": "日本語", "type": 0}]}))
    assert "日本語".encode() in payload


def test_resume_names_the_session_and_its_last_seq() -> None:
    assert json.loads(resume_payload(job(), "a" * 32, 1337)) == {
        "op": 6,
        "d": {"token": TOKEN, "session_id": "a" * 32, "seq": 1337},
    }


@pytest.mark.parametrize(("seq", "payload"), [(None, b'{"op":1,"d":null}'), (251, b'{"op":1,"d":251}')])
def test_a_beat_carries_the_last_seq_or_null(seq: int | None, payload: bytes) -> None:
    assert beat_payload(seq) == payload


def test_a_saved_session_is_resumed_by_the_same_job() -> None:
    assert resumable(saved_session(job(), REMEMBER), job(), 7) == Known("a" * 32, URL)


@pytest.mark.parametrize(
    "changed",
    [{"shards": 8}, {"shard": 4}, {"intents": 1}, {"token": "another"}],
    ids=lambda changed: next(iter(changed)),
)
def test_a_saved_session_is_not_resumed_by_a_job_that_differs_in(changed: dict[str, Any]) -> None:
    assert resumable(saved_session(job(), REMEMBER), job(**changed), 7) is None


@pytest.mark.parametrize(
    "changed",
    [{"gateway_url": "ws://127.0.0.1:1/"}, {"compression": "zstd-stream"}, {"exclude": ["TYPING_START"]}],
    ids=lambda changed: next(iter(changed)),
)
def test_a_saved_session_survives_a_change_of(changed: dict[str, Any]) -> None:
    assert resumable(saved_session(job(), REMEMBER), job(**changed), 7) is not None


@pytest.mark.parametrize("logged", [0, 6, 8])
def test_a_session_whose_events_are_not_the_last_in_the_log_is_not_resumed(logged: int) -> None:
    assert resumable(saved_session(job(), REMEMBER), job(), logged) is None


def test_a_session_of_another_api_version_is_not_resumed() -> None:
    saved = saved_session(job(), REMEMBER)
    assert saved.api_version == 10
    assert resumable(replace(saved, api_version=9), job(), 7) is None


def test_a_session_without_an_address_resumes_where_it_identified() -> None:
    saved = saved_session(job(), replace(REMEMBER, resume_url=None))
    assert resumable(saved, job(), 7) == Known("a" * 32, "ws://127.0.0.1:9/")


def test_the_token_is_not_saved() -> None:
    assert TOKEN not in repr(vars_of(saved_session(job(), REMEMBER)))


def vars_of(saved: object) -> list[object]:
    return [getattr(saved, name) for name in saved.__slots__]  # type: ignore[attr-defined]
