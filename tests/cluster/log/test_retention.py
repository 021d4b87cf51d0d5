from __future__ import annotations

from dataclasses import dataclass

from gwcluster.log.retention import count_expired, segment_bytes

MIB = 1_048_576


@dataclass
class Piece:
    size: int
    begun_at: float


def pieces(*begun_at: float) -> list[Piece]:
    return [Piece(MIB, at) for at in begun_at]


def test_a_segment_is_an_eighth_of_the_retention_between_1_and_8_mib() -> None:
    sizes = [segment_bytes(n * MIB) for n in (1, 8, 24, 64, 1024)]
    assert sizes == [MIB, MIB, 3 * MIB, 8 * MIB, 8 * MIB]


def test_the_newest_segment_always_stays() -> None:
    assert count_expired(pieces(0.0), closed_bytes=0, age_s=1.0, now=10_000.0) == 0
    assert count_expired([], closed_bytes=0, age_s=1.0, now=10_000.0) == 0


def test_segments_go_by_bytes_from_the_oldest() -> None:
    four = pieces(9_990.0, 9_991.0, 9_992.0, 9_993.0)
    assert count_expired(four, closed_bytes=3 * MIB, age_s=100.0, now=10_000.0) == 0
    assert count_expired(four, closed_bytes=2 * MIB, age_s=100.0, now=10_000.0) == 1
    assert count_expired(four, closed_bytes=0, age_s=100.0, now=10_000.0) == 3


def test_a_segment_goes_by_age_once_the_one_after_it_is_that_old() -> None:
    three = pieces(9_000.0, 9_500.0, 9_900.0)
    assert count_expired(three, closed_bytes=9 * MIB, age_s=500.1, now=10_000.0) == 0
    assert count_expired(three, closed_bytes=9 * MIB, age_s=500.0, now=10_000.0) == 1
    assert count_expired(three, closed_bytes=9 * MIB, age_s=50.0, now=10_000.0) == 2
