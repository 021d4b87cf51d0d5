"""Decides (pure): whether what happened in a test may happen at all, whatever the test was about.

Each invariant has a number; a broken one is a sentence that begins with it. I1 to I7, I10, I12 and I13 are
read off the ledger alone by `broken`; the rest also take what came out at the other end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from gwsimulator.invariants.beats import beats_on_time
from gwsimulator.invariants.budget import identifies_apart, identifies_within_a_day, rest_calls_awaited
from gwsimulator.invariants.connections import (
    frames_within_limits,
    one_connection_per_shard,
    resumable_closes,
    resumes_well_formed,
)
from gwsimulator.invariants.consumers import Received, leaks, losses_told_once, missing_or_doubled
from gwsimulator.invariants.fatal import silence_after_fatal
from gwsimulator.invariants.tenures import Span, Tenure, one_machine_per_shard, tenures
from gwsimulator.ledger import Ledger
from gwsimulator.settings import Settings

__all__ = ["Received", "Tenure", "broken", "leaks", "losses_told_once", "missing_or_doubled", "tenures"]


def broken(
    ledger: Ledger,
    settings: Settings,
    *,
    reserve: int = 0,
    permanent_stop: bool = False,
    rest_calls: int | None = None,
    beat_slack_s: float = 1.0,
    seq_lag_s: float = 5.0,
    until: float | None = None,
    gone: Mapping[int, float] | None = None,
    away: Mapping[str, Sequence[Span]] | None = None,
    excused: Collection[str] = (),
) -> list[str]:
    """Return a sentence for each time an invariant was broken, e.g. `I1: shards 0 and 1 identified ...`.

    Args:
        ledger: of a simulator with these settings.
        settings: those.
        reserve: identifies of the day that were to be left alone.
        permanent_stop: whether the client was told to give its sessions up, by closing with 1000.
        rest_calls: how many REST calls there may be; None: any number.
        beat_slack_s: how late a heartbeat may be.
        seq_lag_s: how old a dispatch may be that a heartbeat's `d` does not count yet.
        until: when the test ended, for heartbeats that ought to have come since the last; None: at the
            newest record.
        gone: for connections whose end was kept from the gateway: when their client let go of them.
        away: by a client's address: from when to when all of its processes were stopped.
        excused: names of invariants that this test breaks on purpose, e.g. `{"I7"}` when it stops a process.
    """
    found: dict[str, Iterable[str]] = {
        "I1": identifies_apart(ledger, settings),
        "I2": identifies_within_a_day(ledger, settings, reserve),
        "I3": one_connection_per_shard(ledger),
        "I4": resumable_closes(ledger, permanent_stop=permanent_stop),
        "I5": resumes_well_formed(ledger),
        "I6": frames_within_limits(ledger, settings),
        "I7": beats_on_time(ledger, slack_s=beat_slack_s, lag_s=seq_lag_s, until=until),
        "I10": rest_calls_awaited(ledger, rest_calls),
        "I12": silence_after_fatal(ledger),
        "I13": one_machine_per_shard(ledger, gone=gone or {}, away=away or {}),
    }
    return [
        f"{name}: {sentence}"
        for name, sentences in found.items()
        if name not in excused
        for sentence in sentences
    ]
