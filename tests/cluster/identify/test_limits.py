"""What Discord says reaches gate and ledger; a real ledger, a gate of an unknown budget, and fake time."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gwcluster.identify.gate import UNKNOWN, Gate
from gwcluster.identify.gateway_info import GatewayInfo
from gwcluster.identify.known import Known
from gwcluster.identify.ledger import Ledger, LedgerError
from gwcluster.identify.limits import Limits
from gwcluster.identify.start import Start, StartError

WALL = 1_790_000_000.0
API = "http://127.0.0.1:8/api/v10"
INFO = GatewayInfo("ws://127.0.0.1:9", 4, 1000, 990, 3600.0, 2)
FOUR = Start(4, (0, 1, 2, 3))


class Rig:
    def __init__(self, folder: Path, start: Start = FOUR, *, use_reserve: bool = False) -> None:
        self.now = 10_000.0
        self.ledger = Ledger(folder / "ledger", clock=self.wall)
        self.gate = Gate(max_concurrency=1, budget=UNKNOWN, jitter=lambda: 0.0)
        self.limits = Limits(
            self.gate,
            self.ledger,
            start,
            api=API,
            reserve=0.1,
            use_reserve=use_reserve,
            clock=lambda: self.now,
            wall=self.wall,
        )

    def wall(self) -> float:
        return WALL + self.now - 10_000.0

    def granted(self) -> list[int]:
        return [grant.shard for grant in self.gate.step(self.now)]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.ledger.close()


def test_before_the_first_answer_no_permit_leaves_and_the_answer_is_due(rig: Rig) -> None:
    for shard in range(4):
        rig.gate.ask(shard, rig.now)
    assert rig.granted() == []
    assert rig.limits.due
    assert rig.limits.recommended is None
    assert "may only resume" in (rig.gate.blocked or "")
    rig.now += 7200.0  # REST is away for two hours
    assert rig.granted() == []
    rig.limits.take(INFO)
    assert rig.granted() == [0, 1]
    assert not rig.limits.due
    assert rig.limits.recommended == 4


def test_an_answer_is_remembered_for_the_next_start(rig: Rig) -> None:
    rig.limits.take(replace(INFO, shards=5))
    assert rig.ledger.known == Known(API, "ws://127.0.0.1:9", 4, 5)


def test_an_absurd_recommendation_is_not_what_the_next_start_compares_with(rig: Rig) -> None:
    kept = []
    for recommended in (40, 400, 4001, 40):
        rig.limits.take(replace(INFO, shards=recommended))
        assert rig.ledger.known is not None
        kept.append(rig.ledger.known.recommended)
    assert kept == [40, 400, 400, 40]


def test_a_used_up_budget_is_looked_at_again(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.limits.take(replace(INFO, remaining=100))
    rig.granted()
    assert not rig.limits.due
    rig.now += 900.0
    assert rig.limits.due
    rig.limits.take(INFO)
    assert rig.gate.blocked is None
    rig.ledger.close()


def test_limits_of_long_ago_are_asked_for_again_once_a_shard_wants_to_identify(rig: Rig) -> None:
    # "should not be cached for extended periods of time as the value is not guaranteed to be the same
    # per-call" https://docs.discord.com/developers/events/gateway#get-gateway-bot
    rig.limits.take(INFO)
    rig.now += 20 * 86_400.0
    assert not rig.limits.due
    rig.gate.ask(0, rig.now)
    assert rig.limits.due
    rig.limits.take(replace(INFO, remaining=3))  # somebody else spent it
    assert rig.gate.budget.remaining == 3
    assert rig.granted() == []
    assert not rig.limits.due


def test_an_address_that_is_of_no_use_is_asked_for_again_every_two_minutes(rig: Rig) -> None:
    # "only call this endpoint to retrieve a new URL when they are unable to properly establish a connection
    # using the cached one" https://docs.discord.com/developers/events/gateway#get-gateway
    rig.limits.take(INFO)
    rig.now += 3600.0
    assert not rig.limits.due
    rig.limits.stranded = lambda: True
    assert rig.limits.due
    rig.limits.take(INFO)
    rig.now += 119.0
    assert not rig.limits.due
    rig.now += 1.0
    assert rig.limits.due


def test_windows_budget_and_caution_of_an_earlier_coordinator_hold(tmp_path: Path) -> None:
    before = Rig(tmp_path)
    for _ in range(200):
        permit = before.ledger.granted(0, 4, 0, before.wall())
        before.ledger.outcome(permit, "refused with op 9")
    before.ledger.close()
    rig = Rig(tmp_path)
    rig.now += 1.0
    rig.limits.take(replace(INFO, remaining=1000))
    assert rig.gate.budget.remaining == 800
    for shard in range(4):
        rig.gate.ask(shard, rig.now)
    assert rig.granted() == []
    assert "gained no shard that lasted a minute" in (rig.gate.blocked or "")
    rig.ledger.close()


def test_another_max_concurrency_holds_from_its_answer_on(rig: Rig) -> None:
    rig.limits.take(INFO)
    rig.limits.take(replace(INFO, max_concurrency=1))
    for shard in range(4):
        rig.gate.ask(shard, rig.now)
    assert rig.granted() == [0]


def test_a_start_for_which_the_budget_is_short_says_who_waits_and_until_when(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(tmp_path, Start(8, tuple(range(8)), frozenset({0})))
    rig.limits.take(replace(INFO, remaining=103, shards=8))
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    text = record.getMessage()
    assert "7 of 8 shards need an IDENTIFY, and 3 may be spent: 103 of 1000 a day are left" in text
    assert "in 1 h" in text
    assert text.endswith("Until then 4 of them wait")
    rig.ledger.close()


def test_sessions_that_a_start_gives_up_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(tmp_path, Start(8, tuple(range(8)), given_up=4))
    rig.limits.take(INFO)
    assert "4 sessions could be resumed, but not with this shard count and these intents" in caplog.text
    rig.ledger.close()


def test_a_recommendation_that_is_not_followed_is_said(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.limits.take(replace(INFO, shards=6))
    assert "Discord recommends 6 shards, and 4 are run" in caplog.text


def test_more_shards_for_which_the_budget_is_short_are_refused_before_the_first_identify(
    tmp_path: Path,
) -> None:
    rig = Rig(tmp_path, Start(32, tuple(range(32)), given_up=16))
    with pytest.raises(StartError, match="32 of 32 shards need an IDENTIFY, and 20 may be spent"):
        rig.limits.admit(replace(INFO, remaining=120), fresh=False)
    rig.limits.admit(replace(INFO, remaining=132), fresh=False)
    rig.ledger.close()
    allowed = Rig(tmp_path, Start(32, tuple(range(32)), given_up=16), use_reserve=True)
    allowed.limits.admit(replace(INFO, remaining=120), fresh=False)
    allowed.ledger.close()


def test_a_cold_start_for_which_the_budget_is_short_begins_with_what_there_is(rig: Rig) -> None:
    rig.limits.admit(replace(INFO, remaining=102), fresh=False)
    rig.limits.take(replace(INFO, remaining=102))
    for shard in range(4):
        rig.gate.ask(shard, rig.now)
    assert rig.granted() == [0, 1]
    for shard in (0, 1):
        rig.gate.used(shard, rig.now, rig.now)
    rig.now += 60.0
    assert rig.granted() == []


def test_a_fresh_start_says_what_it_costs_or_is_refused(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.limits.admit(INFO, fresh=True)
    assert "--fresh: this start costs 4 of the 890 identifies that may be spent" in caplog.text
    with pytest.raises(StartError, match="No session was given up"):
        rig.limits.admit(replace(INFO, remaining=103), fresh=True)


def test_the_reserve_that_was_approved_is_spent_once_and_no_more(tmp_path: Path) -> None:
    rig = Rig(tmp_path, use_reserve=True)
    rig.limits.take(replace(INFO, remaining=100, max_concurrency=16))
    for shard in range(4):
        rig.gate.ask(shard, rig.now)
    assert rig.granted() == [0, 1, 2, 3]
    for shard in range(4):
        rig.gate.used(shard, rig.now, rig.now)
        rig.gate.ask(shard, rig.now)
    rig.now += 900.0
    rig.limits.take(replace(INFO, remaining=96, max_concurrency=16))
    assert rig.granted() == []
    rig.ledger.close()


def test_a_ledger_that_can_not_keep_the_answer_does_not_stop_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Full(Ledger):
        def keep_known(self, known: Known) -> None:
            raise LedgerError("disk full")

    rig = Rig(tmp_path)
    rig.limits._ledger = Full(tmp_path / "ledger", clock=rig.wall)
    rig.limits.take(INFO)
    assert "disk full; the next start will wait for Discord's answer" in caplog.text
    rig.gate.ask(0, rig.now)
    assert rig.granted() == [0]
    rig.limits._ledger.close()
    rig.ledger.close()
