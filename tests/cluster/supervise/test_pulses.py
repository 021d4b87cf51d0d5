from __future__ import annotations

from gwcluster.supervise.pulses import Pulses

START = 10_000.0


def looks(pulses: Pulses, until: float, *, heard: dict[int, float] | None = None) -> list[tuple[float, int]]:
    """Look whenever it is due; return who was found hanging when. `heard`: shard → how often it speaks."""
    found: list[tuple[float, int]] = []
    now = START
    while now <= until:
        for shard, every_s in (heard or {}).items():
            if (now - START) % every_s == 0:
                pulses.heard(shard, now)
        if pulses.due is not None and now >= pulses.due:
            found += [(now - START, shard) for shard in pulses.look(now)]
        now += 1.0
    return found


def test_without_workers_there_is_nothing_to_look_for() -> None:
    assert Pulses().due is None
    assert Pulses().look(START) == []


def test_who_speaks_every_few_seconds_is_well() -> None:
    pulses = Pulses()
    pulses.began(0, START)
    assert looks(pulses, START + 600.0, heard={0: 2.0}) == []


def test_a_worker_that_says_nothing_for_twenty_seconds_hangs_and_others_do_not() -> None:
    pulses = Pulses()
    pulses.began(0, START)
    pulses.began(1, START)
    assert looks(pulses, START + 24.0, heard={1: 2.0}) == [(20.0, 0)]


def test_who_does_not_die_of_it_is_found_again_after_as_long() -> None:
    pulses = Pulses()
    pulses.began(0, START)
    assert looks(pulses, START + 44.0) == [(20.0, 0), (40.0, 0)]


def test_the_last_words_of_one_that_is_gone_do_not_bring_it_back() -> None:
    pulses = Pulses()
    pulses.began(0, START)
    pulses.gone(0)
    pulses.heard(0, START + 1.0)
    assert pulses.due is None


def test_who_is_gone_is_not_looked_for() -> None:
    pulses = Pulses()
    pulses.began(0, START)
    pulses.gone(0)
    assert pulses.due is None
    assert pulses.look(START + 100.0) == []


def test_when_we_were_stuck_ourselves_nobody_is_blamed_for_what_we_did_not_hear() -> None:
    pulses = Pulses()
    pulses.began(0, START)
    assert pulses.look(START + 5.0) == []
    assert pulses.look(START + 300.0) == [], "ten minutes in which we heard nobody"
    assert looks_after(pulses, START + 300.0) == 310.0, "ten seconds before we were stuck, ten after it"


def looks_after(pulses: Pulses, now: float) -> float:
    """Return the moment, from the start, at which somebody is found hanging."""
    while not pulses.look(now):
        now += 1.0
    return now - START
