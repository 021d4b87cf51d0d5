"""A cursor as lines of text (pure): one for each step, so that a step costs one small write."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final
from zlib import crc32

from gwcluster.client.place import Place, Step
from gwcluster.wire.events import NO_EPOCH

FIRST: Final = b"gwcluster cursor 1\n"
"""The file's first line; the number is the format's."""

_STEP: Final = re.compile(
    rb"([0-9a-f]{8}) ([0-9]{1,9}) ([0-9a-f]{16}) (-1|[0-9]{1,16}) (?:- -|([A-Za-z0-9_]{1,100}) ([0-9]{1,16}))"
)


def line_of(step: Step) -> bytes:
    """Return a step as a line."""
    said = f"{step.shard} {step.epoch} {step.upto} " + (
        "- -" if step.name is None else f"{step.name} {step.offset}"
    )
    text = said.encode("ascii")
    return b"%08x %s\n" % (crc32(text), text)


def lines_of(places: Mapping[int, Place]) -> bytes:
    """Return the shortest file that says the same."""
    steps = []
    for shard, place in sorted(places.items()):
        steps.append(Step(shard, place.epoch, place.upto))
        steps += [Step(shard, place.epoch, place.upto, *beyond) for beyond in place.beyond.items()]
    return FIRST + b"".join(map(line_of, steps))


def places_in(data: bytes) -> tuple[dict[int, Place], int]:
    """Return the places that a file tells, and how many of its bytes are good.

    The first bad line and what follows it count for nothing: a write that was cut short.

    Raises:
        ValueError: it is no cursor, or one of another format.
    """
    if not data.startswith(FIRST):
        if FIRST.startswith(data):  # empty, or cut short when it was made
            return {}, 0
        raise ValueError(f"it doesn't begin with {FIRST.decode().strip()!r}")
    places: dict[int, Place] = {}
    good = len(FIRST)
    for line in _whole_lines(data[good:]):
        match = _STEP.fullmatch(line)
        if match is None or int(match[1], 16) != crc32(line[9:]):
            break
        name = None if match[5] is None else match[5].decode("ascii")
        step = Step(
            int(match[2]),
            match[3].decode("ascii"),
            int(match[4]),
            name,
            -1 if name is None else int(match[6]),
        )
        before = places.get(step.shard, Place(step.epoch, -1))
        places[step.shard] = before.moved(step)
        good += len(line) + 1
    return {shard: place for shard, place in places.items() if place.epoch != NO_EPOCH}, good


def _whole_lines(data: bytes) -> Iterable[bytes]:
    return data.split(b"\n")[:-1]
