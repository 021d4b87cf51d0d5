from __future__ import annotations

import tracemalloc

import msgpack
import pytest

from gwcluster.errors import WireError, quoted
from gwcluster.wire.codec import unpack_map


def test_a_value_is_quoted_in_at_most_80_characters() -> None:
    assert quoted("a\n") == "'a\\n'"
    assert len(quoted("x" * 1000)) == 80
    assert quoted("x" * 1000).endswith("x…")


@pytest.mark.parametrize(
    "value",
    [None, True, -3, 1.5, "it's", b"\xff", [], {}, (), (1,), (1, 2), [1, [2]], {"a": {"b": (3,)}, 4: [b"x"]}],
)
def test_a_short_value_is_quoted_as_python_writes_it(value: object) -> None:
    assert quoted(value) == repr(value)


@pytest.mark.parametrize("size", [77, 78, 79, 80, 81])
@pytest.mark.parametrize("unit", ["x", b"x"])
def test_a_quotation_is_cut_where_80_characters_end(unit: str | bytes, size: int) -> None:
    whole = repr(unit * size)
    assert quoted(unit * size) == (whole if len(whole) <= 80 else whole[:79] + "…")


def test_no_more_of_a_value_is_looked_at_than_is_shown() -> None:
    deep: object = 1
    for _ in range(100_000):
        deep = [deep, deep]  # printed, it would have 2**100_000 numbers
    assert quoted(deep) == "[" * 79 + "…"
    tracemalloc.start()
    huge = quoted([b"x" * 10_000_000])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert huge == "[b'" + "x" * 76 + "…"
    assert peak < 11_000_000, "the repr of it would have taken as much again"


def test_a_number_too_long_for_python_to_print_is_described() -> None:
    assert quoted(10**5000) == "a whole number of 16610 bits"


def test_a_frame_too_deep_for_python_is_a_wire_error() -> None:
    with pytest.raises(WireError):
        unpack_map(b"\x91" * 2000 + b"\x90", max_bytes=4096)
    with pytest.raises(WireError):
        unpack_map(msgpack.packb({1: 2}), max_bytes=4096)
