from __future__ import annotations

import json

import pytest

from gwcluster.log.jetstream.answers import ApiError, NoAnswer, answer


def refused(code: int, said: str = "what the server says") -> bytes:
    return json.dumps({"error": {"code": 503, "err_code": code, "description": said}}).encode()


def test_a_missing_leader_is_no_answer_so_that_whoever_asks_tries_again() -> None:
    with pytest.raises(NoAnswer, match=r"no leader just now, so nothing was done with STREAM\.INFO\.x"):
        answer({}, refused(10008), "STREAM.INFO.x")
    with pytest.raises(NoAnswer, match="isn't enabled, or has no leader"):
        answer({"Status": "503"}, b"", "STREAM.INFO.x")


def test_what_does_not_pass_is_a_refusal_in_words() -> None:
    with pytest.raises(ApiError, match=r"refuses STREAM.INFO.x: JetStream's limit .* raise it \(10028\)"):
        answer({}, refused(10028), "STREAM.INFO.x")
    with pytest.raises(ApiError, match=r"what the server says \(99\)"):
        answer({}, refused(99), "STREAM.INFO.x")


def test_a_cluster_without_room_is_not_taken_for_one_that_lacks_servers() -> None:
    # nats-server 2.15 says it so when the streams' max_bytes would be more than max_file_store
    said = "no suitable peers for placement, insufficient storage"
    with pytest.raises(ApiError, match=r"raise max_file_store or free some \(10005\)"):
        answer({}, refused(10005, said), "STREAM.CREATE.x")
    with pytest.raises(ApiError, match=r"too few JetStream servers"):
        answer({}, refused(10005, "no suitable peers for placement, peer offline"), "STREAM.CREATE.x")
