from __future__ import annotations

from gwworker.thrift import Thrift

MIB = 1 << 20
START = 10_000.0


def looks(thrift: Thrift, *sizes: int, at: float = START) -> list[bool]:
    """Look every five seconds."""
    return [thrift.look(size, at + 5.0 * index) for index, size in enumerate(sizes)]


def test_a_worker_that_grew_and_holds_still_gives_back_what_is_free() -> None:
    assert looks(Thrift(20 * MIB), 20 * MIB, 25 * MIB, 31 * MIB, 31 * MIB) == [False, False, False, True]


def test_one_that_still_grows_waits() -> None:
    assert not any(looks(Thrift(20 * MIB), *(MIB * size for size in range(20, 40))))


def test_less_than_a_mebibyte_is_not_worth_it() -> None:
    assert not any(looks(Thrift(20 * MIB), *([21 * MIB - 4096] * 10)))


def test_what_is_in_use_is_not_asked_for_again() -> None:
    thrift = Thrift(20 * MIB)
    assert looks(thrift, 30 * MIB, 30 * MIB)[-1]
    thrift.trimmed(29 * MIB, START + 5.0)
    assert not any(looks(thrift, *([29 * MIB] * 30), at=START + 10.0))


def test_a_worker_that_grows_again_gives_back_every_fifteen_seconds_at_most() -> None:
    thrift = Thrift(20 * MIB)
    assert looks(thrift, 30 * MIB, 30 * MIB)[-1]
    thrift.trimmed(20 * MIB, START + 5.0)
    again = looks(thrift, *([30 * MIB] * 4), at=START + 10.0)
    assert again == [False, False, True, True]


def test_the_least_that_was_needed_counts_not_the_first() -> None:
    thrift = Thrift(20 * MIB)
    assert looks(thrift, 18 * MIB, 18 * MIB, 19 * MIB, 19 * MIB) == [False, False, False, True]


def test_it_looks_every_five_seconds() -> None:
    thrift = Thrift(20 * MIB)
    assert thrift.is_due(START)
    thrift.look(20 * MIB, START)
    assert not thrift.is_due(START + 4.9)
    assert thrift.is_due(START + 5.0)
