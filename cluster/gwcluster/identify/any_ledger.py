"""What is asked of a ledger of identifies, be it this host's file or that of all hosts (pure).

`gwcluster.identify.ledger.Ledger` says what each method promises.
"""

from __future__ import annotations

from typing import Protocol

from gwcluster.identify.caution import Past
from gwcluster.identify.known import Known


class AnyLedger(Protocol):
    """Every method may raise LedgerError."""

    def granted(self, shard: int, shards: int, key: int, at_wall: float) -> int:
        """Keep a permit, before it leaves; return the id by which its fate is told."""

    def sent(self, permit: int, at_wall: float) -> None:
        """IDENTIFY was written."""

    def unused(self, permit: int) -> None:
        """The permit came back."""

    def outcome(self, permit: int, text: str) -> None:
        """Keep what became of the identify."""

    def spent_since(self, wall: float) -> int:
        """Return how many identifies were or may have been sent since."""

    def last_sent_by_key(self, max_concurrency: int) -> dict[int, float]:
        """Return the Unix second of the last IDENTIFY of each key that had one."""

    def past(self, offset_s: float) -> list[Past]:
        """Return every identify of the last day."""

    @property
    def known(self) -> Known | None:
        """What Discord last said."""

    def keep_known(self, known: Known) -> None:
        """Keep what Discord said."""

    @property
    def not_before(self) -> float | None:
        """Unix second before which Discord's REST must not be asked; None if that is over."""

    def set_not_before(self, wall: float) -> None:
        """Keep the Unix second before which Discord's REST must not be asked."""
