from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gwcluster.board import Board, Counts
from gwcluster.identify.budget import UNKNOWN, Budget
from gwcluster.identify.gate import Gate
from gwcluster.sight import Neighbours, Sight, in_words, named, sight
from gwcluster.wire.notices import ShardState
from support.statuses import NATS, SILENT, hosts, neighbour

WALL = 1_790_000_000.0


def gate(budget: Budget) -> Gate:
    made = Gate(max_concurrency=1, budget=budget, jitter=random.random)
    made.step(10_000.0)
    return made


def budget(remaining: int) -> Budget:
    return Budget(total=1000, remaining=remaining, reset_at=20_000.0, reserve=100)


def test_what_is_live_failed_and_degraded_is_seen_with_reasons() -> None:
    board = Board(range(4), WALL, clock=lambda: 10_000.0)
    board.changed(0, ShardState.LIVE, "READY", WALL)
    board.views[0].degraded = "No space left on device"
    board.changed(2, ShardState.FAILED, "died 6 times", WALL)
    seen = sight(board, gate(budget(900)), refused=None, stopping=False)
    assert seen.live == {0}
    assert seen.failed == {2: "died 6 times"}
    assert seen.degraded == {0: "No space left on device"}
    assert seen.counts == Counts(ready=1, total=4, degraded=1, failed=1)
    assert (seen.refused, seen.exhausted, seen.slowed, seen.stopping) == (None, None, None, False)


def test_a_budget_that_is_used_up_is_told_from_permits_that_are_held_back() -> None:
    board = Board(range(2), WALL, clock=lambda: 10_000.0)
    spent = sight(board, gate(budget(100)), refused=None, stopping=False)
    assert spent.exhausted is not None
    assert spent.exhausted.startswith("100 of 1000 identifies a day are left")
    assert spent.slowed is None
    breaker = gate(budget(1000))
    for at in range(200):
        breaker.used(0, 10_000.0 + at, 10_000.0 + at)
        breaker.refused(0, 10_000.0 + at)
    breaker.step(10_300.0)
    slowed = sight(board, breaker, refused=None, stopping=False)
    assert slowed.slowed is not None
    assert slowed.slowed.startswith("200 identifies of the last 24 h gained no shard")
    assert slowed.exhausted is None


def test_limits_that_discord_has_not_told_are_no_used_up_budget() -> None:
    seen = sight(Board([0], WALL, clock=lambda: 10_000.0), gate(UNKNOWN), refused=None, stopping=False)
    assert (seen.exhausted, seen.slowed) == (None, None)


def test_a_refusal_before_any_shard_is_seen() -> None:
    seen = sight(None, None, refused="status 401", stopping=True)
    assert seen == Sight(refused="status 401", stopping=True)


def test_one_line_says_how_many_are_live_and_what_is_wrong() -> None:
    counts = Counts(ready=60, total=64, degraded=1, failed=2)
    seen = Sight(counts=counts, failed={3: "x", 4: "x"}, degraded={7: "full"}, exhausted="no more")
    assert in_words(seen) == "60 of 64 shards live, failed: 3-4, degraded: 7; identify budget used up"
    assert in_words(Sight()) == "waiting for Discord to tell the shards"
    assert in_words(Sight(counts=counts, stopping=True)) == "stopping; 60 of 64 shards live"
    assert in_words(Sight(counts=counts, slowed="x")) == "60 of 64 shards live; identifies held back"
    assert in_words(Sight(counts=counts, slowed="x", refused="y")) == (
        "60 of 64 shards live; Discord refuses the cluster"
    )


def test_many_shards_are_named_by_the_first_of_them() -> None:
    assert named([0, 1, 2, 3, 7]) == "0-3, 7"
    assert named(range(500)) == "0-499"
    told = named(range(0, 1000, 2))
    assert told.startswith("0, 2, 4, ")
    first, _, rest = told.partition(" and ")
    assert len(told) < 80
    assert rest == f"{500 - len(first.split(', '))} more"


def shared(*here: int, free: Sequence[int] = (), **changes: Any) -> Sight:
    """Return what host b sees of four shards, of which it has these; a has the others, c none."""
    board = Board(range(4), WALL, clock=lambda: 10_000.0, away=set(range(4)) - set(here))
    for shard in here:
        board.changed(shard, ShardState.LIVE, "READY", WALL)
    others = [shard for shard in range(4) if shard not in {*here, *free}]
    all_ = hosts("b", neighbour("a", others), neighbour("b", here), neighbour("c", []), free=free)
    return sight(board, None, refused=None, stopping=False, hosts={**all_, **changes})


def test_of_several_hosts_it_is_seen_who_is_there_and_whose_the_shards_are() -> None:
    seen = shared(2, 3, free=[0])
    assert seen.neighbours == Neighbours("b", present=frozenset("abc"), free=(0,), away=frozenset({0, 1}))
    assert in_words(seen) == "2 of 2 shards live, 1 elsewhere, run by no host: 0"
    assert in_words(shared()) == "0 of 0 shards live, 4 elsewhere"


def test_a_host_that_was_not_heard_of_for_a_lease_is_not_there() -> None:
    silent = [neighbour("a", [], seen_s=15.1), neighbour("b", [0]), neighbour("c", [], draining=True)]
    seen = shared(0, hosts=silent)
    assert seen.neighbours is not None
    assert (seen.neighbours.present, seen.neighbours.draining) == (frozenset("bc"), frozenset("c"))
    assert seen.neighbours.speaks


def test_one_of_them_speaks_for_all() -> None:
    seen = shared(0)
    assert seen.neighbours is not None
    assert not seen.neighbours.speaks
    assert replace(seen.neighbours, me="a").speaks
    assert not replace(seen.neighbours, me="a", present=None).speaks


def test_while_nats_does_not_answer_that_is_said_and_nobody_is_known_to_be_there() -> None:
    seen = shared(2, 3, nats={**NATS, **SILENT})
    assert seen.neighbours is not None
    assert (seen.neighbours.present, seen.neighbours.free) == (None, ())
    assert in_words(seen) == (
        "2 of 2 shards live, 2 elsewhere; NATS has not answered for 9 s (no servers available): "
        "shards pause in 3 s"
    )
    soon = shared(2, 3, nats={**NATS, **SILENT, "unreachable_s": 4.0})
    assert in_words(soon) == "2 of 2 shards live, 2 elsewhere"


def test_that_a_host_is_draining_is_said() -> None:
    assert in_words(shared(0, draining=True)).endswith("; draining")
