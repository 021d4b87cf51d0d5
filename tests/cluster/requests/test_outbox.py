from __future__ import annotations

from gwcluster.requests.outbox import Outbox


def outbox(per_client_bytes: int = 10_000, total_bytes: int = 100_000) -> Outbox:
    return Outbox(per_client_bytes=per_client_bytes, total_bytes=total_bytes)


def test_answers_wait_in_order() -> None:
    box = outbox()
    for number in (b"1", b"2"):
        assert box.put(b"a", [b"a", number])
    assert box.first(b"a") == [b"a", b"1"]
    box.sent(b"a")
    assert box.first(b"a") == [b"a", b"2"]
    assert box.has(b"a")
    box.sent(b"a")
    assert not box.has(b"a")
    assert box.first(b"a") is None
    assert box.clients == []


def test_what_is_too_much_for_one_client_is_dropped_and_counted_and_others_have_room() -> None:
    box = outbox(per_client_bytes=3000)
    assert [box.put(b"a", [bytes(1000)]) for _ in range(4)] == [True, True, False, False]
    assert box.put(b"b", [bytes(1000)])
    assert box.dropped == 2
    box.sent(b"a")
    assert box.put(b"a", [bytes(1000)])


def test_one_answer_may_wait_whatever_its_size() -> None:
    box = outbox(per_client_bytes=3000)
    assert box.put(b"a", [bytes(50_000)])
    assert not box.put(b"a", [b""])


def test_small_answers_cost_something_too() -> None:
    box = outbox(per_client_bytes=3000)
    assert sum(box.put(b"a", [b""]) for _ in range(100)) == 15


def test_what_waits_in_all_is_bounded_and_who_has_taken_nothing_for_the_longest_loses_it() -> None:
    box = outbox(total_bytes=4000)
    for client in (b"reads", b"mute", b"third"):
        assert box.put(client, [bytes(500)])
    assert box.put(b"reads", [bytes(500)])
    assert box.put(b"mute", [bytes(500)])
    box.sent(b"reads")  # and so "mute" is the one
    assert box.put(b"fourth", [bytes(1000)]) is True
    assert box.put(b"fifth", [bytes(500)]) is False
    assert box.dropped == 2
    assert set(box.clients) == {b"reads", b"third", b"fourth", b"fifth"}


def test_who_has_taken_nothing_for_the_longest_loses_what_comes_to_nobody_else() -> None:
    box = outbox(total_bytes=3000)
    assert box.put(b"mute", [bytes(1000)])
    assert box.put(b"other", [bytes(1000)])
    assert not box.put(b"mute", [bytes(1000)])
    assert box.dropped == 1
    assert box.clients == [b"mute", b"other"]


def test_an_answer_that_never_has_room_costs_no_other_its_place() -> None:
    box = outbox(total_bytes=3000)
    assert box.put(b"a", [bytes(1000)])
    assert not box.put(b"b", [bytes(9000)])
    assert box.clients == [b"a"]
    box.sent(b"a")
    assert box.put(b"b", [bytes(9000)]), "alone it may wait, so that everybody gets on"


def test_who_is_gone_takes_nothing_any_more() -> None:
    box = outbox()
    box.put(b"a", [b"x"])
    box.forget(b"a")
    box.forget(b"nobody")
    assert box.clients == []
    assert box.dropped == 0
