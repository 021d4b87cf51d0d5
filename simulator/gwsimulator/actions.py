"""Decides nothing: what a scenario's step may do, with which keys, and how that is said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from gwsimulator.controls import Controls
from gwsimulator.faults import Greeting, Mangle
from gwsimulator.kinds import (
    Kind,
    choice,
    ending,
    flag,
    headers,
    host,
    how_often,
    interruption,
    number,
    one_of,
    refusals,
    seconds,
    text,
    whole,
)


@dataclass(frozen=True, slots=True)
class Argument:
    """One key of a step: which parameter of the control it fills, and what it may be."""

    parameter: str
    kind: Kind
    required: bool = False


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that a step may do. `says` has `{who}` where the shards are named."""

    control: Callable[..., None]
    says: str
    arguments: Mapping[str, Argument] = field(default_factory=dict)
    shards: Literal["each", "some", "none"] = "each"
    """Wants shards; takes some, and without them means any; concerns none."""
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of the control."""
    spread: str = ""
    """The parameter that is passed as `*args`."""

    def carry_out(self, sim: Controls, shard: int | None, given: Mapping[str, Any]) -> None:
        """Do it, for one shard or for none in particular."""
        named = {**self.fixed, **given}
        several = named.pop(self.spread, ()) if self.spread else ()
        if self.shards == "each":
            self.control(sim, shard, *several, **named)
        elif self.shards == "some":
            self.control(sim, *several, shard=shard, **named)
        else:
            self.control(sim, *several, **named)


_GREETINGS: Final = [name for part in get_args(Greeting) for name in get_args(part)]
_STALL: Final = {"for": Argument("for_s", seconds)}
_COUNT: Final = {"count": Argument("times", how_often)}
_HOST: Final = {"host": Argument("host", host)}
_DIALS: Final = {**_HOST, **_COUNT}
_LATE: Final = {"late": Argument("delay_s", seconds)}
_REFUSAL: Final = {"how": Argument("how", refusals, required=True), **_COUNT, **_LATE}
_ANSWER: Final = {
    "status": Argument("status", whole(0, 599), required=True),
    "headers": Argument("headers", headers),
    "body": Argument("body", text),
    **_COUNT,
}

ACTIONS: Final[Mapping[str, Action]] = {
    # connections
    "op1": Action(
        Controls.op1, "ask {who} for a heartbeat (op 1)", {"count": Argument("times", whole(1, 1000))}
    ),
    "op7": Action(Controls.op7, "ask {who} to reconnect (op 7)"),
    "op9": Action(
        Controls.op9,
        "invalidate the session of {who} (op 9)",
        {"resumable": Argument("resumable", flag), **_LATE},
    ),
    "close": Action(
        Controls.close,
        "close the connection of {who}",
        {"code": Argument("code", whole(1000, 4999), required=True), "reason": Argument("reason", text)},
    ),
    "abort": Action(Controls.abort, "reset the connection of {who}"),
    "eof": Action(Controls.eof, "end the connection of {who} without a close frame"),
    "forget_session": Action(Controls.forget_session, "forget the session of {who}"),
    # heartbeats and answers
    "drop_acks": Action(Controls.drop_acks, "answer no heartbeat of {who}"),
    "give_acks": Action(Controls.drop_acks, "answer the heartbeats of {who} again", fixed={"dropped": False}),
    "delay_acks": Action(
        Controls.delay_acks,
        "answer the heartbeats of {who} late",
        {"late": Argument("seconds", seconds, required=True)},
    ),
    "refuse_identify": Action(
        Controls.refuse_identify, "refuse IDENTIFYs of {who}", _REFUSAL, "some", spread="how"
    ),
    "refuse_resume": Action(
        Controls.refuse_resume, "refuse RESUMEs of {who}", _REFUSAL, "some", spread="how"
    ),
    "during_replay": Action(
        Controls.during_replay,
        "break off replays of {who}",
        {
            "dispatches": Argument("after", whole(0, 100_000), required=True),
            "what": Argument("what", interruption, required=True),
            **_COUNT,
        },
    ),
    "overlap_replay": Action(
        Controls.overlap_replay,
        "begin replays of {who} too early",
        {"dispatches": Argument("dispatches", whole(1, 100_000), required=True), **_COUNT},
    ),
    "close_after": Action(
        Controls.close_after,
        "end the connections of {who} soon after READY or RESUMED",
        {
            "late": Argument("seconds", seconds, required=True),
            "how": Argument("how", ending),
            **_COUNT,
        },
        "some",
    ),
    "accept": Action(Controls.accept, "accept IDENTIFYs and RESUMEs of {who} again", shards="some"),
    # bytes and time
    "stall": Action(
        Controls.stall,
        "neither read from nor write to {who}, and leave the connection open",
        _STALL,
    ),
    "stall_reads": Action(
        Controls.stall, "stop reading from {who}, and go on writing", _STALL, fixed={"writes": False}
    ),
    "stall_writes": Action(
        Controls.stall, "stop writing to {who}, and go on reading", _STALL, fixed={"reads": False}
    ),
    "go_on": Action(Controls.stall, "read from and write to {who} again", fixed={"stalled": False}),
    "drip": Action(
        Controls.drip,
        "write slowly to {who}",
        {"bytes_per_s": Argument("bytes_per_s", number(1, 1e9), required=True)},
    ),
    "mangle": Action(
        Controls.mangle,
        "spoil dispatches to {who}",
        {"how": Argument("how", one_of(*get_args(Mangle)), required=True), **_COUNT},
        spread="how",
    ),
    "bomb": Action(
        Controls.bomb, "send {who} a message that inflates", {"size": Argument("size", whole(1, 1 << 31))}
    ),
    "emit_random": Action(
        Controls.emit_random, "let events happen on {who}", {"count": Argument("count", whole(1, 1_000_000))}
    ),
    # dials
    "host_down": Action(
        Controls.host_down,
        "refuse TCP connections on a host",
        {"host": Argument("host", choice("gateway", "resume"), required=True)},
        "none",
    ),
    "host_up": Action(
        Controls.host_down,
        "take TCP connections on a host again",
        {"host": Argument("host", choice("gateway", "resume"), required=True)},
        "none",
        {"down": False},
    ),
    "swap_resume_host": Action(
        Controls.swap_resume_host, "name another resume host in READY from now on", shards="none"
    ),
    "reset_dials": Action(Controls.reset_dials, "reset dials instead of upgrading them", _DIALS, "none"),
    "refuse_upgrades": Action(Controls.refuse_upgrades, "refuse upgrades", {**_ANSWER, **_HOST}, "none"),
    "hang_dials": Action(Controls.hang_dials, "leave dials without an answer", _DIALS, "none"),
    "garble_dials": Action(Controls.garble_dials, "answer dials with what is no HTTP", _DIALS, "none"),
    "silence_dials": Action(Controls.silence_dials, "upgrade dials and then say nothing", _DIALS, "none"),
    "greet": Action(
        Controls.greet,
        "greet dials strangely",
        {"how": Argument("how", one_of(*_GREETINGS), required=True), **_DIALS},
        "none",
        spread="how",
    ),
    "close_on_connect": Action(
        Controls.close_on_connect,
        "end connections soon after HELLO",
        {"how": Argument("how", ending, required=True), "late": Argument("after_s", seconds), **_DIALS},
        "none",
    ),
    "answer_dials": Action(Controls.answer_dials, "answer dials again", _HOST, "none"),
    # REST
    "rest_fault": Action(
        Controls.rest_fault,
        "let REST fail",
        {**_ANSWER, **_LATE, "path": Argument("path", text)},
        "none",
    ),
    "gateway_bot": Action(
        Controls.gateway_bot,
        "let /gateway/bot say something else",
        {
            "tell_shards": Argument("shards", whole(0, 100_000)),
            "tell_remaining": Argument("remaining", whole(0, 10**6)),
            "tell_reset_after_ms": Argument("reset_after", whole(0, 10**9)),
            "tell_max_concurrency": Argument("max_concurrency", whole(0, 10_000)),
        },
        "none",
    ),
    "answer_rest": Action(Controls.answer_rest, "let REST answer again", shards="none"),
}
