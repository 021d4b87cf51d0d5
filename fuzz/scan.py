"""Payloads against a slow reading of their own (does): the quick path may never see another dispatch."""

from __future__ import annotations

import json
import random
import re
from typing import Any, Final

from fuzz.cases import Target
from fuzz.dispatches import dispatch, payload
from fuzz.mutate import mutated
from fuzz.samples import deep
from gwworker.scan import (
    Ack,
    BadPayloadError,
    BareResumed,
    BeatRequest,
    Dispatch,
    Hello,
    InvalidSession,
    Payload,
    Reconnect,
    UnknownOp,
    parse,
    parse_ready,
    read,
    scan,
)

_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\\?\Z)', re.DOTALL)
SPACES: Final = (b"", b"", b" ", b"\n", b"\r\n\t ")


def case(dice: random.Random) -> None:
    """Play one of the games below."""
    dice.choice((valid, damaged, cut, glued, ready, many))(dice)


def valid(dice: random.Random) -> None:
    """Valid JSON is read as a slow reader reads it, by either way."""
    _agrees(payload(dice))


def damaged(dice: random.Random) -> None:
    """So is what is left of it after some damage."""
    _agrees(mutated(dice, payload(dice)))


def cut(dice: random.Random) -> None:
    """The quick path takes no dispatch without its end, unless braces in someone's text make up for it."""
    data = dispatch(dice)
    behind_braces = [at for at in range(1, len(data)) if data[at - 1] == 0x7D]
    for end in {dice.randrange(len(data)) for _ in range(10)} | {*behind_braces[-30:]}:
        if scan(data[:end]) is not None:
            assert _made_up_for(data[:end]), f"cut after {end} bytes, and taken for whole"


def glued(dice: random.Random) -> None:
    """The quick path takes no two dispatches for one, and the slow one takes them apart."""
    parts = [dispatch(dice) for _ in range(dice.randint(2, 4))]
    together = b"".join(parts)
    assert scan(together) is None
    assert scan(together, whole=True) is None
    spaced = b"".join(part + dice.choice(SPACES) for part in parts)
    assert read(spaced) == [(_slowly(part), part) for part in parts]


def ready(dice: random.Random) -> None:
    """READY gives a session or is refused."""
    data = dispatch(dice)
    if dice.random() < 0.5:
        data = mutated(dice, data)
    try:
        opened = parse_ready(data, 7)
    except BadPayloadError:
        return
    told = json.loads(data)["d"]
    assert (opened.seq, opened.session_id) == (7, told["session_id"])
    assert 0 < len(opened.session_id) <= 256
    assert opened.resume_url == told.get("resume_gateway_url") or opened.resume_url is None


def many(dice: random.Random) -> None:
    """Depth, length and number of pieces cost no more than time in proportion."""
    data = deep(dice)
    scan(data)
    try:
        read(data)
    except BadPayloadError as error:
        assert len(str(error)) < 500


def _agrees(data: bytes) -> None:
    expected = _slowly(data)
    quick = scan(data)
    try:
        told: Payload | None = parse(data)
    except BadPayloadError as error:
        assert len(str(error)) < 500
        told = None
    assert told == expected, "the full parse differs"
    if expected is not None:
        assert read(data) == [(expected, data)]
    if quick is not None and _is_unambiguous(data):
        assert quick == expected, "the quick path differs from the full parse"


def _slowly(data: bytes) -> Payload | None:
    """Return what a payload says, None if it is none; written without a look at the module under test."""
    try:
        fields: Any = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict) or type(fields.get("op")) is not int:
        return None
    name, seq, said = fields.get("t"), fields.get("s"), fields.get("d")
    match fields["op"]:
        case 0 if name == "RESUMED" and seq is None:
            return BareResumed()
        case 0:
            named = isinstance(name, str) and re.fullmatch("[a-zA-Z0-9_]+", name) and len(name) <= 100
            return Dispatch(str(name), seq) if named and type(seq) is int and 0 <= seq < 10**18 else None
        case 1:
            return BeatRequest()
        case 7:
            return Reconnect()
        case 9:
            return InvalidSession(said is True)
        case 10:
            interval = said.get("heartbeat_interval") if isinstance(said, dict) else None
            if not isinstance(interval, int | float) or isinstance(interval, bool):
                return None
            return Hello(interval / 1000) if 1 <= interval <= 3_600_000 else None
        case 11:
            return Ack()
        case op:
            return UnknownOp(op)


def _is_unambiguous(data: bytes) -> bool:
    """Whether it is JSON, and no key of the outermost object comes twice."""
    outermost: list[list[tuple[str, Any]]] = []

    def keep(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        outermost[:] = [pairs]
        return dict(pairs)

    try:
        json.loads(data, object_pairs_hook=keep)
    except (ValueError, RecursionError):
        return False
    keys = [key for pairs in outermost for key, _ in pairs]
    return len(keys) == len(set(keys))


def _made_up_for(cut_off: bytes) -> bool:
    """Whether braces are missing outside of strings, and those within make up for them."""
    structure = _STRING.sub(b"", cut_off)
    missing = structure.count(b"{") > structure.count(b"}")
    return missing and cut_off.count(b"{") == cut_off.count(b"}")


TARGET: Final = Target("scan", case)
