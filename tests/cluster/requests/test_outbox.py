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


def test_what_waits_in_all_is_bounded() -> None:
    box = outbox(total_bytes=3000)
    assert [box.put(b"%d" % number, [bytes(1000)]) for number in range(3)] == [True, True, False]
    box.forget(b"0")
    assert box.put(b"2", [bytes(1000)])


def test_who_is_gone_takes_nothing_any_more() -> None:
    box = outbox()
    box.put(b"a", [b"x"])
    box.forget(b"a")
    box.forget(b"nobody")
    assert box.clients == []
    assert box.dropped == 0
