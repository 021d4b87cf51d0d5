"""An event as a line (pure)."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime

from gwcluster.wire.events import Header


def text_line(name: str, header: Header, payload: bytes) -> str:
    """Return an event for people, with the size of its payload."""
    try:
        at = datetime.fromtimestamp(header.at).astimezone().strftime("%H:%M:%S.%f")[:-3]
    except (ValueError, OverflowError, OSError):  # no year of ours; the header's rules allow it
        at = f"{header.at:g}"
    seq = "-" if header.seq is None else header.seq
    return (
        f"{at}  shard {header.shard:<4} {name:<28} offset {header.offset:<8} "
        f"session {header.session:<3} seq {seq:<8} {len(payload)} bytes"
    )


def json_line(name: str, header: Header, payload: bytes) -> str:
    """Return an event as one JSON object, with the whole dispatch; what isn't JSON is a text in it."""
    try:
        dispatch = json.loads(payload)
    except (ValueError, RecursionError):
        dispatch = payload.decode(errors="replace")
    return json.dumps({"name": name, **dataclasses.asdict(header), "dispatch": dispatch})
