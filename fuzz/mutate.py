"""Real bytes made wrong (pure): what disks, cut connections and mad peers do to them."""

from __future__ import annotations

import random
from typing import Final

ODD: Final = (
    b"",
    b"\x00",
    b"\xff",
    b"\x00\x00\xff\xff",
    b"{",
    b"}",
    b'}{"',
    b'"',
    b"\\",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"NaN",
    b"1e999",
    b"-0",
    b"9" * 400,
    b'"op":',
    b"null",
    b"\r\n\r\n",
    b"\x7f\xff\xff\xff",
    b"\xdd\x00\x0f\xff\xff",
)


def mutated(dice: random.Random, data: bytes, most: int = 4) -> bytes:
    """Return `data` after one to `most` changes of bits, bytes and stretches."""
    changed = bytearray(data)
    for _ in range(dice.randint(1, most)):
        _change(dice, changed)
    return bytes(changed)


def _change(dice: random.Random, data: bytearray) -> None:
    start = dice.randrange(len(data) + 1)
    end = min(len(data), start + _stretch(dice))
    match dice.randrange(9):
        case 0 if start < len(data):
            data[start] ^= 1 << dice.randrange(8)
        case 1 if start < len(data):
            data[start] = dice.randrange(256)
        case 2:
            del data[start:end]
        case 3:
            del data[start:]
        case 4:
            data[start:start] = data[start:end]
        case 5:
            data[start:start] = dice.choice(ODD)
        case 6:
            data[start:end] = dice.choice(ODD)
        case 7:
            moved = data[start:end]
            del data[start:end]
            to = dice.randrange(len(data) + 1)
            data[to:to] = moved
        case _:
            data[start:end] = dice.randbytes(end - start)


def _stretch(dice: random.Random) -> int:
    return dice.choice((1, 2, 4, 8, 40, 1000))


def chunks(dice: random.Random, data: bytes, most: int = 8) -> list[bytes]:
    """Return `data` cut at random places, empty pieces included."""
    cuts = sorted(dice.randrange(len(data) + 1) for _ in range(dice.randrange(most)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
