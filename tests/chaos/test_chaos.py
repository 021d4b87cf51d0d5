"""Chaos counts what is wrong, its plans are repeatable, and a short run of it finds nothing."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path
from zlib import crc32

import pytest

from chaos.notes import GAP, STARTED, Noted, Sent, Tally, compare, line_of, read_lines
from chaos.plan import RESUMABLE_CODES, steps

ROOT = Path(__file__).parent.parent.parent
EPOCH = "00000000000000aa"


def sent(*seqs: int, name: str = "MESSAGE_CREATE") -> list[Sent]:
    return [Sent(name, 1, seq, crc32(b"%d" % seq)) for seq in seqs]


def noted(seq: int | None, offset: int, name: str = "MESSAGE_CREATE", check: int | None = None) -> Noted:
    return Noted(name, 0, EPOCH, offset, 1, seq, crc32(b"%d" % (seq or 0)) if check is None else check)


def tally(notes: list[Noted | None], truth: list[Sent], names: set[str] | None = None) -> Tally:
    return compare(notes, {0: truth}, names)


def test_who_had_everything_once_and_in_order_has_no_faults() -> None:
    found = tally([None, noted(1, 0), noted(None, 1, "GWCLUSTER_SHARD_STATE"), noted(2, 2)], sent(1, 2))
    assert (found.events, found.faults, found.again) == (2, 0, 0)


def test_an_event_that_never_came_is_lost() -> None:
    found = tally([None, noted(1, 0), noted(3, 2)], sent(1, 2, 3))
    assert (found.lost, found.faults) == (1, 1)
    assert found.examples == ["shard 0: MESSAGE_CREATE, seq 2, never came"]


def test_what_was_sent_before_it_began_to_listen_is_not_lost() -> None:
    assert tally([None, noted(3, 7)], sent(1, 2, 3)).faults == 0


def test_what_was_sent_before_its_first_is_lost_to_who_listened_already() -> None:
    assert compare([None, noted(3, 7)], {0: sent(1, 2, 3)}, None, whole=True).lost == 2


def test_who_had_nothing_at_all_lost_everything() -> None:
    assert tally([None], sent(1, 2, 3)).lost == 3


def test_events_of_other_names_are_not_lost() -> None:
    truth = [*sent(1, 2), *sent(3, name="READY")]
    assert tally([None, noted(3, 2, "READY")], truth, {"READY"}).faults == 0


def test_an_event_that_came_twice_is_doubled() -> None:
    found = tally([None, noted(1, 0), noted(2, 1), noted(1, 2)], sent(1, 2))
    assert (found.doubled, found.faults) == (1, 1)


def test_the_event_that_was_at_work_when_its_handler_was_killed_comes_again_without_fault() -> None:
    found = tally([None, noted(1, 0), noted(2, 1), None, None, noted(2, 1), noted(3, 2)], sent(1, 2, 3))
    assert (found.again, found.faults, found.events) == (1, 0, 3)


def test_an_event_before_the_one_at_work_is_doubled_all_the_same() -> None:
    found = tally([None, noted(1, 0), noted(2, 1), None, noted(1, 0), noted(2, 1)], sent(1, 2))
    assert (found.doubled, found.again) == (1, 1)


def test_the_one_at_work_may_come_again_only_once() -> None:
    found = tally([None, noted(1, 0), None, noted(1, 0), noted(1, 0)], sent(1))
    assert (found.again, found.doubled) == (1, 1)


def test_an_offset_below_the_one_before_is_out_of_order() -> None:
    assert tally([None, noted(2, 1), noted(1, 0)], sent(1, 2)).disordered == 1


def test_who_has_subscribed_to_some_names_has_an_order_within_each() -> None:
    names = {"MESSAGE_CREATE", "READY"}
    mixed = [None, noted(2, 1, "READY"), noted(1, 0)]
    assert tally(mixed, sent(1), names).disordered == 0
    assert tally([None, noted(2, 1), noted(1, 0)], sent(1, 2), names).disordered == 1
    assert tally(mixed, sent(1)).disordered == 1


def test_another_payload_than_was_sent_is_seen() -> None:
    assert tally([None, noted(1, 0, check=7)], sent(1)).changed == 1


def test_a_gap_is_a_fault() -> None:
    assert tally([None, noted(1, 0), noted(None, 5, GAP)], sent(1)).gaps == 1


def test_a_line_that_was_cut_short_is_left_out() -> None:
    one = noted(1, 0)
    assert read_lines(f"{STARTED}\n{line_of(one)}{line_of(one)[:-4]}") == [None, one]


def test_the_same_seed_is_the_same_plan_and_another_one_is_another() -> None:
    assert list(steps(3, 50)) == list(steps(3, 50))
    assert list(steps(3, 50)) != list(steps(4, 50))


def test_a_plan_has_as_many_kills_as_it_was_asked_for_and_spares_nobody() -> None:
    plan = list(steps(1, 400))
    assert sum(step.kind == "kill" for step in plan) == 400
    killed = Counter(step.what for step in plan if step.kind == "kill")
    stopped = Counter(step.what for step in plan if step.kind == "stop")
    assert set(killed) == set(stopped) == {"worker", "subscriber", "coordinator", "nursery"}
    assert {step.code for step in plan} == set(RESUMABLE_CODES)


@pytest.mark.e2e
@pytest.mark.timeout(300)
def test_nothing_is_lost_while_everything_is_killed(tmp_path: Path) -> None:
    run = subprocess.run(
        [
            ROOT / "scripts" / "chaos",
            "--kills",
            "12",
            "--seed",
            "5",
            "--keep",
            tmp_path,
            "--max-seconds",
            "120",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "nothing lost, doubled or out of order" in run.stdout
    assert "kills 12," in run.stdout
