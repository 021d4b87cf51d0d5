"""Shards that say nothing are looked for."""

from __future__ import annotations

from typing import Any

import msgpack

from gwcluster.client.following import Following
from gwcluster.client.host import Host
from gwcluster.client.place import Place
from gwcluster.client.roster import Roster
from gwcluster.client.silence import Silence
from gwcluster.client.topics import Wanted

A, B = Host("ipc:///a/events", "ipc:///a/requests"), Host("ipc:///b/events", "ipc:///b/requests")
NOW = 10_000.0
EPOCH = f"{1:016x}"


def test_a_shard_is_looked_for_after_five_seconds_of_silence_ever_less_often() -> None:
    silence = Silence()
    assert silence.due is None
    silence.heard(3, NOW)
    silence.heard(4, NOW + 1)
    assert silence.due == NOW + 5
    looked = [(second, shard) for second in range(100) for shard in silence.over(NOW + second)]
    assert [second for second, shard in looked if shard == 3] == [5, 15, 35, 65, 95]
    assert [second for second, shard in looked if shard == 4] == [6, 16, 36, 66, 96]
    silence.heard(3, NOW + 100)
    assert silence.over(NOW + 104) == []
    assert silence.over(NOW + 105) == [3]
    assert silence.due == NOW + 115


def page(asked: dict[str, Any], newest: int) -> bytes:
    said = {"events": [], "holes": [], "more": False, "last": newest, "oldest": 0, "newest": newest}
    fields = {"v": 1, "id": asked["id"], "ok": True, "shard": 3, "epoch": EPOCH, **said}
    return bytes(msgpack.packb(fields))


def status(asked: dict[str, Any]) -> bytes:
    return bytes(msgpack.packb({"v": 1, "id": asked["id"], "ok": True, "status": {"ids": [3]}}))


def followed(*hosts: Host) -> tuple[Following, list[tuple[int, str]]]:
    """Follow all of shard 3, which is silent; return what is asked when, over a minute."""
    following = Following(
        Wanted([], [3]),
        {3: Place(EPOCH, 5)},
        roster=Roster(hosts, several=False, now=NOW),
        finished=lambda _: None,
        wall=lambda: NOW,
        now=NOW,
    )
    asked_at = []
    for second in range(40):
        now = NOW + second
        for host, body in following.questions(now):
            asked = msgpack.unpackb(body)
            asked_at.append((second, asked["op"]))
            answer = status(asked) if asked["op"] == "status" else page(asked, 5)
            following.answered(answer, host, now)
    return following, asked_at


def test_of_several_hosts_a_silent_shard_has_its_log_and_the_hosts_asked_for() -> None:
    _, asked = followed(A, B)
    assert [at for at in asked if at[0] > 0] == [
        *((5, "status"), (5, "replay")),
        *((15, "status"), (15, "replay")),
        *((35, "status"), (35, "replay")),
    ]


def test_of_a_single_host_nothing_is_asked_of_a_silent_shard() -> None:
    _, asked = followed(A)
    assert asked == [(0, "status"), (0, "replay")]
