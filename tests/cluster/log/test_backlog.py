from __future__ import annotations

from gwcluster.log.backlog import Backlog
from gwcluster.log.record import EVENT, MARKER, encode


def event(offset: int) -> bytes:
    return b"".join(encode(EVENT, b"READY", b"", bytes(100), 1, offset, None, 10_000.0))


MARK = b"".join(encode(MARKER, b"", b"", b"", 1, 0, 1, 10_000.0))
SIZE = len(event(0))


def test_within_the_bound_nothing_is_forgotten() -> None:
    backlog = Backlog(2 * SIZE)
    backlog.keep(event(5))
    backlog.keep(event(6))
    assert (list(backlog.chunks), backlog.hole) == ([event(5), event(6)], None)


def test_beyond_the_bound_the_oldest_is_forgotten_and_named() -> None:
    backlog = Backlog(2 * SIZE)
    for first in (5, 7, 9):
        backlog.keep(event(first) + event(first + 1))
    assert (list(backlog.chunks), backlog.hole) == ([event(9) + event(10)], (5, 8))


def test_a_forgotten_marker_is_no_hole() -> None:
    backlog = Backlog(SIZE)
    backlog.keep(MARK)
    backlog.keep(event(5))
    assert (list(backlog.chunks), backlog.hole) == ([event(5)], None)


def test_what_was_written_makes_room() -> None:
    backlog = Backlog(2 * SIZE)
    backlog.keep(event(5) + event(6))
    assert not backlog.written(SIZE)
    backlog.keep(event(7))
    assert (list(backlog.chunks), backlog.hole) == ([event(6), event(7)], None)
    assert backlog.written(SIZE)
    assert list(backlog.chunks) == [event(7)]
