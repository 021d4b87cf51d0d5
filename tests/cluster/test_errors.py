from __future__ import annotations

import msgpack
import pytest

from gwcluster.errors import WireError, quoted
from gwcluster.wire.codec import unpack_map


def test_a_value_is_quoted_in_at_most_80_characters() -> None:
    assert quoted("a\n") == "'a\\n'"
    assert len(quoted("x" * 1000)) == 80
    assert quoted("x" * 1000).endswith("x…")


def test_a_value_too_deep_to_be_printed_is_named() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert quoted(deep) == "a list that is nested too deeply"


def test_a_frame_too_deep_for_python_is_a_wire_error() -> None:
    with pytest.raises(WireError):
        unpack_map(b"\x91" * 2000 + b"\x90", max_bytes=4096)
    with pytest.raises(WireError):
        unpack_map(msgpack.packb({1: 2}), max_bytes=4096)
