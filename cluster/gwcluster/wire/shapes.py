"""Whether a decoded value is of the type that a field declares (pure)."""

from __future__ import annotations

import functools
import math
import typing
from typing import Any


def field_types(kind: type[Any]) -> dict[str, Any]:
    """Return field name to declared type of a dataclass; look once, it takes long."""
    return typing.get_type_hints(kind)


def fits(value: object, declared: Any) -> bool:
    """Say whether `value` may stand where `declared` is: a plain type, a union, a list, a dict, or Any.

    An int may stand for a float, but no bool for either, and NaN for neither: each comparison with it is
    false, so a moment that never comes would have come long ago.
    """
    if declared is Any:
        return True
    if declared is float:
        return type(value) is int or (type(value) is float and not math.isnan(value))
    if type(value) is declared:
        return True
    origin, within = _taken_apart(declared)
    if origin is list:
        return isinstance(value, list) and all(fits(each, within[0]) for each in value)
    if origin is dict:
        return isinstance(value, dict) and all(
            fits(key, within[0]) and fits(each, within[1]) for key, each in value.items()
        )
    for each in within:  # noqa: SIM110 - a generator takes longer, and figures come hundreds of times a second
        if fits(value, each):
            return True
    return False


@functools.cache
def _taken_apart(declared: Any) -> tuple[Any, tuple[Any, ...]]:
    return typing.get_origin(declared), typing.get_args(declared)
