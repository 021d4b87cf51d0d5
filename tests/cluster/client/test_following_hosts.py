"""What a subscription makes of several hosts."""

from __future__ import annotations

from typing import Any

import msgpack

from gwcluster.client.following import Following
from gwcluster.client.host import Host
from gwcluster.client.place import Place
from gwcluster.client.roster import Roster
from gwcluster.client.topics import Wanted
from gwcluster.wire.events import Header, encode_header, topic

A, B = Host("ipc:///a/events", "ipc:///a/requests"), Host("ipc:///b/events", "ipc:///b/requests")
NOW = 10_000.0
EPOCH = f"{1:016x}"
MESSAGE = "MESSAGE_CREATE"


def asked(following: Following, now: float) -> list[tuple[Host, str]]:
    """Return who is asked what now."""
    return [(host, msgpack.unpackb(body)["op"]) for host, body in following.questions(now)]


def begun(names: tuple[str, ...] = (), shards: tuple[int, ...] = (3,)) -> Following:
    """Return one that has been told where these shards are, of two hosts."""
    following = Following(
        Wanted(names, shards),
        {shard: Place(EPOCH, 5) for shard in shards},
        roster=Roster([A, B], now=NOW),
        finished=lambda _: None,
        wall=lambda: NOW,
        now=NOW,
    )
    for host in (A, B):
        following.reconnected(host, NOW)
    answer_all(following)
    return following


def answer_all(following: Following) -> list[int]:
    """Answer that no log has more than offset 5; return the shards that were asked for."""
    asked_for = []
    for host, body in following.questions(NOW):
        question = msgpack.unpackb(body)
        said: dict[str, Any] = {"v": 1, "id": question["id"], "ok": True}
        log = {"shard": question.get("shard"), "epoch": EPOCH, "events": [], "holes": [], "more": False}
        place = {"last": 5, "oldest": 0, "newest": 5}
        answer = {"status": {"ids": [3, 4]}} if question["op"] == "status" else {**log, **place}
        following.answered(msgpack.packb({**said, **answer}), host, NOW)
        asked_for += [question["shard"]] if question["op"] == "replay" else []
    return asked_for


def event(offset: int, shard: int = 3) -> list[bytes]:
    header = Header(shard, 4, EPOCH, offset, offset - 1, 1, offset, NOW)
    return [topic(MESSAGE, shard), encode_header(header), b'{"op":0,"d":{}}']


def test_what_is_missing_is_asked_of_the_host_that_published_last() -> None:
    for host in (A, B, A):
        following = begun()
        following.received(event(8), host, NOW)
        assert asked(following, NOW) == [(host, "replay")]


def test_when_a_host_is_lost_its_replays_and_the_hosts_are_asked_for_elsewhere_at_once() -> None:
    following = begun()
    following.received(event(8), A, NOW)
    assert asked(following, NOW) == [(A, "replay")]
    following.lost(A, NOW + 0.1)
    assert asked(following, NOW + 0.1) == [(B, "replay"), (B, "status")]


def test_when_a_host_is_not_ready_another_is_asked_at_once() -> None:
    following = begun()
    following.received(event(8), A, NOW)
    ((host, body),) = following.questions(NOW)
    refused = {"code": "not_ready", "message": "NATS doesn't answer", "retry_after": 1.0}
    number = msgpack.unpackb(body)["id"]
    following.answered(msgpack.packb({"v": 1, "id": number, "ok": False, "error": refused}), host, NOW)
    assert host == A
    ((host, body),) = following.questions(NOW)
    number = msgpack.unpackb(body)["id"]
    following.answered(msgpack.packb({"v": 1, "id": number, "ok": False, "error": refused}), host, NOW)
    assert (host, asked(following, NOW + 0.9)) == (B, [])  # no other is left
    assert len(asked(following, NOW + 1)) == 1


def test_a_new_line_to_a_host_puts_only_the_shards_in_doubt_that_it_spoke_for() -> None:
    following = begun((MESSAGE,), (3, 4))
    following.received(event(6, 3), A, NOW)
    following.received(event(6, 4), B, NOW)
    answer_all(following)
    assert answer_all(following) == []
    following.reconnected(A, NOW)
    following.received(event(6, 3), A, NOW)  # the same again: nothing is missing, as far as it shows
    assert answer_all(following) == [3]
    following.stalled(B, NOW)
    assert answer_all(following) == [4]
