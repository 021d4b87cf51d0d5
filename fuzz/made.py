"""Instances of dataclasses and named tuples, by their annotations (pure): later ones are made, too."""

from __future__ import annotations

import dataclasses
import enum
import random
import types
import typing
from typing import Any, Final

from fuzz.samples import a_text, value

_INTS: Final = (0, 1, 2, 5, 12, 100, 4000, 4004, 4007, 4009, 1000, 1001, 10**17)
_FLOATS: Final = (0.0, 0.1, 0.5, 1.0, 5.0, 41.25, 60.0, 3600.0, 86_400.0)


def made(dice: random.Random, kind: type[Any]) -> Any:
    """Return an instance of `kind` with any values that its annotations allow."""
    hints = typing.get_type_hints(kind)
    return kind(**{name: of_type(dice, hints[name]) for name in field_names(kind)})


def field_names(kind: type[Any]) -> list[str]:
    """Return the names of what `kind` is built of."""
    if dataclasses.is_dataclass(kind):
        return [entry.name for entry in dataclasses.fields(kind) if entry.init]
    return list(getattr(kind, "_fields", ()))


def of_type(dice: random.Random, hint: Any) -> Any:
    """Return a value of an annotation."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in {typing.Union, types.UnionType}:
        return of_type(dice, dice.choice(arguments))
    if origin in {list, tuple, frozenset, set}:
        return origin(of_type(dice, arguments[0]) for _ in range(dice.randrange(4)))
    if origin is dict:
        return {of_type(dice, arguments[0]): of_type(dice, arguments[1]) for _ in range(dice.randrange(4))}
    if hint is Any:
        return value(dice, 2)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return dice.choice(list(hint))
    return _plain(dice, hint)


def _plain(dice: random.Random, hint: Any) -> Any:
    if hint is bool:
        return dice.random() < 0.5
    if hint is int:
        return dice.choice(_INTS)
    if hint is float:
        return dice.choice(_FLOATS)
    if hint is str:
        return a_text(dice).encode(errors="replace").decode()
    if hint is bytes:
        return dice.randbytes(dice.randrange(20))
    if hint is type(None):
        return None
    return made(dice, hint)
