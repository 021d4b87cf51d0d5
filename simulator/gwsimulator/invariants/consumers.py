"""Decides (pure): whether what the gateway dispatched is what consumers got, and nothing secret with it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from gwsimulator.ledger import Ledger
from gwsimulator.records import Dispatch


class Received(NamedTuple):
    """One dispatch as a consumer got it."""

    shard: int
    session: int
    """Counts the sessions of the shard, in their order."""
    seq: int | None
    name: str
    body: bytes | str
    """The whole message, or its SHA-256 in hex."""


def missing_or_doubled(
    ledger: Ledger,
    received: Iterable[Received],
    *,
    names: Collection[str] | None = None,
    stopped: bool = False,
) -> list[str]:
    """I8: each session's dispatches came once, in order and unchanged, and none is missing.

    Of a session that was succeeded by another the last ones may be missing, none before. Sessions of which
    nothing arrived are left out, unless they are a shard's only one. What has no number (`s` null) is too.

    Args:
        ledger: of a simulator that kept its dispatches.
        received: in the order in which they arrived.
        names: what was subscribed to; None: everything.
        stopped: whether the consumer ended before the gateway did, so that the last ones may be missing.
    """
    got: dict[int, dict[int, list[tuple[int, str, str]]]] = {}
    for one in received:
        if one.seq is not None:
            sessions = got.setdefault(one.shard, {})
            sessions.setdefault(one.session, []).append((one.seq, one.name, _sha256(one.body)))
    sent: dict[int, dict[str, list[Dispatch]]] = {}
    for dispatch in ledger.dispatches():
        sent.setdefault(dispatch.shard, {}).setdefault(dispatch.session, []).append(dispatch)
    found: list[str] = []
    for shard in sorted(sent.keys() | got.keys()):
        found += _of_shard(shard, sent.get(shard, {}), got.get(shard, {}), names, stopped=stopped)
    return found


def _of_shard(
    shard: int,
    sent: dict[str, list[Dispatch]],
    got: dict[int, list[tuple[int, str, str]]],
    names: Collection[str] | None,
    *,
    stopped: bool,
) -> Iterator[str]:
    if not got:
        if any(names is None or one.name in names for there in sent.values() for one in there):
            yield f"nothing of shard {shard} was received"
        return
    pairs = _matched(sent, got)
    for number, events in got.items():
        session = pairs.get(number)
        where = f"session {number} of shard {shard}"
        if session is None:
            yield f"{where} is none that there was"
            continue
        expected = [
            (one.seq, one.name, one.sha256) for one in sent[session] if names is None or one.name in names
        ]
        yield from _compare(where, expected, events, cut_off=stopped or number != max(got))


def _compare(
    where: str, expected: list[tuple[int, str, str]], got: list[tuple[int, str, str]], *, cut_off: bool
) -> Iterator[str]:
    seen: dict[int, tuple[str, str]] = {}
    last = 0
    wanted = {seq: (name, sha256) for seq, name, sha256 in expected}
    for seq, name, sha256 in got:
        if seq in seen:
            yield f"{where}: {name} {seq} came twice"
        elif seq < last:
            yield f"{where}: {name} {seq} came after {last}"
        if seq not in wanted:
            yield f"{where}: {name} {seq} was never sent"
        elif wanted[seq] != (name, sha256):
            yield f"{where}: {name} {seq} is not the {wanted[seq][0]} that was sent"
        seen[seq] = name, sha256
        last = max(last, seq)
    for seq, name, _ in expected:
        if seq not in seen and not (cut_off and seq > last):
            yield f"{where}: {name} {seq} is missing"


def _matched(sent: dict[str, list[Dispatch]], got: dict[int, list[tuple[int, str, str]]]) -> dict[int, str]:
    """Find for each session number the session that shares most with it: READY is in one session only."""
    bodies = {session: {one.sha256 for one in there} for session, there in sent.items()}
    found: dict[int, str] = {}
    for number in sorted(got):
        own = {sha256 for _, _, sha256 in got[number]}
        left = [session for session in bodies if session not in found.values()]
        best = max(left, key=lambda session: len(bodies[session] & own), default=None)
        if best is not None and bodies[best] & own:
            found[number] = best
    return found


def losses_told_once(received: Iterable[Received], lost: Iterable[tuple[int, int]]) -> list[str]:
    """I9: every session that was succeeded by another was said to be lost, once, and no other.

    Args:
        received: as for `missing_or_doubled`.
        lost: shard and session number of each GWCLUSTER_SESSION_LOST.
    """
    seen: dict[int, set[int]] = {}
    for one in received:
        seen.setdefault(one.shard, set()).add(one.session)
    told: dict[tuple[int, int], int] = {}
    for shard, session in lost:
        told[shard, session] = told.get((shard, session), 0) + 1
    found = [
        f"session {session} of shard {shard} was said to be lost {count} times"
        for (shard, session), count in told.items()
        if count > 1
    ]
    found += [
        f"session {session} of shard {shard} was said to be lost and never seen"
        for shard, session in told
        if session not in seen.get(shard, set())
    ]
    found += [
        f"session {session} of shard {shard} was succeeded and nobody was told"
        for shard, sessions in seen.items()
        for session in sorted(sessions)[:-1]
        if (shard, session) not in told
    ]
    return found


def leaks(token: str, texts: Iterable[bytes | str]) -> list[str]:
    """I11: the token is in none of these, neither as it is nor in base64 or hex.

    Args:
        token: at least 8 characters, or it might be found by chance.
        texts: logs, command lines, frames, dumps.

    Raises:
        ValueError: the token is shorter.
    """
    if len(token) < 8:
        raise ValueError("a token of less than 8 characters may be found by chance")
    raw = token.encode()
    forms = {"as it is": raw, "in hex": raw.hex().encode()}
    for skip in range(3):  # base64 of a text that holds it depends on where it begins
        coded = base64.b64encode(b"\0" * skip + raw)
        forms[f"in base64, {skip} bytes on"] = coded[4 if skip else 0 : len(coded) // 4 * 4 - 4]
    found: list[str] = []
    for index, text in enumerate(texts):
        data = text.encode() if isinstance(text, str) else text
        found += [
            f"the token is in text {index} at byte {data.index(form)}, {how}"
            for how, form in forms.items()
            if len(form) >= 8 and form in data
        ]
    return found


def _sha256(body: bytes | str) -> str:
    return hashlib.sha256(body).hexdigest() if isinstance(body, bytes) else body
