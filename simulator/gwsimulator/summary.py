"""Decides (pure): what the ledger comes to, in a few lines for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from gwsimulator.ledger import Ledger


def summary(ledger: Ledger, lost: int) -> list[str]:
    """Return lines about identifies, resumes, broken rules and lost events.

    Args:
        ledger: of the simulator.
        lost: dispatches of forgotten sessions that never went to a connection.
    """
    rules = Counter(violation.rule for violation in ledger.violations)
    broken = ", ".join(f"{count} {rule}" for rule, count in rules.most_common())
    return [
        f"connections  {len(ledger.connections)}",
        f"identifies   {_outcomes(one.outcome for one in ledger.identifies)}",
        f"resumes      {_outcomes(one.outcome for one in ledger.resumes)}",
        f"REST calls   {_outcomes(str(one.status) for one in ledger.rest_calls)}",
        f"dispatched   {ledger.dispatched}",
        f"lost         {lost}" + (" events of sessions that nobody resumed" if lost else ""),
        f"violations   {sum(rules.values())}" + (f": {broken}" if broken else ""),
    ]


def _outcomes(outcomes: Iterable[str]) -> str:
    counted = Counter(outcomes)
    total = sum(counted.values())
    if not total:
        return "0"
    return f"{total}: " + ", ".join(f"{count} {outcome}" for outcome, count in counted.most_common())
