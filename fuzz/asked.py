"""Requests as clients send them, and as nobody should (pure)."""

from __future__ import annotations

import random
from typing import Any, Final

from fuzz.mutate import mutated
from fuzz.samples import a_text, value
from fuzz.wire import packable
from gwcluster.wire.codec import pack
from gwcluster.wire.requests import MAX_ID_BYTES, MAX_REQUEST_BYTES


def nested(depth: int) -> Any:
    """Return lists within lists."""
    thing: Any = []
    for _ in range(depth - 1):
        thing = [thing]
    return thing


UNKNOWN: Final = object()
"""In place of an id that nobody can tell."""

NO_ID: Final = object()
"""In place of the id of what is no request at all."""

IDS: Final[tuple[Any, ...]] = (
    0, 7, -1, 2**64 - 1, -(2**63), None, True, 0.5, float("nan"), "x", "é", b"\xff", [], [1, [None]],
    {"a": b""}, {b"a": 1}, "x" * 1021, "x" * 1022, bytes(1021), bytes(1022), [0] * 1020, [0] * 1022,
    nested(31),
)  # fmt: skip
NUMBERS: Final = (0, 1, 2, 3, 4, -1, -2, 5, 19, 20, 1000, 1001, 2**20, 2**20 + 1, 2**53, 2**53 + 1, 2**64 - 1)
NAMES: Final = ("READY", "X", "x" * 100, "x" * 101, "", "é\u0000", "X.0.")
LISTS: Final = (255, 256, 257, 1023, 1024, 1025)
OPS: Final = (3, 3, 4, 4, 8, 31, 43, 2, 0, -1, 8.0, "3", None, 2**63)
ODD_UNITS: Final = (
    b"\x90", b"\x80", b"\x91", b"\x81\xa1a", b"\x81\x01", b"\x81\xc4\x01a", b"\xdc\x04\x00", b"\xde\x04\x00",
    b"\xdd\x00\x00\x04\x00", b"\xdf\x00\x00\x04\x00", b"\xdc\x04\x01", b"\xdd\xff\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xc9\xff\xff\xff\xff\x01",
    b"\xc1", b"\xa3\xff\xfe\xfd", b"\xa3\xed\xa0\x80", b"\xd6\xff\x00\x00\x00\x00",
    b"\xc7\x0c\xff" + b"\xff" * 12, b"\xd4\x05x", b"\xc0", b"\xcf" + b"\xff" * 8, b"\xcb\x7f\xf8" + bytes(6),
    b"\x9f" + b"\xc0" * 15, b"\xdc\x04\x00" + b"\x90" * 1024,
)  # fmt: skip


def a_request(dice: random.Random, op: str | None = None) -> tuple[bytes, Any]:
    """Return a message's last frame and the id that must come back, or what stands for it."""
    if op is None and dice.random() < 0.15:
        return hostile(dice), UNKNOWN
    number = dice.choice(IDS)
    version = 1 if op or dice.random() < 0.6 else dice.choice((2, 0, True, "1", 2**63, 1.0))
    fields = {"v": version, "id": number, **_asked(dice, op)}
    if dice.random() < 0.05:
        return pack(fields | {"id": nested(dice.choice((32, 33, 400)))}), NO_ID
    if op is None and dice.random() < 0.2:
        fields[dice.choice([*fields, "more"])] = packable(value(dice))
        number = fields["id"]
    if dice.random() < 0.05:
        return pack(fields | {dice.choice((1, None, b"id", 0.5)): 1}), NO_ID
    body = pack(fields)
    if dice.random() < 0.25:
        return mutated(dice, body), UNKNOWN
    if len(body) > MAX_REQUEST_BYTES or len(pack(number)) > MAX_ID_BYTES:
        return body, NO_ID
    longest = max((len(each) for each in fields.values() if isinstance(each, list)), default=0)
    return body, number if longest <= 1024 else NO_ID


def _asked(dice: random.Random, op: str | None) -> dict[str, Any]:
    match op or dice.choice(("replay", "replay", "send", "send", "status", "restart", "none")):
        case "replay":
            return _replay(dice)
        case "send":
            return _send(dice)
        case "status":
            return {"op": "status"}
        case "restart":
            keys = {
                "shard": (0, 1, 9, -1, "0", None),
                "all": (True, False, 1),
                "rolling": (True, False, None),
            }
            return {"op": "restart"} | {
                key: dice.choice(values) for key, values in keys.items() if dice.random() < 0.5
            }
        case _:
            return {
                "op": dice.choice(("restart", "", "REPLAY", None, 1, ["replay"], b"status", "x" * 70_000))
            }


def _replay(dice: random.Random) -> dict[str, Any]:
    fields: dict[str, Any] = {"op": "replay", "shard": dice.choice((0, 0, 0, 0, *NUMBERS))}
    if dice.random() < 0.4:
        fields["epoch"] = dice.choice(
            ("9f86d081884c7d65", "9f86d081884c7d66", "9F86D081884C7D65", "x", 5, None)
        )
    for key in ("after", "limit", "max_bytes"):
        if dice.random() < 0.4:
            fields[key] = dice.choice((None, 0.5, False, *NUMBERS))
    if dice.random() < 0.4:
        names = [dice.choice(NAMES[:3])] * dice.choice(LISTS)
        fields["names"] = dice.choice((None, [], [dice.choice(NAMES)], names, "X", [1], [[]], {"X": 1}))
    return fields


def _send(dice: random.Random) -> dict[str, Any]:
    d: Any = dice.choice(
        (
            {"guild_id": "1", "channel_id": None, "self_mute": False, "self_deaf": False},
            {"status": "idle", "since": None, "activities": [], "afk": False},
            packable(value(dice)),
            {"x": "x" * dice.choice((4096, 17_000, 60_000))},
        )
    )
    payload = dice.choice(({"op": dice.choice(OPS), "d": d},) * 4 + ({"op": 3}, d, None, [3, {}]))
    fields: dict[str, Any] = {"op": "send", "payload": payload}
    if dice.random() < 0.7:
        fields["shard"] = dice.choice((0, 1, 2, 3, 4, -1, "0", 0.0, True, None, 2**64 - 1))
    if dice.random() < 0.4:
        fields["guild_id"] = dice.choice(("4194304", 2**22, "0", "-1", "x", "1" * 500, "١", 0.5, None, [1]))
    if dice.random() < 0.3:
        fields["ttl"] = dice.choice((1, 0.5, 300, 300.5, 0, -1, float("nan"), float("inf"), True, "1"))
    return fields


def hostile(dice: random.Random) -> bytes:
    """Return bytes that announce much, or are deep, of strange types, or nothing at all."""
    begun = dice.choice(
        (b"", b"\x81\xa2id", b"\x84\xa1v\x01\xa2id", b"\x84\xa1v\x01\xa2op\xa4send\xa2id\x07\xa7payload")
    )
    unit = b"".join(dice.choice(ODD_UNITS) for _ in range(dice.choice((1, 1, 2, 3))))
    times = dice.choice((1, 30, 31, 32, 33, 500, 1024, 5_000, 70_000))
    whole = begun + unit * min(times, (256 << 10) // len(unit)) + dice.choice((b"", b"\xc0", b"\xc0" * 2000))
    if dice.random() < 0.2:
        return a_text(dice).encode(errors="replace")
    return mutated(dice, whole) if dice.random() < 0.3 else whole[: dice.choice((65_536, 65_537, 262_144))]
