from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from typing import Any

import pytest

from gwcluster.identify.gate import Budget, Gate
from gwcluster.identify.ledger import Ledger, LedgerError
from gwcluster.identify.permits import Permits
from gwcluster.wire.control import (
    AskPermit,
    IdentifyRefused,
    Permit,
    PermitUnused,
    PermitUsed,
    Refused,
    WithdrawPermit,
)

WALL = 1_790_000_000.0
PLENTY = Budget(total=1000, remaining=1000, reset_at=96_400.0, reserve=100)


class FakeLedger(Ledger):
    """Writes into the rig's story, and refuses while its disk is full."""

    def __init__(self, story: list[tuple[Any, ...]]) -> None:
        self.story = story
        self.full = False
        self.rows = 0

    def _write(self, *entry: Any) -> None:
        if self.full:
            raise LedgerError("disk full")
        self.story.append(entry)

    def granted(self, shard: int, shards: int, key: int, at: float) -> int:
        self._write("granted", shard, shards, key, at)
        self.rows += 1
        return self.rows

    def sent(self, permit: int, at: float) -> None:
        self._write("sent", permit, at)

    def unused(self, permit: int) -> None:
        self._write("unused", permit)

    def outcome(self, permit: int, outcome: str) -> None:
        self._write("outcome", permit, outcome)


@dataclass
class Rig:
    """Permits of 32 shards on 16 keys, with a clock that a test moves and a story of all that left."""

    budget: Budget = PLENTY
    now: float = 10_000.0
    story: list[tuple[Any, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ledger = FakeLedger(self.story)
        self.gate = Gate(max_concurrency=16, budget=self.budget, jitter=lambda: 0.0)
        self.permits = Permits(
            self.gate,
            self.ledger,
            shards=32,
            tell=lambda shard, message: self.story.append(("told", shard, message)),
            clock=lambda: self.now,
            wall=lambda: WALL + self.now - 10_000.0,
        )

    def ask(self, shard: int) -> list[tuple[Any, ...]]:
        self.permits.heard(shard, AskPermit())
        return self.step()

    def step(self, at: float | None = None) -> list[tuple[Any, ...]]:
        """Step at monotonic `at` and return what has happened since last time."""
        self.now = self.now if at is None else at
        self.permits.step()
        return self.happened()

    def happened(self) -> list[tuple[Any, ...]]:
        story, self.story[:] = list(self.story), []
        return story


def holding(shard: int) -> Rig:
    """A rig in which `shard` holds the permit of row 1 since 10,000."""
    rig = Rig()
    assert [what for what, *_ in rig.ask(shard)] == ["granted", "told"]
    return rig


def test_a_permit_is_in_the_ledger_before_it_is_told() -> None:
    assert Rig().ask(19) == [("granted", 19, 32, 3, WALL), ("told", 19, Permit(10_020.0))]


def test_what_is_not_about_permits_is_left_to_others() -> None:
    rig = Rig()
    assert not rig.permits.heard(3, Refused(cluster=False, code=4010, reason=""))
    assert rig.permits.heard(3, AskPermit())


def test_a_used_permit_counts_when_it_was_written_and_not_when_that_was_heard() -> None:
    rig = holding(3)
    rig.now = 10_004.0
    assert rig.permits.heard(3, PermitUsed(ago_s=1.0))
    assert rig.happened() == [("sent", 1, WALL + 3.0)]
    assert rig.gate.leased == {}
    assert rig.gate.budget.remaining == 999
    assert rig.ask(3) == []
    assert rig.permits.due == 10_008.25  # 5.25 s after the sending
    assert rig.step(at=10_008.25) == [("granted", 3, 32, 3, WALL + 8.25), ("told", 3, Permit(10_028.25))]


def test_an_unused_permit_costs_nothing_and_leaves_the_key_open() -> None:
    rig = holding(3)
    assert rig.permits.heard(3, PermitUnused())
    assert rig.happened() == [("unused", 1)]
    assert rig.gate.budget.remaining == 1000
    assert [what for what, *_ in rig.ask(3)] == ["granted", "told"]


def test_a_refused_identify_closes_its_row_and_its_key(caplog: pytest.LogCaptureFixture) -> None:
    rig = holding(3)
    rig.permits.heard(3, PermitUsed(ago_s=0.0))
    rig.now = 10_001.0
    assert rig.permits.heard(3, IdentifyRefused())
    assert rig.happened() == [("sent", 1, WALL), ("outcome", 1, "refused with op 9")]
    rig.permits.heard(3, AskPermit())
    assert rig.permits.due == 10_006.0  # 5 s after the refusal, later than 5.25 s after the sending
    rig.permits.live(3)
    assert rig.happened() == []
    (said,) = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    assert re.fullmatch(
        "the IDENTIFY of shard 3 was refused: .* its key, [0-9]+, get no permit for 5 s", said
    )


def test_a_worker_that_ends_with_a_permit_has_used_it() -> None:
    rig = holding(3)
    rig.now = 10_002.0
    rig.permits.worker_ended(3)
    assert rig.happened() == [("outcome", 1, "worker ended")]
    assert rig.gate.leased == {}
    assert rig.gate.budget.remaining == 999
    rig.permits.worker_ended(3)
    assert rig.happened() == []


def test_a_shard_that_is_live_closes_its_row_once_and_ends_the_keys_refusals() -> None:
    rig = holding(3)
    rig.permits.heard(3, PermitUsed(ago_s=0.0))
    rig.happened()
    rig.permits.live(3)
    assert rig.happened() == [("outcome", 1, "ready")]
    rig.permits.live(3)  # resumed
    assert rig.happened() == []


def test_a_shard_that_resumed_has_no_row_to_close() -> None:
    rig = Rig()
    rig.permits.live(3)
    rig.permits.worker_ended(3)
    assert rig.happened() == []
    assert rig.gate.budget.remaining == 1000


def test_a_report_about_no_permit_of_ours_counts_and_is_no_row() -> None:
    rig = Rig()
    rig.permits.heard(3, PermitUsed(ago_s=0.0))
    rig.permits.heard(4, PermitUnused())
    assert rig.happened() == []
    assert rig.gate.budget.remaining == 999


def test_a_shard_that_stopped_waiting_gets_no_permit() -> None:
    rig = Rig()
    rig.permits.heard(3, AskPermit())
    rig.permits.heard(3, WithdrawPermit())
    assert rig.step() == []
    assert rig.permits.due is None


def test_a_shard_that_needs_no_permit_holds_no_higher_bucket_back() -> None:
    rig = Rig()
    rig.gate.expect([0, 16], until=10_005.0)
    assert rig.ask(16) == []
    rig.permits.needs_none(0)
    assert [what for what, *_ in rig.step()] == ["granted", "told"]


def test_a_permit_that_can_not_be_written_down_does_not_leave_and_comes_five_seconds_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = Rig()
    rig.ledger.full = True
    assert rig.ask(3) == []
    assert "shard 3 can't identify, as its permit can't be written down: disk full" in caplog.text
    assert (rig.gate.leased, rig.gate.budget.remaining) == ({}, 1000)
    assert rig.permits.due == 10_005.0
    assert rig.step(at=10_004.9) == []
    assert rig.step(at=10_005.0) == []
    assert rig.permits.due == 10_010.0
    rig.ledger.full = False
    assert rig.step(at=10_010.0) == [("granted", 3, 32, 3, WALL + 10.0), ("told", 3, Permit(10_030.0))]
    assert rig.permits.due == 10_030.0


@pytest.mark.parametrize("how", ["withdrew", "ended"])
def test_a_shard_that_gave_up_while_the_ledger_refused_gets_no_permit_later(how: str) -> None:
    rig = Rig()
    rig.ledger.full = True
    rig.ask(3)
    rig.ledger.full = False
    if how == "withdrew":
        rig.permits.heard(3, WithdrawPermit())
    else:
        rig.permits.worker_ended(3)
    assert rig.permits.due is None
    assert rig.step(at=10_005.0) == []


def test_a_shard_that_asks_again_while_the_ledger_refuses_gets_one_permit_and_not_two() -> None:
    rig = Rig()
    rig.ledger.full = True
    rig.ask(3)
    rig.ledger.full = False
    assert [what for what, *_ in rig.ask(3)] == ["granted", "told"]
    rig.permits.heard(3, PermitUsed(ago_s=0.0))
    rig.permits.live(3)
    rig.happened()
    assert rig.step(at=10_060.0) == []


def test_a_report_that_can_not_be_written_down_still_reaches_the_gate(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = holding(3)
    rig.ledger.full = True
    rig.permits.heard(3, PermitUsed(ago_s=0.0))
    rig.permits.live(3)
    assert [record.getMessage() for record in caplog.records] == ["disk full", "disk full"]
    assert (rig.gate.leased, rig.gate.budget.remaining) == ({}, 999)
    assert rig.happened() == []


def test_a_used_up_budget_is_said_once_and_its_end_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rig = Rig(Budget(total=1000, remaining=100, reset_at=96_400.0, reserve=100))
    assert rig.ask(3) == []
    assert rig.step(at=10_001.0) == []
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    rig.gate.refill(PLENTY, rig.now)
    assert [what for what, *_ in rig.step()] == ["granted", "told"]
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]
    assert caplog.messages[-1] == (
        "identify budget: permits are granted; 1000 of 1000 are left, 100 of them in reserve"
    )


class FakeKeys:
    """Keys that a test hands out, in the rig's story."""

    def __init__(self, story: list[tuple[Any, ...]]) -> None:
        self.story = story
        self.good: dict[int, float] = {}
        self.due: float | None = None

    def held(self, now: float) -> dict[int, float]:
        return self.good

    def granted(self, key: int) -> None:
        self.story.append(("spent", key))
        del self.good[key]

    def look(self, gate: Gate, now: float) -> None:
        self.story.append(("looked", dict(gate.wanted_keys(now)), gate.busy_keys))


def sharing() -> tuple[Rig, FakeKeys]:
    rig = Rig()
    keys = FakeKeys(rig.story)
    rig.permits = Permits(
        rig.gate,
        rig.ledger,
        shards=32,
        tell=lambda shard, message: rig.story.append(("told", shard, message)),
        clock=lambda: rig.now,
        wall=lambda: WALL,
        keys=keys,
    )
    return rig, keys


def test_a_key_of_several_hosts_is_wanted_first_and_spent_before_its_permit_leaves() -> None:
    rig, keys = sharing()
    assert rig.ask(19) == [("looked", {3: 19}, set())]
    keys.good = {3: 10_018.0}
    assert rig.step(at=10_001.0) == [
        ("granted", 19, 32, 3, WALL),
        ("spent", 3),
        ("told", 19, Permit(10_018.0)),
        ("looked", {}, {3}),
    ]


def test_a_permit_that_could_not_be_written_down_leaves_its_key_unspent() -> None:
    rig, keys = sharing()
    rig.ask(19)
    keys.good = {3: 10_018.0}
    rig.ledger.full = True
    assert rig.step() == [("looked", {}, set())]
    assert keys.good == {3: 10_018.0}


def test_what_is_due_for_a_key_is_due() -> None:
    rig, keys = sharing()
    assert rig.permits.due is None
    keys.due = 10_003.0
    assert rig.permits.due == 10_003.0
