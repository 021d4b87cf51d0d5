from __future__ import annotations

import json

import pytest

from gwcluster.identify.known import Known, decode

KNOWN = Known("https://discord.com/api/v10", "wss://gateway.discord.gg", 16, 18)


def test_what_was_kept_is_known_again() -> None:
    assert decode(KNOWN.encode()) == KNOWN


@pytest.mark.parametrize(
    "text",
    ["", "[]", "3", "null", "{}", "{" * 5000, '{"api": 1}']
    + [
        json.dumps(json.loads(KNOWN.encode()) | changed)
        for changed in (
            {"shards": 0},
            {"shards": 1.5},
            {"shards": True},
            {"recommended": float("inf")},
            {"api": None},
            {"recommended": "x"},
            {"url": "wss://elsewhere.example"},
            {"url": "ws://127.0.0.1:9"},  # only where the API is on this machine, too
            {"url": None},
            {"extra": 1},
        )
    ],
)
def test_what_makes_no_sense_is_not_known(text: str) -> None:
    assert decode(text) is None


def test_a_gateway_on_this_machine_is_known_where_the_api_is_there_too() -> None:
    known = Known("http://127.0.0.1:8/api/v10", "ws://127.0.0.1:9", 1, 1)
    assert decode(known.encode()) == known
