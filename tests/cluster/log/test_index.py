from __future__ import annotations

import pytest

from gwcluster.log.index import Index, Run, Walk
from gwcluster.log.record import EVENT, MARKER, Ending, encode, encode_hole

EPOCH = "9f86d081884c7d65"


def event(offset: int, size: int = 2, epoch: str = EPOCH) -> bytes:
    return b"".join(encode(EVENT, b"READY", epoch.encode(), bytes(size), 1, offset, 1, 10_000.0))


def marker() -> bytes:
    return b"".join(encode(MARKER, b"", b"", b"", 1, 0, 1, 10_000.0))


def index(first: int = 0, upper: int = 1000) -> Index:
    return Index(first, upper, EPOCH, 0)


def runs(found: Index) -> list[tuple[int, int]]:
    return [(run.first, run.next - 1) for run in found.runs]


def test_a_healthy_segment_is_one_run_however_it_arrives() -> None:
    data = event(0) + marker() + event(1) + encode_hole(2, 4, 10_000.0) + event(5) + marker()
    for cut in range(len(data) + 1):
        found = index()
        found.grow(data[:cut])
        assert found.grow(data[found.end :]) is Ending.WHOLE
        assert runs(found) == [(0, 5)]
        assert found.end == found.runs[0].end == len(data)
        assert found.next == 6


def test_a_mark_is_never_behind_what_is_looked_for_and_near_it() -> None:
    run = Run(100, 50)
    data, places = b"", []
    for offset in range(100, 400):
        places.append(50 + len(data))
        data += event(offset, 1000)
    found = Index(100, 1000, EPOCH, 50)
    found.grow(data)
    (run,) = found.runs
    for offset in range(100, 400):
        mark, place = run.mark(offset)
        assert mark <= offset
        assert place == places[mark - 100]
        assert places[offset - 100] - place < 40_000
    assert run.mark(5000)[0] <= 399


@pytest.mark.parametrize(
    "stranger",
    [event(0), event(2), event(1, epoch="0" * 16), encode_hole(2, 5, 0.0), encode_hole(1, 1000, 0.0)],
)
def test_a_whole_record_that_does_not_follow_ends_the_walk_before_it(stranger: bytes) -> None:
    walk = Walk(event(0) + stranger, EPOCH.encode(), 0, 1000)
    assert [entry.offset for entry in walk] == [0]
    assert (walk.place, walk.next, walk.ending) == (len(event(0)), 1, None)


def test_what_is_found_by_examining_goes_on_growing() -> None:
    damaged = bytearray(event(0) + event(1) + event(2))
    damaged[len(event(0)) + 20] ^= 1
    found = index()
    found.examine(bytes(damaged))
    assert runs(found) == [(0, 0), (2, 2)]
    assert found.grow(event(3) + event(4)) is Ending.WHOLE
    assert runs(found) == [(0, 0), (2, 4)]


def test_growth_behind_a_record_out_of_place_is_a_run_of_its_own() -> None:
    found = index()
    found.examine(event(0) + event(1) + event(0))
    assert runs(found) == [(0, 1)]
    assert found.grow(event(2)) is Ending.WHOLE
    assert runs(found) == [(0, 1), (2, 2)]
    assert found.runs[1].place == 3 * len(event(0))


def test_offsets_of_other_segments_and_events_of_other_logs_are_not_its_own() -> None:
    found = index(5, 8)
    found.examine(
        event(4) + event(5) + event(6, epoch="0" * 16) + event(7) + event(8) + encode_hole(6, 9, 0.0)
    )
    assert runs(found) == [(5, 5), (7, 7)]
