"""The arithmetic of what `scripts/bench scale` and `memory` print."""

from __future__ import annotations

from bench.memory import kinds_of_memory
from bench.scale import centiles, halves


def test_centiles_are_of_the_ordered_times_in_milliseconds() -> None:
    times = [number / 1000 for number in range(1000, 0, -1)]
    assert centiles(times) == "p50 501.0 ms, p99 991.0 ms, p99.9 1000.0 ms, most 1000.0 ms"
    assert centiles([0.002]) == "p50 2.0 ms, p99 2.0 ms, p99.9 2.0 ms, most 2.0 ms"


def test_nothing_is_said_of_nothing() -> None:
    assert centiles([]) == "nothing came"


def test_half_of_the_shards_come_back_before_all_of_them_do() -> None:
    assert halves([0.5, 3.0, 1.0]) == "all are RESUMED after 3.00 s, half of them after 1.00 s"


SMAPS = """\
5581a000-5583a000 rw-p 00000000 00:00 0                          [heap]
Pss:                  60 kB
Private_Clean:         1 kB
Private_Dirty:        40 kB
7f0000000000-7f0000100000 rw-p 00000000 00:00 0 
Pss:                   7 kB
Private_Dirty:         7 kB
7f0001000000-7f0001800000 rw-p 00000000 00:00 0 
Pss:                   3 kB
7f0003000000-7f0003100000 rw-p 00000000 00:00 0 
Pss:                  90 kB
Private_Dirty:        20 kB
7f0005000000-7f0005100000 r-xp 00000000 fe:00 12                 /usr/lib/libz.so.1
Pss:                   5 kB
7f0006000000-7f0006100000 rw-p 00000000 fe:00 12                 /usr/lib/libz.so.1
Pss:                   2 kB
7f0007000000-7f0007100000 r--p 00000000 fe:00 12                 /usr/lib/libc.so.6
Pss:                   0 kB
"""  # noqa: W291 - as the kernel writes it


def test_memory_is_summed_by_what_it_is_for_largest_first_and_nothing_is_left_out() -> None:
    found = kinds_of_memory(SMAPS)
    assert list(found.items()) == [
        ("Python objects, and large blocks", (90, 20)),
        ("malloc", (60, 41)),
        ("malloc of threads", (7, 7)),
        ("libz, code", (5, 0)),
        ("stacks of threads", (3, 0)),
        ("libz, data", (2, 0)),
    ]
