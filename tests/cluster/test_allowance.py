from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gwcluster.allowance import Allowance

LITTLE = Allowance(each_bytes=100, total_bytes=250, per_s_bytes=10)


def test_who_keeps_within_it_stays() -> None:
    assert LITTLE.beyond({}) == []
    assert LITTLE.beyond({1: (100, 0.0), 2: (100, 0.0), 3: (50, 0.0)}) == []


def test_who_sends_more_than_one_may_is_ended() -> None:
    assert LITTLE.beyond({1: (101, 0.0), 2: (5, 0.0)}) == [1]


def test_of_too_much_in_all_those_that_sent_the_most_are_ended() -> None:
    assert LITTLE.beyond({1: (80, 0.0), 2: (90, 0.0), 3: (81, 0.0), 4: (10, 0.0)}) == [2]
    assert LITTLE.beyond(dict.fromkeys(range(6), (60, 0.0))) == [0, 1]


def test_with_time_some_is_forgiven() -> None:
    assert LITTLE.beyond({1: (200, 9.0)}) == [1]
    assert LITTLE.beyond({1: (200, 10.0)}) == []
    assert LITTLE.beyond({1: (0, 1e9), 2: (101, 0.0)}) == [2], "nobody saves it up for others"


@given(st.dictionaries(st.integers(0, 50), st.tuples(st.integers(0, 300), st.floats(0, 40))))
def test_what_is_left_is_within_it(sent: dict[int, tuple[int, float]]) -> None:
    ended = LITTLE.beyond(sent)
    left = [count - 10 * seconds for each, (count, seconds) in sent.items() if each not in ended]
    assert all(held <= 101 for held in left)
    assert sum(max(0.0, held) for held in left) <= 250 + len(left)
