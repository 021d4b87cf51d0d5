"""What must be true at the end of every test in which a cluster met the simulator, whatever it was about."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from gwsimulator.invariants import Received, broken, leaks, losses_told_once, missing_or_doubled
from gwsimulator.ledger import Ledger
from gwsimulator.settings import Settings
from support.cluster import TOKEN, Message


def verdict(
    ledger: Ledger,
    settings: Settings,
    *,
    published: Sequence[Message] | None = None,
    texts: Iterable[bytes | str] = (),
    names: Collection[str] | None = None,
    violated: Collection[str] = (),
    excused: Collection[str] = (),
    needed: bool = True,
    stopped: bool = False,
    **limits: Any,
) -> list[str]:
    """Return a sentence for everything that was not as it must be.

    Args:
        ledger: the simulator's.
        settings: the simulator's.
        published: all that a subscriber of everything got; None if nobody listened.
        texts: logs, in which the token must not be.
        names: what the configuration lets through; None: everything.
        violated: the simulator's rules that this test breaks on purpose.
        excused: invariants (`I1` to `I13`) that it breaks on purpose.
        needed: whether each of these has to be broken, since what nobody breaks needs no excuse.
        stopped: whether nobody listened at the end, so that the last events may be missing.
        limits: see `gwsimulator.invariants.broken`.
    """
    told = broken(ledger, settings, **limits)
    if published is not None:
        received = [
            Received(one.shard, one.header["session"], one.header["seq"], one.name, one.payload)
            for one in published
            if not one.name.startswith("GWCLUSTER_")
        ]
        lost = [
            (one.shard, int(json.loads(one.payload)["d"]["session"]))
            for one in published
            if one.name == "GWCLUSTER_SESSION_LOST"
        ]
        wrong = missing_or_doubled(ledger, received, names=names, stopped=stopped)
        told += [f"I8: {said}" for said in wrong]
        told += [f"I9: {said}" for said in losses_told_once(received, lost)]
        frames = (frame for one in published for frame in one.frames)
        texts = [*texts, *frames]
    told += [f"I11: {said}" for said in leaks(TOKEN, texts)]
    invariants = [(sentence.partition(":")[0], sentence) for sentence in told]
    found = [
        f"violation of {one.rule}: {one.detail}" for one in ledger.violations if one.rule not in violated
    ]
    found += [said for name, said in invariants if name not in excused]
    if needed:
        seen = {name for name, _ in invariants}
        found += [f"{name} is excused, and nobody broke it" for name in set(excused) - seen]
    return found
