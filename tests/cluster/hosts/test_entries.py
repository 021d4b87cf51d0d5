from __future__ import annotations

import json

import pytest

from gwcluster.hosts.entries import HostEntry, Mark, encode, host_in, mark_in
from gwcluster.hosts.errors import HostsError

MARK = Mark("a", "a-1", 3, 7)
HOST = HostEntry(
    "a", "a-1", "1.0", 5.0, 10.5, True, (1,), (1, 2), ("tcp://10.0.0.1:5570",), (), "10.0.0.1:80"
)


def test_what_is_written_is_read() -> None:
    assert mark_in(encode(MARK), "3") == MARK
    assert host_in(encode(HOST), "a") == HOST


def test_it_is_json_that_any_language_reads() -> None:
    assert json.loads(encode(MARK)) == {"v": 1, "host": "a", "incarnation": "a-1", "claim": 3, "number": 7}
    assert json.loads(encode(HOST))["events"] == ["tcp://10.0.0.1:5570"]


def test_what_a_later_gwcluster_adds_is_ignored() -> None:
    assert mark_in(json.dumps({**json.loads(encode(MARK)), "more": [1]}).encode(), "3") == MARK


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"\xff", "isn't JSON"),
        (b"[" * 100_000, "isn't JSON"),
        (b"[]", "has no version"),
        (b'{"v": "1"}', "has no version"),
        (b'{"v": 2}', "has version 2, and this gwcluster knows 1"),
        (b'{"v": 1}', "lacks a field"),
        (b'{"v": 1, "host": 5}', "host can't be 5"),
        (b'{"v": 1, "claim": true}', "claim can't be True"),
    ],
)
def test_what_makes_no_sense_is_named(value: bytes, why: str) -> None:
    with pytest.raises(HostsError, match=f"the lease '3'.*{why}"):
        mark_in(value, "3")


@pytest.mark.parametrize("live", ['"0"', '["0"]', "[true]", "{}"])
def test_a_list_of_shards_is_one(live: str) -> None:
    with pytest.raises(HostsError, match="the entry of host 'a': live can't be"):
        host_in(b'{"v": 1, "live": %s}' % live.encode(), "a")
