from __future__ import annotations

from datetime import timedelta, timezone

import pytest

from gwcluster.spans import moment, span

WALL = 1_790_000_000.0
"""2026-09-21 14:13:20 UTC"""


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5.0, "0 s"),
        (0.4, "0 s"),
        (59.6, "1 min"),
        (315.0, "5 min 15 s"),
        (3_600.0, "1 h"),
        (86_399.0, "24 h"),
        (82_721.0, "22 h 59 min"),
    ],
)
def test_a_length_of_time_is_said_with_its_two_largest_units(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_a_moment_is_said_in_local_time_in_utc_and_from_now_on() -> None:
    zone = timezone(timedelta(hours=2))
    assert moment(WALL + 315.0, WALL, zone) == "16:18 (14:18 UTC), in 5 min 15 s"
    assert moment(WALL + 43_200.0, WALL, zone) == "2026-09-22 04:13 (2026-09-22 02:13 UTC), in 12 h"
    assert moment(WALL, WALL, zone) == "16:13 (14:13 UTC), now"
