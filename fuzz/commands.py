"""What bots want sent, and Discord's objections (does): refused in time, or such that Discord can't mind."""

from __future__ import annotations

import json
import math
import random
from typing import Any, Final

from fuzz.cases import Target
from fuzz.dispatches import payload
from fuzz.mutate import mutated
from fuzz.samples import a_text, spelled, value
from gwcluster.wire.codec import pack, unpack_map
from gwcluster.wire.control import Command, CommandDone
from gwworker.all_members import MAX_RETRY_AFTER_S, Objection, parse_objection
from gwworker.command_rules import CommandRefusedError, check
from gwworker.commands import Commands, Write
from gwworker.ratelimit import SendBudget

START: Final = 10_000.0
OPS: Final = (3, 3, 4, 8, 8, 31, 43, 0, 1, 2, 6, -1, True, 8.0, "8", None, 10**30)
IDS: Final = (
    "1",
    1,
    "81384788765712384",
    2**64 - 1,
    2**64,
    -1,
    0,
    "0",
    "x",
    "",
    1.0,
    None,
    True,
    "1" * 5000,
    "١",
)
KEYS: Final = (
    "guild_id", "channel_id", "self_mute", "self_deaf", "query", "limit", "user_ids", "presences", "nonce",
    "guild_ids", "fields", "since", "activities", "status", "afk", "later",
)  # fmt: skip


def case(dice: random.Random) -> None:
    """Play one of the games below."""
    dice.choice((checked, objected, in_any_order))(dice)


def checked(dice: random.Random) -> None:
    """What passes is short JSON of the same opcode; what doesn't is refused in few words."""
    op, d = _command(dice)
    try:
        passed = check(op, d)
    except CommandRefusedError as error:
        assert len(str(error)) < 400
        return
    assert len(passed.payload) <= 4096
    sent = json.loads(passed.payload)
    assert sent["op"] == op == passed.op
    assert sent["d"].keys() >= d.keys()
    assert all(isinstance(sent["d"][key], str | None) for key in ("guild_id", "channel_id") if op == 4)
    if passed.all_members_of is not None:
        assert (op, sent["d"]["guild_id"], sent["d"]["limit"]) == (8, passed.all_members_of, 0)


def objected(dice: random.Random) -> None:
    """An objection is understood or not, and never means a wait without end."""
    data = payload(dice)
    if dice.random() < 0.8:
        meta = {"guild_id": dice.choice(IDS), "nonce": value(dice)}
        fields = {
            "opcode": dice.choice((8, 8, 8, value(dice))),
            "retry_after": dice.choice((1.5, 30, -1, 10**400, math.nan, math.inf, "1", True, value(dice))),
            "meta": dice.choice((meta, meta, meta, value(dice))),
        }
        data = spelled(dice, {"t": "RATE_LIMITED", "s": 1, "op": 0, "d": fields})
    said = parse_objection(mutated(dice, data) if dice.random() < 0.4 else data)
    assert said is None or 0.0 <= said.retry_after_s <= MAX_RETRY_AFTER_S
    assert said is None or isinstance(said.nonce, str | None)


def in_any_order(dice: random.Random) -> None:
    """Each command is answered once, nothing leaves without a connection, or too much in a minute."""
    budget = SendBudget()
    commands, now = Commands(budget), START
    offered, answered = set[int](), list[int]()
    written: list[float] = []
    is_open = False
    for id_ in range(dice.randrange(60)):
        now += dice.choice((0.0, 0.0, 0.1, 1.0, 4.2, 30.0, 70.0))
        match dice.randrange(8):
            case 0 | 1 | 2 | 3:
                op, d = _command(dice)
                command = Command(id_, op, d, dice.choice((None, None, 0.0, -1.0, 5.0, math.inf)))
                offered.add(id_)
                answered += _ids(commands.offer(command, now))
            case 4:
                budget.start(dice.choice((0.001, 0.5, 41.25, 3600.0)))
                written.clear()
                commands.opened()
                is_open = True
            case 5:
                answered += _ids(commands.shut(now, dice.choice((None, 4008, 4000))))
                is_open = False
            case 6:
                answered += _ids(commands.taken(now))
            case _:
                objection = Objection(str(dice.choice(IDS)), dice.choice((None, a_text(dice))), 5.0)
                answered += _ids(commands.rate_limited(objection, now))
        for _ in range(200):
            if not (effects := commands.step(now)):
                break
            for effect in effects:
                if isinstance(effect, Write):
                    assert is_open, "written without a connection"
                    written.append(now)
            answered += _ids(effects)
        else:
            raise AssertionError("steps without end")
        due = commands.due(now)
        assert due is None or due > now, f"due at {due}, which is over"
        assert sum(at > now - 60.0 for at in written) <= 120
    assert len(answered) == len(set(answered)), "answered twice"
    assert set(answered) <= offered


def _ids(effects: list[Write | CommandDone] | list[CommandDone]) -> list[int]:
    return [effect.id for effect in effects if isinstance(effect, CommandDone)]


def _command(dice: random.Random) -> tuple[Any, Any]:
    """Return opcode and data as they come from a bot, by way of msgpack."""
    op = dice.choice(OPS)
    fields: dict[str, Any] = {key: _value(dice, key) for key in dice.sample(KEYS, dice.randrange(8))}
    match op:
        case 3 if dice.random() < 0.7:
            fields = {key: fields[key] for key in fields if key in KEYS[11:]}
        case 4 if dice.random() < 0.7:
            fields |= {"guild_id": "1", "channel_id": dice.choice(IDS), "self_mute": True, "self_deaf": False}
        case 8 if dice.random() < 0.7:
            fields = {"guild_id": dice.choice(IDS), "query": dice.choice(("", "x")), "limit": 0}
        case 31 if dice.random() < 0.7:
            fields = {"guild_ids": [dice.choice(IDS[:4]) for _ in range(dice.randrange(300))]}
        case _:
            pass
    d = fields if dice.random() < 0.95 else value(dice)
    try:
        return op, unpack_map(pack({"d": d}), max_bytes=1 << 20)["d"]
    except (OverflowError, UnicodeEncodeError):  # no message can hold it
        return op, {}


def _value(dice: random.Random, key: str) -> Any:
    if dice.random() < 0.3:
        return value(dice)
    match key:
        case "guild_id" | "channel_id":
            return dice.choice(IDS)
        case "user_ids" | "guild_ids":
            return dice.choice(
                (dice.choice(IDS), [dice.choice(IDS) for _ in range(dice.choice((0, 1, 101)))])
            )
        case "activities":
            activity = {"name": a_text(dice), "type": dice.choice((0, 1, True, -1)), "url": value(dice, 3)}
            return [activity, value(dice)][: dice.randrange(3)]
        case "limit" | "since":
            return dice.choice((0, 1, None, 10**18))
        case "nonce" | "query" | "status":
            return dice.choice(("", "x", "online", "n" * 33, a_text(dice)))
        case "fields":
            return dice.choice(([], ["status"], [1]))
        case _:
            return dice.random() < 0.5


TARGET: Final = Target("commands", case)
