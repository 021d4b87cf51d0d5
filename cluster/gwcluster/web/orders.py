"""What the body of a POST asks for (pure)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from gwcluster.web.access import Refusal

MAX_BODY_BYTES: Final = 4096

_RIGHT: Final = 'write {"shard": 3} or {"all": true, "rolling": true}'


@dataclass(frozen=True, slots=True)
class Restart:
    """Restart one shard's worker, or with None all; `rolling`: one after the other."""

    shard: int | None
    rolling: bool


def restart(body: bytes) -> Restart | Refusal:
    """Read the body of `/api/restart`."""
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        return _bad("the body is no JSON")
    if not isinstance(asked, dict):
        return _bad("the body is no JSON object")
    if unknown := asked.keys() - {"shard", "all", "rolling"}:
        return _bad(f"there is no key {min(unknown)[:80]!r}")
    shard, everyone, rolling = asked.get("shard"), asked.get("all", False), asked.get("rolling", False)
    if not isinstance(everyone, bool) or not isinstance(rolling, bool):
        return _bad("all and rolling are true or false")
    if shard is not None and not _is_id(shard):
        return _bad("shard is a whole number from 0")
    if everyone == (shard is not None):
        return _bad("it names one shard or all")
    return Restart(shard, rolling)


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 31


def _bad(what: str) -> Refusal:
    return Refusal(400, "bad_request", f"{what}; {_RIGHT}")
