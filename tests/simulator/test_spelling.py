import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gwsimulator import Simulator
from gwsimulator.spelling import Respelled
from support.sim_scene import live, play

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def without_additions(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_additions(one) for key, one in value.items() if key != "added_later"}
    return [without_additions(one) for one in value] if isinstance(value, list) else value


@settings(deadline=None)
@given(VALUES, st.integers())
def test_what_is_written_anew_says_the_same(value: Any, seed: int) -> None:
    payload = json.dumps({"op": 0, "d": value}).encode()
    anew = Respelled(random.Random(seed))(payload)
    assert without_additions(json.loads(anew)) == without_additions(json.loads(payload))


def test_it_differs_in_order_whitespace_escapes_and_has_further_keys() -> None:
    payload = b'{"t":"MESSAGE_CREATE","s":4,"op":0,"d":{"content":"abcdefghijklmnopqrstuvwxyz","id":"1"}}'
    spell = Respelled(random.Random(1))
    many = [spell(payload) for _ in range(50)]
    assert {next(iter(json.loads(one))) for one in many} == {"t", "s", "op", "d", "added_later"}
    for sign in (b"\\u00", b"\n", b"added_later"):
        assert any(sign in one for one in many)


@pytest.mark.parametrize("payload", [b'{"op":', b"\xff", b"[" * 100_000])
def test_what_is_no_json_stays_as_it_is(payload: bytes) -> None:
    assert Respelled(random.Random(1))(payload) == payload


@pytest.mark.parametrize("digits", [b"9007199254740993", b"1.10", b"1e400", b"-0.0", b"1" * 5000])
def test_numbers_keep_their_digits(digits: bytes) -> None:
    payload = b'{"d":' + digits + b"}"
    anew = [Respelled(random.Random(seed))(payload) for seed in range(20)]
    assert all(digits in one for one in anew)
    assert any(one != payload for one in anew)


def test_a_client_is_greeted_and_told_in_other_words_and_the_ledger_has_them() -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim, "zstd-stream") as (client, session):
            sim.emit_random(0, 20)
            told = [record.payload for record in sim.ledger.dispatches(session=session)]
            assert any(b"added_later" in (one or b"") for one in told)
            assert [await client.payload() for _ in told[3:]] == told[3:]
            acks = []
            for _ in range(20):
                await client.send(1, None)
                acks.append(await client.payload())
            assert len(set(acks)) > 10
            assert {json.loads(one)["op"] for one in acks} == {11}

    play(scene, shuffle_keys=True)
