from __future__ import annotations

import asyncio

import pytest

from gwcluster.hosts.errors import KvError, UnansweredError
from gwcluster.hosts.hosting import patiently
from gwcluster.log.jetstream.answers import NoAnswer


class Silent:
    """Answers at last; says nothing before, for one reason or another."""

    def __init__(self, *silences: Exception) -> None:
        self.silences = list(silences)
        self.asked = 0

    async def ask(self) -> str:
        self.asked += 1
        if self.silences:
            raise self.silences.pop(0)
        return "answer"


def test_what_is_not_answered_is_asked_again() -> None:
    silent = Silent(UnansweredError("no leader yet"), NoAnswer("nor here"))
    assert asyncio.run(patiently(silent.ask, again_s=0.0)) == "answer"
    assert silent.asked == 3


def test_it_is_not_asked_for_ever_and_a_refusal_not_again() -> None:
    with pytest.raises(UnansweredError):
        asyncio.run(patiently(Silent(UnansweredError("no leader")).ask, within_s=0.0))
    refused = Silent(KvError("refused"))
    with pytest.raises(KvError, match="refused"):
        asyncio.run(patiently(refused.ask))
    assert refused.asked == 1
