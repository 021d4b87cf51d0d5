"""No event gets lost, comes twice or out of nowhere unnoticed, and latencies belong to their events."""

from __future__ import annotations

import pytest

from bench.accounts import NO_SHARD, Account, Received, Sent, account, grew, latencies

MS = 1_000_000


def received(*events: tuple[int, int, int]) -> Received:
    shards, seqs, times = zip(*events, strict=True) if events else ((), (), ())
    return Received(list(shards), list(seqs), list(times))


def test_all_that_was_sent_came() -> None:
    sent = Sent([(0, 2, 2, 0), (1, 2, 1, 0)])
    found = account(sent, received((0, 2, 1), (1, 2, 1), (0, 3, 1)))
    assert found == Account(sent=3, lost=0, twice=0)
    assert found.problems() == []


def test_what_is_lost_is_counted_and_said() -> None:
    found = account(Sent([(0, 2, 1_500, 0)]), received(*((0, seq, 1) for seq in range(2, 1_000))))
    assert found.lost == 502
    assert found.problems() == ["lost 502 of 1,500 events"]


def test_one_shards_event_does_not_stand_for_anothers() -> None:
    assert account(Sent([(0, 2, 1, 0), (1, 2, 1, 0)]), received((0, 2, 1), (0, 2, 1))) == Account(2, 1, 1)


def test_what_comes_again_or_was_never_sent_is_said() -> None:
    found = account(Sent([(0, 2, 1, 0)]), received((0, 2, 1), (0, 2, 2), (0, 9, 2)))
    assert found.problems() == ["2 events came again"]


def test_without_shards_each_number_has_to_come_once_for_each() -> None:
    sent = Sent([(0, 2, 2, 0), (1, 2, 2, 0)])
    untold = [(NO_SHARD, 2, 1), (NO_SHARD, 2, 1), (NO_SHARD, 3, 1)]
    assert account(sent, received(*untold)).lost == 1
    assert account(sent, received(*untold, (NO_SHARD, 3, 1))).problems() == []


def test_latency_is_from_the_send_of_that_event_in_the_order_of_receipt() -> None:
    sent = Sent([(0, 2, 1, 10 * MS), (0, 3, 2, 20 * MS)])
    assert latencies(sent, received((0, 2, 11 * MS), (0, 4, 26 * MS), (0, 3, 23 * MS))) == [
        0.001,
        0.006,
        0.003,
    ]


def test_only_the_first_receipt_counts_and_what_was_never_sent_has_no_latency() -> None:
    sent = Sent([(0, 2, 1, 0)])
    assert latencies(sent, received((0, 2, MS), (0, 2, 9 * MS), (0, 7, MS))) == [0.001]


def test_a_shard_that_is_not_told_is_the_only_one_there_is() -> None:
    assert latencies(Sent([(5, 2, 1, 0)]), received((NO_SHARD, 2, MS))) == [0.001]
    with pytest.raises(ValueError, match="shards apart"):
        latencies(Sent([(5, 2, 1, 0), (6, 2, 1, 0)]), received((NO_SHARD, 2, MS)))


def test_latencies_grow_where_the_end_is_slower_than_the_beginning() -> None:
    assert grew([0.001 * number for number in range(100)])
    assert not grew([0.05] * 100)
    assert not grew([0.0001] * 50 + [0.01] * 50)  # a trifle
    assert not grew([0.001] * 90 + [0.5] * 10)  # a pause, of which it recovered
    assert grew([9.0] * 100)  # behind from the beginning: it takes far less than that
