from __future__ import annotations

import pytest

from gwcluster.wire import notices
from gwcluster.wire.events import topic
from gwcluster.wire.notices import ShardState


def test_a_notice_has_the_shape_of_a_dispatch_and_fits_on_one_line() -> None:
    assert notices.shard_state(3, ShardState.BACKOFF, "no “network”\n") == (
        b'{"t":"GWCLUSTER_SHARD_STATE","s":null,"op":0,'
        b'"d":{"shard":3,"state":"backoff","reason":"no \\u201cnetwork\\u201d\\n"}}'
    )


def test_a_lost_session_is_told_with_its_last_seq() -> None:
    assert notices.session_lost(3, 2, 1377, "invalid session") == (
        b'{"t":"GWCLUSTER_SESSION_LOST","s":null,"op":0,'
        b'"d":{"shard":3,"session":2,"last_seq":1377,"reason":"invalid session"}}'
    )
    assert b'"last_seq":null' in notices.session_lost(3, 2, None, "")


def test_a_beacon_tells_the_last_offset_of_each_name() -> None:
    assert notices.beacon({"READY": 0, "MESSAGE_CREATE": 41}, None) == (
        b'{"t":"GWCLUSTER_BEACON","s":null,"op":0,"d":{"names":{"READY":0,"MESSAGE_CREATE":41}}}'
    )


def test_the_clusters_state_counts_shards() -> None:
    assert notices.cluster_state(15, 16, 1, 0) == (
        b'{"t":"GWCLUSTER_CLUSTER_STATE","s":null,"op":0,"d":{"ready":15,"total":16,"degraded":1,"failed":0}}'
    )


@pytest.mark.parametrize(
    "name", [notices.SHARD_STATE, notices.SESSION_LOST, notices.BEACON, notices.CLUSTER_STATE]
)
def test_all_our_names_begin_alike(name: str) -> None:
    assert topic(name, 0).startswith(b"GWCLUSTER_")


def test_the_states_of_a_shard_are_these() -> None:
    assert [state.value for state in ShardState] == [
        "starting",
        "backoff",
        "connecting",
        "queued",
        "identifying",
        "resuming",
        "live",
        "stopped",
        "failed",
        "elsewhere",
    ]
