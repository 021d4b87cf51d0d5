"""The three frames of an event: topic, header, payload (pure). docs/wire.md describes them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from gwcluster.errors import WireError, WireVersionError, quoted
from gwcluster.wire.codec import pack, unpack_map

WIRE_VERSION: Final = 1
NO_EPOCH: Final = "0" * 16
"""Epoch of notices that belong to no shard's log."""

MAX_HEADER_BYTES: Final = 4096
_TOPIC: Final = re.compile(rb"([A-Za-z0-9_]{1,100})\.([0-9]{1,9})\.")


@dataclass(frozen=True, slots=True)
class Header:
    """Frame 1.

    Attributes:
        shard, shards: shard id, from 0, and shard count.
        epoch: 16 hex digits, the identity of the shard's log.
        offset: position in the log, from 0, contiguous.
        prev: where this shard's last event of that name is; None: there was none before.
        session: counts sessions within the epoch, from 1; 0 before the first.
        seq: Discord's `s`, comparable only within one session; None for our own notices.
        at: when the worker had all of it, in Unix seconds.
    """

    shard: int
    shards: int
    epoch: str
    offset: int
    prev: int | None
    session: int
    seq: int | None
    at: float


def topic(name: str, shard: int) -> bytes:
    """Return frame 0; the closing dot keeps shard 1 apart from shard 12."""
    return f"{name}.{shard}.".encode("ascii")


def parse_topic(frame: bytes) -> tuple[str, int]:
    """Return the name and the shard of frame 0.

    Raises:
        WireError: it has another form; drop the message.
    """
    match = _TOPIC.fullmatch(frame)
    if match is None:
        raise WireError(f"not a topic of the form NAME.SHARD.: {quoted(frame)}")
    return match[1].decode("ascii"), int(match[2])


def encode_header(header: Header) -> bytes:
    """Return frame 1."""
    return header_encoder(header.shard, header.shards, header.epoch)(
        header.offset, header.prev, header.session, header.seq, header.at
    )


def header_encoder(
    shard: int, shards: int, epoch: str
) -> Callable[[int, int | None, int, int | None, float], bytes]:
    """Return a fast encoder of (offset, prev, session, seq, at) for one shard's log."""

    def encode(offset: int, prev: int | None, session: int, seq: int | None, at: float) -> bytes:
        return pack(
            {
                "v": WIRE_VERSION,
                "shard": shard,
                "shards": shards,
                "epoch": epoch,
                "offset": offset,
                "prev": prev,
                "session": session,
                "seq": seq,
                "at": at,
            }
        )

    return encode


def decode_header(frame: bytes) -> Header:
    """Return the header in frame 1; unknown keys are ignored.

    Raises:
        WireVersionError: its version is above ours; upgrade this side.
        WireError: the frame is broken; drop the message.
    """
    fields = unpack_map(frame, max_bytes=MAX_HEADER_BYTES)
    version: Any = fields.get("v")
    if not _is_count(version):
        raise WireError(f"header without a wire version `v`: {quoted(fields)}")
    if version > WIRE_VERSION:
        raise WireVersionError(
            f"header of wire version {version}; this side reads up to {WIRE_VERSION}: upgrade it"
        )
    for key in ("shard", "shards", "offset", "session"):
        if not _is_count(fields.get(key)):
            raise WireError(f"header key {key} is {quoted(fields.get(key))}, not a whole number from 0")
    for key in ("prev", "seq"):
        if fields.get(key) is not None and not _is_count(fields[key]):
            raise WireError(
                f"header key {key} is {quoted(fields[key])}, neither a whole number from 0 nor nil"
            )
    epoch, at = fields.get("epoch"), fields.get("at")
    if not isinstance(epoch, str) or re.fullmatch("[0-9a-f]{16}", epoch) is None:
        raise WireError(f"header key epoch is {quoted(epoch)}, not 16 hex digits")
    if not isinstance(at, float | int) or isinstance(at, bool) or not math.isfinite(at):
        raise WireError(f"header key at is {quoted(at)}, not Unix seconds")
    return Header(
        shard=fields["shard"],
        shards=fields["shards"],
        epoch=epoch,
        offset=fields["offset"],
        prev=fields.get("prev"),
        session=fields["session"],
        seq=fields.get("seq"),
        at=float(at),
    )


def _is_count(value: Any) -> bool:  # JSON-like values enter here
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
