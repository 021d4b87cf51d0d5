"""What is wrong with a configuration file, and how it is said (pure)."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from gwcluster.errors import GwclusterError, quoted

Path = tuple[str | int, ...]
"""Where a value stands in the file: mapping keys and list indices, from the top."""

_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_.$<-]{1,80}")
_TOKEN_SHAPED: Final = re.compile(r"[A-Za-z0-9_-]{18,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]{20,}")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and what would be right.

    Attributes:
        file: The file as the caller named it.
        line: 1-based; None where the file as a whole is meant.
        key: Dotted path of the key, such as `shards.ids`; empty where no key is meant.
        message: Says what would be right. Never contains a token.
    """

    file: str
    line: int | None
    key: str
    message: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return ": ".join(part for part in (place, self.key, self.message) if part)


class ConfigError(GwclusterError):
    """A configuration file can't be used; print it and end with `Exit.BAD_CONFIG`.

    Attributes:
        problems: Everything that is wrong with the file, in line order; never empty.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        unique = dict.fromkeys(problems)
        self.problems: tuple[Problem, ...] = tuple(sorted(unique, key=lambda problem: problem.line or 0))
        super().__init__("\n".join(map(str, self.problems)))

    @classmethod
    def at(cls, file: str, message: str, *, line: int | None = None, key: str = "") -> Self:
        """Return the error that has one problem."""
        return cls([Problem(file, line, key, message)])


class UnfitError(ValueError):
    """A value can't be taken.

    Its message, if it has one, is a predicate whose subject is the value ("has no unit; write 60s"), so that
    whoever reports it decides whether the value may be repeated.
    """


def dotted(path: Path) -> str:
    """Return a path as people write it: `events.bind[1]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            shown = part if _PLAIN_KEY.fullmatch(part) else quoted(part)
            text += f".{shown}" if text else shown
    return redacted(text)


def shown(value: object) -> str:
    """Return words for a value of the file: scalars as they are, cut; of the rest only the kind."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case dict():
            return "a mapping"
        case list() | tuple() | set() | frozenset():
            return "a list"
        case int() if abs(value) >= 10**40:
            return "a number this large"
        case _:
            return redacted(quoted(value))


def redacted(text: str) -> str:
    """Return `text` without what looks like a bot's token, wherever a slip of the hand has put it."""
    return _TOKEN_SHAPED.sub("[redacted]", text)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that was probably meant, or None."""
    by_folded = {candidate.casefold().replace("-", "_"): candidate for candidate in known}
    matches = difflib.get_close_matches(word[:80].casefold().replace("-", "_"), by_folded, n=1, cutoff=0.6)
    return by_folded[matches[0]] if matches else None


def alternatives(words: Iterable[str]) -> str:
    """Return `a, b or c`."""
    *rest, last = words
    return f"{', '.join(rest)} or {last}" if rest else last
