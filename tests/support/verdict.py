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
    texts: Iterable[str] = (),
    names: Collection[str] | None = None,
    violated: Collection[str] = (),
    excused: Collection[str] = (),
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
        excused: invariants (`I1` to `I12`) that it breaks on purpose.
        limits: see `gwsimulator.invariants.broken`.
    """
    found = [
        f"violation of {one.rule}: {one.detail}" for one in ledger.violations if one.rule not in violated
    ]
    found += broken(ledger, settings, excused=excused, **limits)
    if published is not None:
        received = [
            Received(one.shard, one.header["session"], one.header["seq"], one.name, one.payload)
            for one in published
            if not one.name.startswith("GWCLUSTER_")
        ]
        if "I8" not in excused:
            found += [f"I8: {said}" for said in missing_or_doubled(ledger, received, names=names)]
        if "I9" not in excused:
            lost = [
                (one.shard, int(json.loads(one.payload)["d"]["session"]))
                for one in published
                if one.name == "GWCLUSTER_SESSION_LOST"
            ]
            found += [f"I9: {said}" for said in losses_told_once(received, lost)]
        texts = [*texts, *(str(frame) for one in published for frame in one.frames)]
    return found + [f"I11: {said}" for said in leaks(TOKEN, texts)]
