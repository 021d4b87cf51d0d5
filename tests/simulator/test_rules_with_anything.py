"""No message of a client makes the rules fail: whatever comes is answered, obeyed or refused."""

import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from support.sim_rig import Rig

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
FIELDS = [
    "token",
    "intents",
    "shard",
    "properties",
    "presence",
    "large_threshold",
    "session_id",
    "seq",
    "guild_id",
    "channel_id",
    "query",
    "limit",
    "user_ids",
    "nonce",
    "presences",
    "guild_ids",
    "fields",
    "since",
    "activities",
    "status",
    "afk",
]
LIKELY: st.SearchStrategy[Any] = st.sampled_from(
    ["abc", "1", 0, 1, -1, [0, 2], [1, 2], 513, {}, [], "", None, True, f"{1:032x}"]
)
DATA = st.dictionaries(st.sampled_from(FIELDS), LIKELY | ANYTHING, max_size=12) | ANYTHING
IDENTIFY = {"token": "abc", "intents": 513, "shard": [0, 2], "properties": {}}


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([1, 2, 3, 4, 6, 8, 31, 43, 0, 99]), DATA), max_size=6), st.booleans()
)
@example([(8, {"guild_id": "²", "query": "", "limit": 0})], True)
@example([(8, {"guild_id": "1", "query": "", "limit": 0, "nonce": "\ud800"})], True)
@example([(4, {"guild_id": "\udfff", "channel_id": None})], True)
@example([(8, {"guild_id": 1, "user_ids": ["9" * 400, "²"]})], True)
@example([(2, {**IDENTIFY, "shard": [10**30, 10**31]})], False)
def test_any_messages_in_any_order_are_judged(messages: list[tuple[int, Any]], identified: bool) -> None:
    rig = Rig(identify_window_s=0.0, bucket_order=True, heartbeat_trims=True, max_payload_bytes=15_360)
    link = rig.dial()
    if identified:
        rig.identify(link)
    for op, d in messages:
        rig.send(link, op, d)
    rig.run_for(1.0)
    assert (link in rig.ended) == (rig.gateway.links.get(link) is None)
    assert json.dumps([one.detail for one in rig.ledger.violations])


@given(st.binary(max_size=200))
@example(b'{"op":8,"d":{"guild_id":"\xed\xa0\x80","query":"","limit":0}}')
@example('{"op":1}'.encode("utf-16"))
def test_any_bytes_are_judged(data: bytes) -> None:
    rig = Rig()
    link = rig.dial()
    rig.send_raw(link, data)
    assert (link in rig.ended) == (rig.gateway.links.get(link) is None)
