from __future__ import annotations

from gwcluster.wire.codec import pack
from gwcluster.wire.refusals import Refusal


def test_these_are_the_codes_that_bots_are_told() -> None:
    codes = ["not_ready", "rate_limited", "too_large", "bad_request", "forbidden_opcode", "unknown_shard"]
    codes += ["forbidden"]
    assert list(Refusal) == codes
    assert pack(Refusal.TOO_LARGE) == b"\xa9too_large"
