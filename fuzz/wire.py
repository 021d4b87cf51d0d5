"""Frames between processes, as sent and as damaged (does): read as sent, or refused as a `WireError`."""

from __future__ import annotations

import json
import random
import struct
import typing
from typing import Any, Final

from fuzz.cases import Target
from fuzz.made import field_names, made
from fuzz.mutate import chunks, mutated
from fuzz.samples import a_text, spelled, value
from gwcluster.errors import WireError, quoted
from gwcluster.wire import control, events, logline, notices
from gwcluster.wire.codec import pack, unpack_map

KINDS: Final[tuple[type[Any], ...]] = control.Message.__args__
LENGTH: Final = struct.Struct(">I")


def case(dice: random.Random) -> None:
    """Play one of the games below."""
    games = (maps, broken_maps, headers, broken_headers, topics, streams, broken_streams, lines, said, quotes)
    dice.choice(games)(dice)


def maps(dice: random.Random) -> None:
    """A map is read as it was packed."""
    sent = {_text(dice): packable(value(dice)) for _ in range(dice.randrange(6))}
    assert unpack_map(pack(sent), max_bytes=1 << 20) == sent


def broken_maps(dice: random.Random) -> None:
    """Other bytes are a map or refused."""
    sent = pack({_text(dice): packable(value(dice)) for _ in range(dice.randrange(6))})
    data = mutated(dice, sent) if dice.random() < 0.7 else _hostile(dice)
    try:
        found = unpack_map(data, max_bytes=4096)
    except WireError as error:
        assert len(str(error)) < 400
        return
    assert all(isinstance(key, str) for key in found)
    assert len(data) <= 4096


def headers(dice: random.Random) -> None:
    """A header is read as it was sent, whatever keys are added."""
    header = _header(dice)
    frame = events.encode_header(header)
    assert events.decode_header(frame) == header
    more = unpack_map(frame, max_bytes=4096) | {f"x{_text(dice)}": dice.randrange(9)}
    assert events.decode_header(pack(more)[:4096]) == header


def broken_headers(dice: random.Random) -> None:
    """Other headers are headers all the same, or refused."""
    fields = unpack_map(events.encode_header(_header(dice)), max_bytes=4096)
    fields[dice.choice(list(fields))] = packable(value(dice))
    frame = pack(fields)
    if dice.random() < 0.5:
        frame = mutated(dice, frame)
    try:
        header = events.decode_header(frame)
    except WireError:
        return
    assert events.decode_header(events.encode_header(header)) == header


def topics(dice: random.Random) -> None:
    """A topic is read as it was sent; other bytes are refused unless they say the same again."""
    frame = events.topic(dice.choice(("READY", "a_1", "X" * 100)), dice.choice((0, 12, 10**9 - 1)))
    if dice.random() < 0.7:
        frame = mutated(dice, frame)
    try:
        name, shard = events.parse_topic(frame)
    except WireError:
        return
    assert frame.startswith(name.encode() + b".")
    assert events.parse_topic(events.topic(name, shard)) == (name, shard)


def streams(dice: random.Random) -> None:
    """Messages come out as they went in, wherever the stream is cut."""
    sent = [made(dice, dice.choice(KINDS)) for _ in range(dice.randrange(6))]
    unframer = control.Unframer()
    pieces = chunks(dice, b"".join(control.encode(_sendable(message)) for message in sent), 20)
    assert [message for piece in pieces for message in unframer.feed(piece)] == [*map(_sendable, sent)]


def broken_streams(dice: random.Random) -> None:
    """A damaged stream gives messages whose fields are of their types, or is refused."""
    sent = [control.encode(_sendable(made(dice, dice.choice(KINDS)))) for _ in range(dice.randint(1, 4))]
    if dice.random() < 0.5:
        data = mutated(dice, b"".join(sent))
    else:
        fields = unpack_map(sent[0][4:], max_bytes=1 << 20)
        fields[dice.choice([*fields, _text(dice)])] = packable(value(dice))
        body = pack(fields) if dice.random() < 0.9 else _hostile(dice)
        data = LENGTH.pack(len(body)) + body + b"".join(sent)
    unframer = control.Unframer()
    try:
        for piece in chunks(dice, data):
            for message in unframer.feed(piece):
                _is_as_declared(message)
    except WireError as error:
        assert len(str(error)) < 400


def lines(dice: random.Random) -> None:
    """A log line is read as it was sent, or shortened; other bytes are a line of their own."""
    text = "".join(a_text(dice) for _ in range(dice.randrange(4)))
    sent = logline.LogLine(dice.choice((0, 10, 20, 40, 10**30)), dice.choice((None, 0, 12)), text)
    line = logline.encode(sent)
    assert len(line) <= 4096
    assert line.count(b"\n") == 1
    got = logline.decode(line)
    assert (got.level, got.shard) == (sent.level, sent.shard)
    assert got == sent or (got.text.endswith(" …") and text.startswith(got.text[:10]))
    for other in (
        mutated(dice, line),
        dice.randbytes(30),
        b"[" * dice.choice((1, 100_000)),
        spelled(dice, value(dice)),
    ):
        found = logline.decode(other)
        assert found.level >= 0
        assert isinstance(found.text, str)


def said(dice: random.Random) -> None:
    """A notice is JSON of a dispatch's shape, whatever it says."""
    reason = a_text(dice)
    for name, payload in (
        ("GWCLUSTER_SHARD_STATE", notices.shard_state(3, dice.choice(list(notices.ShardState)), reason)),
        ("GWCLUSTER_SESSION_LOST", notices.session_lost(3, 7, dice.choice((None, 5)), reason)),
        ("GWCLUSTER_BEACON", notices.beacon({reason: 5}, 7)),
    ):
        fields = json.loads(payload)
        assert (fields["t"], fields["s"], fields["op"]) == (name, None, 0)
        assert isinstance(fields["d"], dict)


def quotes(dice: random.Random) -> None:
    """A quotation is short, whatever is quoted, and made without looking at all of it."""
    thing: Any = value(dice)
    for _ in range(10 ** dice.randrange(5)):
        thing = dice.choice(([thing], {"a": thing}, (thing, thing)))
    for each in (thing, 10 ** dice.choice((1, 5000)), a_text(dice) * 1000, dice.randbytes(1000), {1: b""}):
        assert len(quoted(each)) <= 80


def packable(thing: Any) -> Any:
    """Return `thing` with numbers and strings that msgpack has."""
    match thing:
        case dict():
            return {packable(str(key)): packable(each) for key, each in thing.items()}
        case list():
            return [packable(each) for each in thing]
        case str():
            return thing.encode(errors="replace").decode()
        case int():
            return max(-(2**63), min(thing, 2**64 - 1)) if not isinstance(thing, bool) else thing
        case _:
            return thing


def _is_as_declared(message: control.Message) -> None:
    """A field that is of another type than declared would fail somewhere far away from here."""
    hints = typing.get_type_hints(type(message))
    for name in field_names(type(message)):
        found = getattr(message, name)
        assert _fits(found, hints[name]), f"{type(message).__name__}.{name} is {found!r:.80}"


def _fits(found: object, hint: Any) -> bool:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is list:
        return isinstance(found, list) and all(_fits(each, arguments[0]) for each in found)
    if origin is dict:
        return isinstance(found, dict) and all(_fits(key, arguments[0]) for key in found)
    if arguments:
        return any(_fits(found, each) for each in arguments)
    if hint is float:
        return type(found) in {int, float} and found == found  # unlike NaN
    return hint is Any or type(found) is hint


def _header(dice: random.Random) -> events.Header:
    return events.Header(
        shard=dice.choice((0, 12, 10**6)),
        shards=dice.choice((1, 16, 2**40)),
        epoch=f"{dice.getrandbits(64):016x}",
        offset=dice.getrandbits(53),
        prev=dice.choice((None, 0, 2**53)),
        session=dice.choice((0, 1, 2**32)),
        seq=dice.choice((None, 0, 10**18 - 1)),
        at=dice.choice((0.0, 1.7e9, 1e300)),
    )


def _hostile(dice: random.Random) -> bytes:
    """Return msgpack that is little and claims to be much, or is deep, or of strange types."""
    unit = dice.choice(
        (b"\x91", b"\x81\xa1a", b"\xdd\x00\x0f\xff\xf0", b"\xdf\x00\x0f\xff\xf0", b"\xdc\x0f\xff", b"\xc1")
    )
    end = dice.choice(
        (b"", b"\xc0", b"\xd6\xff\x00\x00\x00\x00", b"\xc7\x0c\xff" + b"\xff" * 12, b"\xcb\x7f\xf8")
    )
    return unit * dice.choice((1, 100, 600, 1100, 1400)) + end + b"\xc0" * dice.choice((0, 2000))


def _text(dice: random.Random) -> str:
    return a_text(dice).encode(errors="replace").decode()[:40]


def _sendable(message: Any) -> Any:
    fields = {name: packable(getattr(message, name)) for name in field_names(type(message))}
    return type(message)(**fields)


TARGET: Final = Target("wire", case)
