"""Payloads to begin with (pure): dispatches as the simulator makes them, and any other op in any spelling."""

from __future__ import annotations

import json
import random
import re
from typing import Any, Final

from fuzz.samples import NAMES, a_text, spelled, value
from gwsimulator import payloads

_SEQ: Final = re.compile(rb'"s":[0-9]+')


def dispatch(dice: random.Random) -> bytes:
    """Return a dispatch as Discord writes it: compact, `t`, `s`, `op`, `d` in that order."""
    name, data = _event(dice)
    fields = {"t": name, "s": dice.randrange(10 ** dice.randint(1, 17)), "op": 0, "d": data}
    text = json.dumps(fields, separators=(",", ":"), ensure_ascii=dice.random() < 0.3)
    return text.encode(errors="replace")


def _event(dice: random.Random) -> tuple[str, Any]:
    guild, channel, user = dice.getrandbits(60), dice.getrandbits(60), dice.getrandbits(60)
    match dice.randrange(6):
        case 0:
            return "PRESENCE_UPDATE", payloads.presence(dice, guild, user)
        case 1:
            return "TYPING_START", payloads.typing(dice, channel, guild, user)
        case 2:
            return "VOICE_STATE_UPDATE", payloads.voice_state(dice, guild, channel, user)
        case 3:
            return "MESSAGE_REACTION_ADD", payloads.reaction(dice, channel, guild, user, user)
        case 4:
            return dice.choice(NAMES[:-2]), value(dice)
        case _:
            return "READY", {"session_id": a_text(dice), "resume_gateway_url": value(dice, 3), "v": 10}


def payload(dice: random.Random) -> bytes:
    """Return any payload, valid JSON whatever it says, in any spelling."""
    if dice.random() < 0.4:
        data = dispatch(dice)
        odd = dice.choice(
            (b"-1", b"-0", b"1.0", b"1e3", b"true", b"null", b"9" * 18, b"1" + b"0" * 18, b'"1"')
        )
        return _SEQ.sub(b'"s":' + odd, data, 1) if dice.random() < 0.3 else data
    fields: dict[str, Any] = {}
    for key in dice.sample(["t", "s", "op", "d", "x"], dice.choice((0, 1, 2, 3, 4, 5, 5, 5))):
        fields[key] = _field(dice, key)
    return spelled(dice, fields if dice.random() < 0.9 else value(dice))


def _field(dice: random.Random, key: str) -> Any:
    if dice.random() < 0.15:
        return value(dice)
    match key:
        case "t":
            return dice.choice((None, *NAMES))
        case "s":
            return dice.choice((None, 1, 7, 10**17, 10**18, -1, True, 1.0))
        case "op":
            return dice.choice((0, 0, 0, 1, 7, 9, 10, 11, 12, -1, 10**20, False, True, 0.0, None, "0"))
        case _:
            hello = {
                "heartbeat_interval": dice.choice(
                    (41250, 0.5, 1, 1e-323, 0, -1, 3_600_000, 3_600_001, 10**400, True)
                )
            }
            return dice.choice((None, True, False, {}, hello, hello))
