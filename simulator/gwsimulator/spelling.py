"""Decides (pure): other ways of writing a payload that say the same.

JSON promises no order of keys, no whitespace and no single spelling of a text, and Discord may add keys
any day. A client that relies on more works until it doesn't.

Sources:
    https://www.rfc-editor.org/rfc/rfc8259#section-4
    https://docs.discord.com/developers/reference#api-versioning
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any, Final

Spelling = Callable[[bytes], bytes]
"""Writes a payload anew, or leaves it."""

_SPACES: Final = ("", "", "", " ", "\n", "\t ")
_ADDED: Final = '{"t":"READY","s":999,"op":7,"guild_id":"1"}'


def as_it_is(payload: bytes) -> bytes:
    """Return the payload."""
    return payload


class Respelled:
    """Writes with keys in any order and some more, with whitespace, and with letters as \\u escapes."""

    def __init__(self, dice: random.Random) -> None:
        """Write as the dice say."""
        self._dice = dice

    def __call__(self, payload: bytes) -> bytes:
        """Return the payload anew; as it is if it isn't JSON, or nested too deep."""
        try:
            value = json.loads(payload, parse_int=_Number, parse_float=_Number)
            return self._write(value).encode()
        except (ValueError, RecursionError):
            return payload

    def _write(self, value: Any) -> str:
        if isinstance(value, _Number):
            return str(value)
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return f"[{','.join(self._spaced(self._write(one)) for one in value)}]"
        if isinstance(value, dict):
            pairs = [(self._text(key), self._write(one)) for key, one in value.items()]
            if self._dice.random() < 0.3:
                pairs.append(('"added_later"', _ADDED))
            self._dice.shuffle(pairs)
            return f"{{{','.join(f'{self._spaced(key)}:{self._spaced(one)}' for key, one in pairs)}}}"
        return json.dumps(value)

    def _text(self, text: str) -> str:
        letters = (
            f"\\u{ord(letter):04x}"
            if letter.isascii() and letter.isalnum() and self._dice.random() < 0.05
            else json.dumps(letter)[1:-1]
            for letter in text
        )
        return f'"{"".join(letters)}"'

    def _spaced(self, text: str) -> str:
        return self._dice.choice(_SPACES) + text + self._dice.choice(_SPACES)


class _Number(str):
    """A number in its own digits."""

    __slots__ = ()
