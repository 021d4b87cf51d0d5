"""What the YAML parser says → the line to look at, and what to do there (pure)."""

from __future__ import annotations

import re
from typing import Final

from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.reader import ReaderError

_HINTS: Final = (
    (r"character '\\t'", "a tab can't indent YAML; use spaces"),
    (r"character '(.)' that cannot start", r"a value can't start with \1; put it in quotes"),
    (
        r"escape (character|sequence)",
        "inside double quotes a backslash is written \\\\; or use single quotes",
    ),
    (
        r"mapping values are not allowed",
        "a colon is out of place; check the indentation, and put a value that contains a colon in quotes",
    ),
    (r"sequence entries are not allowed", "a list's `- ` begins a line of its own, below its key"),
    (
        r"could not find expected ':'",
        "this line has no `key: value`; is its colon, or the space after it, missing?",
    ),
    (r"but got '\{'", 'put ${NAME} in quotes inside [ ] or { }: "${NAME}"'),
    (
        r"but found '<block mapping start>'",
        "this line's indentation matches none above it; line it up with its neighbours",
    ),
    (r"but found '(-|\?)'", "a list and `key: value` lines can't stand side by side; check the indentation"),
    (r"but found '<scalar>'", "something follows a closing quote or bracket; quote the whole value"),
    (r"but found '[\]}]'", "a bracket is closed here that was never opened"),
)

_UNCLOSED: Final = {
    "while scanning a quoted scalar": "a quote is opened here and never closed",
    "while parsing a flow sequence": "a [ is opened here and not closed; write [a, b]",
    "while parsing a flow mapping": "a { is opened here and not closed; write {key: value}",
}


def explain(error: Exception, text: str) -> tuple[int | None, str]:
    """Return the 1-based line that a person should look at, None if unknown, and what is wrong there.

    The file's own words are never repeated beyond a single character: a token may be among them.
    """
    if isinstance(error, ReaderError):
        return text.count(
            "\n", 0, error.position
        ) + 1, f"the character U+{ord(text[error.position]):04X} may not stand in YAML; remove it"
    if not isinstance(error, MarkedYAMLError):
        return None, "this is not YAML; look for a malformed escape or directive here or just below"
    said = str(error.problem or "")
    mark = error.problem_mark or error.context_mark
    line = None if mark is None else int(mark.line) + 1
    for pattern, hint in _HINTS:
        if match := re.search(pattern, said):
            if "could not find" in pattern and error.context_mark is not None:
                line = int(error.context_mark.line) + 1
            return line, f"not YAML: {match.expand(hint)}"
    if (unclosed := _UNCLOSED.get(str(error.context))) and error.context_mark is not None:
        return error.context_mark.line + 1, f"not YAML: {unclosed}"
    return line, "not YAML: the parser can't go on here; check quotes, brackets and indentation on this line"
