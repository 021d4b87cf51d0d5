"""A simulated day in which Discord misbehaves: the identify budget is never burnt."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from functools import partial
from pathlib import Path

from gwsimulator.faults import Refused
from gwsimulator.settings import Settings
from support.lean import START, Lean

HOUR_S = 3600.0


class Trouble:
    """Drops every connection within minutes; every second RESUME is refused, and sometimes an IDENTIFY is."""

    def __init__(self, day: Lean, seed: int) -> None:
        self._day = day
        self._dice = random.Random(seed)
        self._turn = itertools.count()
        self._doomed: set[int] = set()
        self.over = False
        day.every(5.0, self.look)

    def look(self) -> None:
        for link in self._day.gateway.links.all():
            if link.session is not None and link.id not in self._doomed:
                self._doomed.add(link.id)
                self._day.at(self._day.now + self._dice.uniform(1.0, 600.0), partial(self.drop, link.id))

    def drop(self, link_id: int) -> None:
        gateway = self._day.gateway
        link = gateway.links.get(link_id)
        if link is None or link.session is None or self.over:
            return
        session, shard = link.session, link.shard
        self._day.perform(gateway.links.cut(link, self._day.now))
        if next(self._turn) % 2:
            gateway.sessions.drop(session)
        if self._dice.random() < 0.3:
            self._day.faults.identifies.add(Refused("op9"), where=shard)


def test_a_day_of_dropped_connections_refused_resumes_and_op_9_leaves_the_reserve_alone(
    tmp_path: Path,
) -> None:
    settings = Settings(
        shards=64, guilds=0, max_concurrency=1, seed=3, session_ttl_s=600.0, heartbeat_interval_ms=120_000
    )
    with Lean(tmp_path, settings, reserve=0.1) as day, day.listening():
        Trouble(day, seed=5)
        day.run_until(START + 24 * HOUR_S)
    everything = [f"{record.levelname} {record.getMessage()}" for _, record in day.said]
    said = [line for line in everything if " identify budget: " in line]
    sent = Counter(one.outcome for one in day.seen.identifies)
    assert sent.total() == 900, "all that the reserve leaves of 1000, and not one more"
    assert sent["op9"] > 100
    refused = [line for line in everything if "was refused: shards of its key" in line]
    assert len(refused) == sent["op9"], "each refusal is told"
    assert len(day.seen.resumes) > sent.total(), "a RESUME is always tried first"
    assert day.wrong(rest_calls=100) == []
    (opened,) = (i for i, line in enumerate(said) if "gained no shard that lasted a minute" in line)
    assert said[opened].startswith("ERROR identify budget: 200 identifies of the last 24 h"), "a fifth"
    assert said[opened + 1].startswith("INFO identify budget: permits are granted"), "it closed again"
    held = [line for line in said if "permits are granted" not in line]
    assert {line.split()[0] for line in held} == {"ERROR"}, "each time they stop, a person is told"
    assert any(
        "100 of them kept in reserve: no shard may identify until Discord's reset in 22 h" in line
        for line in held
    )


def test_the_day_after_a_bad_day_everything_comes_back_within_the_budget(tmp_path: Path) -> None:
    settings = Settings(
        shards=16, guilds=0, seed=4, daily_limit=200, session_ttl_s=600.0, heartbeat_interval_ms=600_000
    )
    with Lean(tmp_path, settings, reserve=0.1) as day:
        trouble = Trouble(day, seed=6)
        day.run_until(START + 6 * HOUR_S)
        assert len(day.seen.identifies) == 180
        trouble.over = True
        day.run_until(START + 26 * HOUR_S)
    assert day.live == 16, "Discord's reset brought the budget back, and the shards with it"
    assert day.wrong(rest_calls=120) == []
