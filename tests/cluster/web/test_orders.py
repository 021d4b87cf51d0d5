from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gwcluster.web.access import Refusal
from gwcluster.web.orders import Restart, restart


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        (b'{"shard": 3}', Restart(3, rolling=False)),
        (b'{"shard": 0, "all": false, "rolling": true}', Restart(0, rolling=True)),
        (b'{"all": true}', Restart(None, rolling=False)),
        (b'{"all": true, "rolling": true}', Restart(None, rolling=True)),
    ],
)
def test_one_shard_or_all_is_asked_for(body: bytes, asked: Restart) -> None:
    assert restart(body) == asked


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b"{}",
        b'{"all": false}',
        b'{"all": true, "shard": 3}',
        b'{"shard": true}',
        b'{"shard": "3"}',
        b'{"shard": 3.0}',
        b'{"shard": 3, "all": 0}',
        b'{"all": 1}',
        b'{"all": true, "rolling": "yes"}',
        b'{"all": true, "roling": true}',
        b'{"shard": 1e400}',
        b'{"shard": ' + b"9" * 4090 + b"}",
        b'{"shard": -1}',
        b"[" * 4000,
        b"\xff\xfe",
    ],
)
def test_what_is_unclear_is_refused_and_nothing_is_guessed(body: bytes) -> None:
    found = restart(body)
    assert isinstance(found, Refusal)
    assert (found.status, found.code) == (400, "bad_request")
    assert '{"shard": 3}' in found.message


@given(st.binary(max_size=200))
def test_any_bytes_are_an_order_or_refused(body: bytes) -> None:
    assert isinstance(restart(body), Restart | Refusal)
