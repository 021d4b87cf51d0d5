from __future__ import annotations

from gwcluster.requests.fair_queue import FairQueue


def everyone(_: bytes) -> bool:
    return True


def drained(queue: FairQueue[int]) -> list[tuple[bytes, int]]:
    taken = []
    while (one := queue.take(everyone)) is not None:
        taken.append(one)
    return taken


def test_who_asks_much_leaves_room_for_who_asks_little() -> None:
    queue: FairQueue[int] = FairQueue(per_client=32, total=1024)
    greedy = [b"%d" % number for number in range(500)]
    for _ in range(32):
        for client in greedy:
            queue.put(client, 1)
    assert 500 <= len(queue) < 1024
    assert queue.put(b"modest", 1)


def test_however_many_ask_there_is_a_last_place_and_none_behind_it() -> None:
    queue: FairQueue[int] = FairQueue(per_client=32, total=1024)
    assert [queue.put(b"%d" % number, 1) for number in range(1025)] == [True] * 1024 + [False]


def test_all_that_waits_can_be_taken_at_once_but_for_those_who_are_forgotten_meanwhile() -> None:
    queue: FairQueue[int] = FairQueue(per_client=9, total=9)
    for number in range(3):
        queue.put(b"a", number)
        queue.put(b"b", 10 + number)
    taken = []
    for one in queue.drain():
        taken.append(one)
        if one == 10:
            queue.forget(b"a")
    assert taken == [0, 10, 11, 12]
    assert len(queue) == 0


def test_clients_take_turns_however_much_one_of_them_asks() -> None:
    queue: FairQueue[int] = FairQueue(per_client=100, total=100)
    for number in range(4):
        queue.put(b"a", number)
    queue.put(b"b", 10)
    queue.put(b"c", 20)
    queue.put(b"b", 11)
    order = [(b"a", 0), (b"b", 10), (b"c", 20), (b"a", 1), (b"b", 11), (b"a", 2), (b"a", 3)]
    assert drained(queue) == order


def test_a_client_may_have_so_much_waiting_and_no_more() -> None:
    queue: FairQueue[int] = FairQueue(per_client=2, total=4)
    assert [queue.put(b"a", number) for number in range(3)] == [True, True, False]
    assert [queue.put(b"b", number) for number in range(2)] == [True, False]
    assert queue.put(b"c", 1)
    assert len(queue) == 4
    assert not queue.put(b"d", 1)
    queue.take(everyone)
    assert queue.put(b"d", 1)


def test_a_client_that_may_not_be_served_keeps_its_turn_and_holds_up_nobody() -> None:
    queue: FairQueue[int] = FairQueue(per_client=9, total=9)
    for client in (b"a", b"b"):
        for number in range(2):
            queue.put(client, number)
    assert queue.take(lambda client: client != b"a") == (b"b", 0)
    assert queue.take(lambda client: client != b"a") == (b"b", 1)
    assert queue.take(lambda client: client != b"a") is None
    assert drained(queue) == [(b"a", 0), (b"a", 1)]


def test_who_is_gone_wants_nothing_any_more() -> None:
    queue: FairQueue[int] = FairQueue(per_client=9, total=3)
    for number in range(3):
        queue.put(b"a", number)
    queue.forget(b"a")
    queue.forget(b"nobody")
    assert len(queue) == 0
    assert queue.put(b"b", 1)
    assert drained(queue) == [(b"b", 1)]
