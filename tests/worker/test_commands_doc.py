"""Holds docs/commands.md to the code."""

from __future__ import annotations

import re
from pathlib import Path

from gwcluster import discord
from gwcluster.supervise.commands import MAX_TTL_S
from gwcluster.wire.refusals import Refusal
from gwworker.commands import PRESENCE_SPACING_S, PRESENCE_TTL_S, TTL_S
from gwworker.ratelimit import TIGHT_S
from gwworker.waiting_room import MAX_WAITING, MAX_WAITING_BYTES

TEXT = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()
PAGE = " ".join(TEXT.split())


def test_every_refusal_is_explained() -> None:
    assert re.findall(r"^\| `([a-z_]+)` \|", TEXT, re.MULTILINE) == [code.value for code in Refusal]


def test_the_opcodes_are_those_that_may_be_sent() -> None:
    assert [int(op) for op in re.findall(r"^\| (\d+) \|", TEXT, re.MULTILINE)] == [3, 4, 8, 31, 43]


def test_the_numbers_are_ours() -> None:
    for said in (
        f"It waits for {TTL_S:.0f} s, a presence for {PRESENCE_TTL_S:.0f} s",
        f"up to {MAX_TTL_S:.0f} s",
        f"At most {discord.SEND_LIMIT} payloads leave on one connection in any {discord.SEND_WINDOW_S:.0f} s",
        f"half of it holds for {TIGHT_S / 60:.0f} minutes",
        f"One presence in {PRESENCE_SPACING_S} s",
        f"once in {discord.ALL_MEMBERS_SPACING_S:.0f} s",
        f"At most {MAX_WAITING} commands, and {MAX_WAITING_BYTES >> 10} KiB, wait",
        f"up to {discord.MEMBER_IDS} `user_ids`",
        f"`nonce` of up to {discord.NONCE_BYTES} bytes",
        f"more than {discord.SEND_BYTES} bytes of JSON",
    ):
        assert said in PAGE
