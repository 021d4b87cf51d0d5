from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gwcluster.errors import WireError
from gwcluster.wire.codec import pack, unpack_map

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=10,
)


def test_a_map_is_packed_into_these_bytes() -> None:
    assert pack({"v": 1, "seq": None}) == b"\x82\xa1v\x01\xa3seq\xc0"


@given(st.dictionaries(st.text(max_size=8), VALUES, max_size=5))
def test_what_is_packed_is_unpacked(value: dict[str, object]) -> None:
    assert unpack_map(pack(value), max_bytes=100_000) == value


def test_too_many_bytes_are_refused_before_they_are_decoded() -> None:
    data = pack({"a": "b" * 10})
    assert unpack_map(data, max_bytes=len(data)) == {"a": "b" * 10}
    with pytest.raises(WireError, match=r"14 bytes; at most 13"):
        unpack_map(data, max_bytes=len(data) - 1)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc0",
        b"\x90",
        b"\xc1",
        b"\x81\xa1a",
        b"\x81\xa1a\x01\x02",
        b"\x81\x01\x02",
        b"\x81\xc4\x01a\x02",
        b"\x81\xa1\xff\x01",
        b"\xdf\xff\xff\xff\xff",
        b"\x81\xa1a" + b"\x91" * 3000 + b"\x01",
    ],
)
def test_anything_but_one_whole_map_with_string_keys_is_refused(data: bytes) -> None:
    with pytest.raises(WireError) as caught:
        unpack_map(data, max_bytes=4096)
    assert "()" not in str(caught.value)


@given(st.binary(max_size=60))
@example(b"\x81\xa1a\xc7\x0c\xff" + b"\xff" * 12)
def test_noise_is_a_map_or_a_wire_error_and_nothing_else(noise: bytes) -> None:
    for data in (noise, b"\x81\xa1a" + noise, b"\x81" + noise):
        with contextlib.suppress(WireError):
            assert all(isinstance(key, str) for key in unpack_map(data, max_bytes=4096))


def test_what_can_not_be_packed_leaves_nothing_behind() -> None:
    with pytest.raises(TypeError):
        pack({"a": 1, "b": object()})
    assert pack(1) == b"\x01"
