from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from gwcluster.wire.shapes import field_types, fits


@dataclass
class Shape:
    number: int
    perhaps: str | None
    names: list[str] | None
    moments: dict[str, float]


def test_the_types_of_fields_are_looked_up_by_name() -> None:
    assert field_types(Shape)["number"] is int
    assert fits(["a"], field_types(Shape)["names"])


@pytest.mark.parametrize(
    ("value", "declared"),
    [
        (3, int),
        (True, bool),
        ("a", str),
        (1.5, float),
        (1, float),
        (float("inf"), float),
        (None, str | None),
        ("a", str | None),
        (None, list[str] | None),
        ([], list[str] | None),
        (["a", "b"], list[str]),
        ({"a": 1.5, "b": 2}, dict[str, float]),
        ({"a": [None, {}]}, dict[str, Any]),
        (object(), Any),
    ],
)
def test_a_value_of_the_declared_type_fits(value: object, declared: Any) -> None:
    assert fits(value, declared)


@pytest.mark.parametrize(
    ("value", "declared"),
    [
        (True, int),
        (True, float),
        (1.0, int),
        (1, bool),
        (b"a", str),
        (float("nan"), float),
        (None, str),
        (1, str | None),
        ("a", list[str]),
        (["a", 1], list[str]),
        (["a", None], list[str] | None),
        ({"a": "b"}, dict[str, float]),
        ({1: 1.5}, dict[str, float]),
        ([], dict[str, Any]),
    ],
)
def test_any_other_value_does_not(value: object, declared: Any) -> None:
    assert not fits(value, declared)
