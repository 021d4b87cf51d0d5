"""Writes docs/session.md from the tables that the worker runs by (does). Started by scripts/draw-session."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from gwcluster.discord import CLOSE_MEANINGS
from gwcluster.supervise.conditions import STRANDED_S
from gwcluster.wire.control import SHUN_S
from gwworker import lifeline, redial, session, silence
from gwworker.closing import CLOSE_RESUMABLE, RULES, Action, Rule, rule_for
from gwworker.phases import EDGES, PATIENCE_S, STATES, Phase

PAGE: Final = Path(__file__).parents[1] / "docs" / "session.md"

PATIENCE: Final = {phase: f"{patience_s:.0f} s" for phase, patience_s in PATIENCE_S.items()}

NO_ANSWER: Final = {
    Phase.DIALING: f"{PATIENCE[Phase.DIALING]} without a websocket: dials again, the other address",
    Phase.GREETING: f"{PATIENCE[Phase.GREETING]} without Hello: closes, then dials the other address",
    Phase.QUEUED: "waits as long as it takes",
    Phase.IDENTIFYING: f"{PATIENCE[Phase.IDENTIFYING]} without READY: closes and dials again",
    Phase.RESUMING: f"{PATIENCE[Phase.RESUMING]} without any event: closes, then dials the other address",
    Phase.LIVE: "the heartbeat decides",
    Phase.CLOSING: f"{PATIENCE[Phase.CLOSING]} without Discord's close frame: drops the connection",
}
"""What ends the wait in a phase when nothing is heard."""

REASONS: Final = {
    4000: "nothing says that the session ended",
    4001: "sessions that ended so were seen not to resume",
    4002: "one payload was bad, not the session",
    4003: "something was sent before there was a session, or after its end",
    4004: "nothing but another token helps, and trying again can only do harm",
    4005: "a second handshake on one connection: a bug of ours, the session is unharmed",
    4006: "no longer documented, still met; its words leave no doubt",
    4007: "documented: start a new session",
    4008: "too much was sent; the session is not to blame, but Discord wants a pause",
    4009: "documented: start a new session",
    4010: "this id and count will not become right by trying again",
    4011: "the shard has more guilds than Discord allows on one",
    4012: "every shard asks for the same API version",
    4013: "every shard asks for the same intents",
    4014: "every shard asks for the same intents",
}
"""Why each row of the close-code table is as it is, where Discord's documentation leaves it open."""

TEMPLATE: Final = """\
# The session of one shard

Drawn by `scripts/draw-session` from `gwworker.session`, `gwworker.closing` and what they import; a test
compares. Don't edit this page: change the tables and draw it again.

```mermaid
{diagram}
```

An arrow from the frame leaves each of the phases in it. Any other move is a bug, and ends the worker.

| phase | meaning | shown as | when nothing comes |
|---|---|---|---|
{phases}

"Shown as" is the state in `GWCLUSTER_SHARD_STATE` and in the table of `gwcluster run`. A shard that has no
worker is `starting`.

## From one connection to the next

* The first wait after a connection is shorter than {base} s; after op 7 there is none. Further ones grow, up
  to {cap} s, until a connection has been live for {healthy} s.
* When op 7 comes to many shards at once, each spreads its dial over {spread} s.
* A saved session is resumed at the address that came with its READY. One that can't be reached, says
  nothing, or {doubts} in a row sends us away or talks nonsense before Hello, is left alone for {shun}
  minutes, by every shard as soon as the address of `/gateway/bot` was found to work; that one is dialed
  instead. While both fail, they take turns, and what failed then is not held against either; after {stranded}
  minutes of it the cluster asks `/gateway/bot` whether the gateway has moved.
* RESUME needs no permit. IDENTIFY waits in `{queued}` for one from the coordinator; the heartbeat goes on.
* After {fruitless} RESUMEs in a row without one event the session is given up. Those don't count that Discord
  ends by asking us to come again (op 7, 1001, 1012, 4000), unless that goes on for {hopeless} minutes.
* While heartbeats are acknowledged and no shard of the cluster gets READY, it is waited for up to {patience}
  minutes: Discord has an outage, and another IDENTIFY would help nobody.
* We leave with close code {resumable}, which keeps the session; 1000 and 1001 would end it.
* op 9 with `d` true keeps the session, any other gives it up; the next dial is 1 to 5 s away. As an answer to
  IDENTIFY it also closes that window for longer.
* A heartbeat without ACK for an interval in which nothing else came either, or for two intervals whatever
  came, is a zombie connection. It is dropped without a close frame, and the session resumed.
* After a sleep of the machine that was longer than a heartbeat interval the connection is dropped and the
  session resumed; after a shorter one, or when its clock was set, a heartbeat asks whether anybody is there.
* A shard that hears nothing for {times} times its usual pause between events, {least} minutes at least and an
  hour at most, is resumed although its heartbeats are acknowledged: a RESUME is free, and brings whatever was
  held back. Where that shows a quiet shard, it is left alone for twice as long. The successor of a worker
  that died begins with {least} minutes.
* Where a session is given up, `GWCLUSTER_SESSION_LOST` says so before the next READY.

## Close codes

| code | meaning | what follows | at the earliest after | because |
|---|---|---|---|---|
{codes}

"{shard}": it becomes `failed`, and the others go on.
"{cluster}": nothing is started any more. Shards that are live go
on; when the last of them has ended, the command exits with status 64.

Sources: [Discord's close codes][codes], [disconnecting][disconnect].

[codes]: https://docs.discord.com/developers/topics/opcodes-and-status-codes#gateway-gateway-close-event-codes
[disconnect]: https://docs.discord.com/developers/events/gateway#initiating-a-disconnect
"""

_OTHER: Final = "a refused RESUME costs nothing, an IDENTIFY is one of a thousand a day"


def page() -> str:
    """Return docs/session.md as it should be."""
    assert REASONS.keys() == RULES.keys(), "each close code needs its reason"
    return TEMPLATE.format(
        diagram="\n".join(_diagram()),
        phases="\n".join(_phase(phase) for phase in Phase),
        codes="\n".join([*(_code(code, rule) for code, rule in RULES.items()), *_other_codes()]),
        base=f"{redial.BASE_S:.0f}",
        cap=f"{redial.CAP_S:.0f}",
        healthy=f"{redial.HEALTHY_S:.0f}",
        fruitless=lifeline.FRUITLESS,
        hopeless=f"{lifeline.HOPELESS_S / 60:.0f}",
        shun=f"{SHUN_S / 60:.0f}",
        stranded=f"{STRANDED_S / 60:.0f}",
        doubts={2: "twice"}[redial.DOUBTS],
        patience=f"{session.READY_PATIENCE_S / 60:.0f}",
        least=f"{silence.LEAST_S / 60:.0f}",
        times=f"{silence.TIMES:.0f}",
        spread=f"{redial.STORM_SPREAD_S:.0f}",
        queued=Phase.QUEUED.name,
        resumable=CLOSE_RESUMABLE,
        shard=Action.REFUSE_SHARD.value,
        cluster=Action.REFUSE_CLUSTER.value,
    )


def _diagram() -> Iterable[str]:
    """Draw `EDGES`; the phases from which all that LIVE may do is possible share a frame and those arrows."""
    shared = EDGES[Phase.LIVE]
    connected = [phase for phase in Phase if EDGES[phase] >= shared]
    yield "stateDiagram-v2"
    yield "    [*] --> OFFLINE"
    yield "    state connected {"
    for phase in connected:
        yield from _arrows("        ", phase.name, EDGES[phase] - shared, alone=phase.name)
    yield "    }"
    yield from _arrows("    ", "connected", shared)
    for phase in Phase:
        if phase not in connected:
            yield from _arrows("    ", phase.name, EDGES[phase])
            if not EDGES[phase]:
                yield f"    {phase.name} --> [*]"


def _arrows(indent: str, start: str, ends: Iterable[Phase], *, alone: str = "") -> Iterable[str]:
    """Draw arrows in the order of `Phase`; without any, name the phase so that it is in its frame."""
    arrows = [f"{indent}{start} --> {phase.name}" for phase in Phase if phase in ends]
    return arrows or ([f"{indent}{alone}"] if alone else [])


def _phase(phase: Phase) -> str:
    shown = f"`{STATES[phase]}`" if phase in STATES else "the one before"
    return f"| {phase.name} | {phase.value} | {shown} | {NO_ANSWER.get(phase, '')} |"


def _code(code: int, rule: Rule) -> str:
    floor = f"{rule.floor_s:g} s" if rule.floor_s else ""
    return f"| {code} | {CLOSE_MEANINGS[code]} | {_follows(rule)} | {floor} | {REASONS[code]} |"


def _follows(rule: Rule) -> str:
    times = {None: "", 1: ", once; then as if gone", 3: ", three times in a row; then as if gone"}
    return rule.action.value + times[rule.tries]


def _other_codes() -> Iterable[str]:
    yield f"| any other from 3000 up | | {_follows(rule_for(4999))} | | no document names it |"
    yield f"| any other, or none | | {_follows(rule_for(None))} | | {_OTHER} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
