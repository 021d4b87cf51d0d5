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
        passed = check(op, d, intents=2)
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
    shard = Shard(eager=dice.random() < 0.5)
    for _ in range(dice.randrange(60)):
        shard.now += dice.choice((0.0, 0.0, 0.1, 1.0, 4.2, 30.0, 70.0))
        _something(dice, shard)
        due = shard.commands.due(shard.now)
        assert due is None or due > shard.now, f"due at {due}, which is over"
    assert len(shard.answered) == len(set(shard.answered)), "answered twice"
    assert set(shard.answered) <= {*range(shard.offered)}


class Shard:
    """One shard's commands, on a socket that takes everything at once if it is `eager`."""

    def __init__(self, *, eager: bool) -> None:
        self.budget = SendBudget()
        self.commands = Commands(self.budget, intents=2)
        self.now = START
        self.offered = 0
        self.answered: list[int] = []
        self._eager = eager
        self._open = False
        self._written: list[float] = []

    def offer(self, op: Any, d: Any, ttl_s: float | None) -> None:
        """Let a bot want something sent."""
        self.offered += 1
        self.told(self.commands.offer(Command(self.offered - 1, op, d, ttl_s), self.now))

    def connect(self, interval_s: float) -> None:
        """Let a connection become live."""
        self.budget.start()
        self.budget.adopt(interval_s)
        self._written.clear()
        self.commands.opened()
        self._open = True

    def shut(self, code: int | None) -> None:
        """Let it end."""
        self._open = False
        self.told(self.commands.shut(self.now, code))

    def told(self, effects: list[Write | CommandDone] | list[CommandDone]) -> None:
        """Note answers and writes, and what follows from them by now."""
        for effect in effects:
            if isinstance(effect, CommandDone):
                self.answered.append(effect.id)
                continue
            assert self._open, "written without a connection"
            self._written.append(self.now)
            assert sum(at > self.now - 60.0 for at in self._written) <= 120, "over the send limit"
            if self._eager:
                self.told(self.commands.taken(self.now))

    def settle(self) -> None:
        """Step until there is nothing to do."""
        for _ in range(400):
            if not (effects := self.commands.step(self.now)):
                return
            self.told(effects)
        raise AssertionError("steps without end")


def _something(dice: random.Random, shard: Shard) -> None:
    match dice.randrange(9):
        case 0 | 1 | 2 | 3:
            op, d = _command(dice)
            shard.offer(op, d, dice.choice((None, None, 0.0, -1.0, 5.0, math.inf)))
        case 4:
            shard.connect(dice.choice((0.001, 0.5, 41.25, 3600.0)))
        case 5:
            shard.shut(dice.choice((None, 4008, 4000)))
        case 6:
            shard.told(shard.commands.taken(shard.now))
        case 7:
            objection = Objection(str(dice.choice(IDS)), dice.choice((None, a_text(dice))), 5.0)
            shard.told(shard.commands.rate_limited(objection, shard.now))
        case _ if dice.random() < 0.2:
            for _ in range(150):
                shard.offer(31, {"guild_ids": ["1"]}, None)
                shard.settle()
        case _:
            pass
    shard.settle()


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
            fields = {"guild_ids": [dice.choice(IDS[2:4]) for _ in range(dice.randrange(300))]}
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
