from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgpack

from gwcluster.requests.clerk import Asker, Clerk
from gwcluster.wire.control import CommandDone
from gwcluster.wire.requests import Replay, Restart, Send, accepted

SENT = CommandDone(1, None, "", None, 1.0)


class Office:
    """Keeps what it is handed until a test has it answered."""

    def __init__(self) -> None:
        self.is_ready = True
        self.sends: list[Callable[[CommandDone], None]] = []
        self.statuses: list[Callable[[dict[str, Any]], None]] = []
        self.restarts: list[tuple[Restart, Callable[[str | None], None]]] = []
        self.reads: list[tuple[Replay, Callable[[bytes], None]]] = []
        self.drains: list[Callable[[str | None], None]] = []

    def has_shard(self, shard: int) -> bool | None:
        return shard < 4 if self.is_ready else None

    def send(self, ask: Send, done: Callable[[CommandDone], None]) -> None:
        self.sends.append(done)

    def status(self, told: Callable[[dict[str, Any]], None]) -> None:
        self.statuses.append(told)

    def restart(self, ask: Restart, done: Callable[[str | None], None]) -> None:
        self.restarts.append((ask, done))

    def drain(self, done: Callable[[str | None], None]) -> None:
        self.drains.append(done)

    def read(self, ask: Replay, done: Callable[[bytes], None]) -> None:
        self.reads.append((ask, done))


class Rig:
    def __init__(self) -> None:
        self.office = Office()
        self.answers: list[tuple[bytes, Any, str]] = []
        self.behind: set[bytes] = set()
        self.clerk = Clerk(self.office, answer=self._answer, is_behind=self.behind.__contains__)

    def _answer(self, asker: Asker, body: bytes) -> None:
        fields = msgpack.unpackb(body)
        self.answers.append(
            (asker.client, fields["id"], "ok" if fields["ok"] else str(fields["error"]["code"]))
        )

    def ask(self, client: bytes, op: str, number: Any, **fields: Any) -> None:
        self.clerk.take([client, b"", msgpack.packb({"v": 1, "id": number, "op": op, **fields})])

    def read(self) -> tuple[Any, int]:
        """Have the replay read whose turn it is; return its id, and how many are being read by then."""
        self.clerk.serve()
        at_once = len(self.office.reads)
        ask, done = self.office.reads.pop(0)
        done(accepted(ask.id))
        return ask.id, at_once

    def taken(self) -> list[tuple[bytes, Any, str]]:
        answers, self.answers = self.answers, []
        return answers


def test_the_status_is_asked_for_once_and_told_to_all_who_wait() -> None:
    rig = Rig()
    for number in range(9):
        rig.ask(b"greedy", "status", number)
    rig.ask(b"modest", "status", "m")
    assert rig.taken() == [(b"greedy", 8, "rate_limited")]
    (told,) = rig.office.statuses
    told({"name": "example"})
    assert sorted(rig.taken(), key=str) == sorted(
        [(b"modest", "m", "ok"), *((b"greedy", number, "ok") for number in range(8))], key=str
    )
    rig.ask(b"greedy", "status", 9)
    assert len(rig.office.statuses) == 2, "whoever asks later gets what is true later"


def test_one_replay_is_read_at_a_time_and_each_client_has_its_turn() -> None:
    rig = Rig()
    for number in range(34):
        rig.ask(b"greedy", "replay", number, shard=0)
    assert rig.taken() == [(b"greedy", 32, "rate_limited"), (b"greedy", 33, "rate_limited")]
    rig.ask(b"modest", "replay", "m", shard=1)
    rig.clerk.serve()
    rig.clerk.serve()
    assert [rig.read() for _ in range(3)] == [(0, 1), ("m", 1), (1, 1)]


def test_for_whoever_has_answers_to_read_no_log_is_read() -> None:
    rig = Rig()
    rig.behind.add(b"mute")
    rig.ask(b"mute", "replay", 1, shard=0)
    rig.ask(b"other", "replay", 2, shard=0)
    assert rig.read() == (2, 1)
    rig.clerk.serve()
    assert rig.office.reads == []
    rig.behind.clear()
    assert rig.read() == (1, 1)


def test_for_whoever_is_gone_no_log_is_read() -> None:
    rig = Rig()
    rig.ask(b"gone", "replay", 1, shard=0)
    rig.ask(b"gone", "status", 2)
    rig.clerk.forget(b"gone")
    rig.clerk.serve()
    rig.office.statuses.pop()({})
    assert (rig.office.reads, rig.taken()) == ([], [])


def test_payloads_that_wait_are_bounded_in_all_too() -> None:
    rig = Rig()
    for number in range(4097):
        rig.ask(b"%d" % (number % 5), "send", number, shard=0)
    assert rig.taken() == [(b"1", 4096, "rate_limited")]
    rig.office.sends.pop()(SENT)
    rig.ask(b"9", "send", "x", shard=0)
    assert rig.taken() == [(b"0", 4095, "ok")]
    assert len(rig.office.sends) == 4096


def test_at_the_end_all_that_waits_is_answered_but_for_payloads_which_may_be_sent() -> None:
    rig = Rig()
    for number in range(3):
        rig.ask(b"a", "replay", number, shard=0)
    rig.clerk.serve()
    rig.ask(b"a", "status", 3)
    rig.ask(b"a", "send", 4, shard=0)
    rig.ask(b"a", "restart", 5, shard=0)
    rig.clerk.refuse_waiting()
    assert rig.taken() == [(b"a", 1, "not_ready"), (b"a", 2, "not_ready")]
    rig.clerk.refuse_rest()
    assert rig.taken() == [(b"a", 3, "not_ready"), (b"a", 5, "not_ready"), (b"a", 0, "not_ready")]
    rig.office.restarts.pop()[1](None)  # too late to be told
    rig.office.sends.pop()(SENT)
    assert rig.taken() == [(b"a", 4, "ok")]


def test_a_restart_is_answered_when_it_has_been_begun_or_with_the_reason_why_not() -> None:
    rig = Rig()
    rig.ask(b"a", "restart", 1, shard=3)
    rig.ask(b"a", "restart", 2, all=True, rolling=True)
    assert rig.taken() == []
    (one, begun), (all_, refused) = rig.office.restarts
    assert (one, all_) == (Restart(1, 3, rolling=False), Restart(2, None, rolling=True))
    refused("the cluster is stopping")
    begun(None)
    assert rig.taken() == [(b"a", 2, "not_ready"), (b"a", 1, "ok")]


def test_a_restart_of_a_shard_elsewhere_or_before_shards_are_known_is_refused_at_once() -> None:
    rig = Rig()
    rig.ask(b"a", "restart", 1, shard=4)
    rig.office.is_ready = False
    rig.ask(b"a", "restart", 2, shard=3)
    rig.ask(b"a", "restart", 3, all=True)
    assert rig.taken() == [(b"a", 1, "unknown_shard"), (b"a", 2, "not_ready"), (b"a", 3, "not_ready")]
    assert rig.office.restarts == []


def test_restarts_that_wait_to_be_begun_are_bounded() -> None:
    rig = Rig()
    for number in range(65):
        rig.ask(b"%d" % number, "restart", number, shard=0)
    assert rig.taken() == [(b"64", 64, "rate_limited")]


def test_a_drain_is_answered_when_it_has_been_begun_or_with_the_reason_why_not() -> None:
    rig = Rig()
    rig.ask(b"a", "drain", 1)
    rig.ask(b"b", "drain", 2)
    assert rig.taken() == []
    begun, refused = rig.office.drains
    refused("this cluster runs on one host")
    begun(None)
    assert rig.taken() == [(b"b", 2, "not_ready"), (b"a", 1, "ok")]
    rig.office.is_ready = False
    rig.ask(b"a", "drain", 3)
    assert (rig.taken(), len(rig.office.drains)) == ([(b"a", 3, "not_ready")], 2)


def test_drains_that_wait_are_bounded_together_with_restarts_and_answered_at_the_end() -> None:
    rig = Rig()
    for number in range(63):
        rig.ask(b"%d" % number, "restart", number, shard=0)
    rig.ask(b"63", "drain", 63)
    rig.ask(b"64", "drain", 64)
    assert rig.taken() == [(b"64", 64, "rate_limited")]
    rig.clerk.refuse_rest()
    assert (b"63", 63, "not_ready") in rig.taken()
    rig.office.drains.pop()(None)  # too late to be told
    assert rig.taken() == []
