from __future__ import annotations

from gwcluster.discord import Op
from gwworker.command_rules import Checked
from gwworker.waiting_room import Waiting, WaitingRoom

START = 10_000.0


def waiting(id_: int, ttl_s: float = 30.0, size: int = 100) -> Waiting:
    return Waiting(id_, Checked(Op.VOICE_STATE_UPDATE, b"x" * size), START + ttl_s)


def test_who_comes_first_leaves_first() -> None:
    room = WaitingRoom()
    for id_ in (5, 3, 4):
        room.add(waiting(id_))
    assert [room.first().id for _ in range(3)] == [5, 3, 4]
    assert (len(room), room.bytes) == (0, 0)


def test_a_thousand_fit() -> None:
    room = WaitingRoom()
    for id_ in range(1000):
        assert room.has_room(waiting(id_))
        room.add(waiting(id_))
    assert not room.has_room(waiting(1000))
    room.first()
    assert room.has_room(waiting(1000))


def test_half_a_mebibyte_fits() -> None:
    room = WaitingRoom()
    for id_ in range(128):
        assert room.has_room(waiting(id_, size=4096))
        room.add(waiting(id_, size=4096))
    assert not room.has_room(waiting(128, size=1))
    room.take(64)
    assert room.has_room(waiting(128, size=4096))
    assert not room.has_room(waiting(128, size=4097))


def test_each_leaves_when_its_own_time_is_over() -> None:
    room = WaitingRoom()
    for id_, ttl_s in ((1, 30.0), (2, 5.0), (3, 10.0), (4, 5.0)):
        room.add(waiting(id_, ttl_s))
    assert room.next_expiry == START + 5.0
    assert room.expired(START + 4.9) == []
    assert [late.id for late in room.expired(START + 5.0)] == [2, 4]
    assert [here.id for here in room] == [1, 3]
    assert [late.id for late in room.expired(START + 99.0)] == [3, 1]
    assert room.next_expiry is None


def test_who_has_left_does_not_expire() -> None:
    room = WaitingRoom()
    room.add(waiting(1, 5.0))
    room.add(waiting(2, 7.0))
    room.first()
    assert room.next_expiry == START + 7.0
    assert room.take(2).id == 2
    assert room.next_expiry is None
    assert room.expired(START + 99.0) == []
