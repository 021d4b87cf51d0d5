"""JSON that nobody would send (pure)."""

from __future__ import annotations

import json
import random
from typing import Any, Final

NAMES: Final = ("MESSAGE_CREATE", "PRESENCE_UPDATE", "TYPING_START", "READY", "RESUMED", "X", "A_1", "a", "")
_TEXTS: Final = (
    "",
    "snacks",
    'a "quoted" \\ thing',
    '{"t":"READY","s":999,"op":0,"d":',
    '}{"t":"X","s":1,"op":0,"d":{}}',
    "}}}}",
    "{{{",
    "日本 🎮 ü",
    "\ud800",
    "\u0000\u2028\n\t",
    "wss://gateway.discord.gg",
)
_NUMBERS: Final = (0, 1, -1, 0.5, -0.0, 41250, 2**31, 2**53, 2**63, 10**17, 10**18, 10**30, 1e300, 0.1)
_SPACES: Final = ("", "", "", " ", "\n", "\t\r\n ")


def value(dice: random.Random, depth: int = 0) -> Any:
    """Return something that JSON can hold."""
    kind = dice.randrange(8 if depth < 3 else 5)
    match kind:
        case 0:
            return dice.choice((None, True, False))
        case 1 | 2:
            return dice.choice(_NUMBERS)
        case 3 | 4:
            return a_text(dice)
        case 5:
            return [value(dice, depth + 1) for _ in range(dice.randrange(4))]
        case _:
            return {a_text(dice): value(dice, depth + 1) for _ in range(dice.randrange(4))}


def a_text(dice: random.Random) -> str:
    """Return a string, perhaps a nasty one."""
    if dice.random() < 0.1:
        return dice.choice("xé\\\"{}'") * dice.choice((1, 80, 256, 257, 5000))
    return "".join(dice.choice(_TEXTS) for _ in range(dice.randint(1, 2)))


def spelled(dice: random.Random, fields: Any) -> bytes:
    """Return `fields` as JSON with white space and escapes of any kind."""
    comma, colon = dice.choice(_SPACES), dice.choice(_SPACES)
    text = json.dumps(
        fields,
        separators=(f"{comma},{dice.choice(_SPACES)}", f"{colon}:{dice.choice(_SPACES)}"),
        ensure_ascii=dice.random() < 0.5,
    )
    return (dice.choice(_SPACES) + text + dice.choice(_SPACES)).encode(errors="replace")


def deep(dice: random.Random) -> bytes:
    """Return many small things, one within or after the other."""
    unit = dice.choice(
        (b"[", b'{"a":', b"{}", b"[]", b"1 ", b'"', b"9", b" ", b'{"op":11}', b"-", b"\\u", b"{")
    )
    begun = dice.choice((b"", b'{"op":0,"d":', b'{"t":"X","s":1,"op":0,"d":'))
    return begun + unit * dice.choice((10, 100, 1_000, 10_000, 100_000))
