from __future__ import annotations

from gwcluster.wire.exits import Exit, WorkerExit


def test_exit_statuses_are_these() -> None:
    assert {each.name: each.value for each in Exit} == {
        "DONE": 0,
        "FAILED": 1,
        "USAGE": 2,
        "REFUSED": 64,
        "BAD_CONFIG": 78,
    }
    assert {each.name: each.value for each in WorkerExit} == {
        "DONE": 0,
        "FAILED": 1,
        "REFUSED": 64,
        "SHARD_REFUSED": 65,
        "BUSY": 75,
        "ORPHANED": 76,
        "UNLEASED": 77,
        "FENCED": 79,
    }
