from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gwcluster.errors import WireError
from gwcluster.wire.codec import pack, unpack_map
from gwcluster.wire.events import (
    NO_EPOCH,
    Header,
    decode_header,
    encode_header,
    header_encoder,
    parse_topic,
    topic,
)

HEADER = Header(12, 16, "9f86d081884c7d65", 41, 38, 2, 1377, 1_767_225_600.25)
FIELDS = {
    "v": 1,
    "shard": 12,
    "shards": 16,
    "epoch": "9f86d081884c7d65",
    "offset": 41,
    "prev": 38,
    "session": 2,
    "seq": 1377,
    "at": 1_767_225_600.25,
}
COUNTS = st.integers(0, 2**64 - 1)


def test_a_topic_ends_with_a_dot_so_that_no_other_begins_with_it() -> None:
    assert topic("MESSAGE_DELETE", 1) == b"MESSAGE_DELETE.1."
    assert not topic("MESSAGE_DELETE_BULK", 1).startswith(b"MESSAGE_DELETE.")
    assert not topic("MESSAGE_DELETE", 12).startswith(topic("MESSAGE_DELETE", 1))


def test_a_topic_is_parsed_into_name_and_shard() -> None:
    assert parse_topic(b"MESSAGE_CREATE.12.") == ("MESSAGE_CREATE", 12)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"READY",
        b"READY.",
        b"READY.1",
        b".1.",
        b"READY.x.",
        b"READY.-1.",
        b"READY.1.\n",
        b"A.B.1.",
        b"\xff.1.",
    ],
)
def test_any_other_topic_is_refused(frame: bytes) -> None:
    with pytest.raises(WireError, match="not a topic"):
        parse_topic(frame)


def test_a_header_has_these_nine_keys_and_no_other() -> None:
    assert unpack_map(encode_header(HEADER), max_bytes=4096) == FIELDS


@given(
    COUNTS, st.none() | COUNTS, COUNTS, st.none() | COUNTS, st.floats(allow_nan=False, allow_infinity=False)
)
def test_a_header_is_decoded_as_it_was_encoded(
    offset: int, prev: int | None, session: int, seq: int | None, at: float
) -> None:
    header = Header(3, 16, "00000000000000ff", offset, prev, session, seq, at)
    assert decode_header(encode_header(header)) == header
    assert header_encoder(3, 16, "00000000000000ff")(offset, prev, session, seq, at) == encode_header(header)


def test_unknown_keys_are_ignored_and_missing_optional_ones_are_none() -> None:
    assert decode_header(pack(FIELDS | {"later": [1]})) == HEADER
    fewer = {key: value for key, value in FIELDS.items() if key not in ("prev", "seq")}
    assert decode_header(pack(fewer)) == replace(HEADER, prev=None, seq=None)


def test_a_higher_version_is_refused_with_both_numbers() -> None:
    with pytest.raises(WireError, match="version 2; this side reads up to 1"):
        decode_header(pack({"v": 2}))


@pytest.mark.parametrize("key", ["v", "shard", "shards", "epoch", "offset", "session", "at"])
def test_a_missing_key_is_named(key: str) -> None:
    fewer = {name: value for name, value in FIELDS.items() if name != key}
    with pytest.raises(WireError, match=f"{key}"):
        decode_header(pack(fewer))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("v", "1"),
        ("v", True),
        ("shard", 1.0),
        ("shards", None),
        ("offset", -1),
        ("offset", "41"),
        ("prev", -1),
        ("prev", False),
        ("session", [2]),
        ("seq", "x" * 500),
        ("epoch", 7),
        ("epoch", "9F86D081884C7D65"),
        ("epoch", "9f86d081884c7d65\n"),
        ("at", "now"),
        ("at", True),
        ("at", math.nan),
        ("at", math.inf),
    ],
)
def test_a_wrong_value_is_refused_and_its_key_is_named(key: str, value: object) -> None:
    with pytest.raises(WireError, match=key) as caught:
        decode_header(pack(FIELDS | {key: value}))
    assert len(str(caught.value)) < 200


def test_a_header_beyond_4096_bytes_is_refused() -> None:
    with pytest.raises(WireError, match="at most 4096"):
        decode_header(pack(FIELDS | {"later": "x" * 4096}))


def test_the_epoch_of_no_log_is_sixteen_zeros() -> None:
    assert NO_EPOCH == "0000000000000000"
