"""Decides (pure): what a value of a scenario file may be, and what would be right instead.

A kind takes a value as YAML has it and returns it as controls want it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from typing import Any, Final

Kind = Callable[[Any], Any]

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)")
_HOST: Final = re.compile(r"gateway|resume(-[1-9]\d{0,3})?")
_RANGE: Final = re.compile(r"(\d+)-(\d+)")
_LONGEST_S: Final = 7 * 24 * 3600.0
_MOST_SHARDS: Final = 100_000


class Unfit(ValueError):  # noqa: N818 - it names the value, as in "is no duration"
    """A value can't be taken; the message is a predicate: "has no unit; write 10s"."""


def shown(value: object) -> str:
    """Return words for a value of the file, cut to 40 characters."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case str():
            return f"{value!r:.40}"
        case _:
            return f"{value!s:.40}"


def seconds(value: object) -> float:
    """Take `200ms`, `10s`, `1.5m` or `1h`."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise Unfit(f"has no unit; write {value!s:.20}s")
    if not isinstance(value, str) or not (match := _DURATION.fullmatch(value.strip())):
        raise Unfit("is no duration; write 200ms, 10s, 1.5m or 1h")
    found = float(match[1]) * _UNITS[match[2]]
    if found > _LONGEST_S:
        raise Unfit("is longer than 168h")
    return found


def flag(value: object) -> bool:
    """Take yes or no."""
    if not isinstance(value, bool):
        raise Unfit("is neither true nor false")
    return value


def text(value: object) -> str:
    """Take any text."""
    if not isinstance(value, str):
        raise Unfit("is no text; put it in quotes")
    return value


def host(value: object) -> str:
    """Take `gateway`, `resume`, or a resume host after a swap: `resume-2`, ..."""
    if not isinstance(value, str) or not _HOST.fullmatch(value):
        raise Unfit("is no host; write gateway, resume, or after a swap resume-2")
    return value


def whole(least: int, most: int) -> Kind:
    """Take a whole number in a range."""

    def take(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise Unfit(f"is no whole number from {least} to {most}")
        return value

    return take


def number(least: float, most: float) -> Kind:
    """Take a number in a range."""

    def take(value: object) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
            raise Unfit(f"is no number from {least:g} to {most:g}")
        return float(value)

    return take


def how_often(value: object) -> int | None:
    """Take a number of occasions, or `forever`, which lasts until another step ends it."""
    if value == "forever":
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 1_000_000:
        raise Unfit("is neither a whole number from 1 on nor forever")
    return value


def one_of(*choices: object) -> Kind:
    """Take one of these words, or a list of them; returns a list."""

    def take(value: object) -> list[object]:
        found = value if isinstance(value, list) else [value]
        wrong = [one for one in found if one not in choices or isinstance(one, bool)]
        if wrong or not found:
            said = ", ".join(map(str, choices))
            raise Unfit(
                f"is none of {said}" if not isinstance(value, list) else f"has what is none of {said}"
            )
        return found

    return take


def choice(*words: str) -> Kind:
    """Take one of these words."""

    def take(value: object) -> object:
        if value not in words or isinstance(value, bool):
            near = difflib.get_close_matches(value, words, 1) if isinstance(value, str) else []
            raise Unfit(f"is unknown; did you mean {near[0]}?" if near else f"is none of {', '.join(words)}")
        return value

    return take


def _code_or(*choices: str) -> Kind:
    def take(value: object) -> int | str:
        if isinstance(value, int) and not isinstance(value, bool) and 1000 <= value <= 4999:
            return value
        if isinstance(value, str) and value in choices:
            return value
        raise Unfit(f"is neither a close code from 1000 to 4999 nor {' nor '.join(choices)}")

    return take


ending: Final = _code_or("abort", "eof")
interruption: Final = _code_or("op7", "op9", "abort", "eof")
_refusal: Final = _code_or("op9", "silent", "abort")


def refusals(value: object) -> list[object]:
    """Take a close code, `op9`, `silent` or `abort`, or a list of them."""
    return [_refusal(one) for one in (value if isinstance(value, list) else [value])]


def headers(value: object) -> dict[str, str]:
    """Take HTTP headers: names and values."""
    if not isinstance(value, dict) or not all(isinstance(one, str | int) for one in value.values()):
        raise Unfit("is no mapping of header names to values")
    return {str(name): str(one) for name, one in value.items()}


def shards(value: object) -> tuple[int, ...] | None:
    """Take `all` (None), a shard, a range as 0-3, or a list of shards and ranges."""
    if value == "all":
        return None
    found: list[int] = []
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, int) and not isinstance(one, bool) and 0 <= one < _MOST_SHARDS:
            found.append(one)
        elif (
            isinstance(one, str)
            and (match := _RANGE.fullmatch(one))
            and int(match[1]) <= int(match[2]) < _MOST_SHARDS
        ):
            found += range(int(match[1]), int(match[2]) + 1)
        else:
            raise Unfit("are no shards; write all, 0, 0-3 or [0, 2, 4-7]")
    if not found:
        raise Unfit("are no shards; write all, 0, 0-3 or [0, 2, 4-7]")
    return tuple(dict.fromkeys(found))
