"""Permits in and out (does): what workers say goes to the gate, what it grants goes to ledger and worker."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from gwcluster.identify.any_ledger import AnyLedger
from gwcluster.identify.gate import UNKNOWN, Gate, Grant
from gwcluster.identify.ledger import READY, REFUSED, LedgerError
from gwcluster.wire.control import (
    AskPermit,
    IdentifyRefused,
    Message,
    Permit,
    PermitUnused,
    PermitUsed,
    WithdrawPermit,
)

LEDGER_RETRY_S: Final = 5.0
"""How long a shard waits for another try when its permit could not be written down."""

log = logging.getLogger(__name__)


class Keys(Protocol):
    """Which keys (shard % max_concurrency) no other host identifies on, because this one holds them."""

    def held(self, now: float) -> Mapping[int, float]:
        """Return those held, each with the monotonic moment (s) until which a permit of it may be used."""

    def granted(self, key: int) -> None:
        """A permit of a key that is held is about to leave."""

    def look(self, gate: Gate, now: float) -> None:
        """Take the keys that the gate wants, return those it is done with; called after each of its steps."""

    @property
    def due(self) -> float | None:
        """The next moment at which `look` may have something to do."""


class Permits:
    """Joins the gate to the ledger; a permit is in the ledger before it leaves.

    Args:
        gate: decides.
        ledger: survives us.
        shards: shard count of the bot, kept in the ledger beside each identify.
        tell: sends a message to a shard's worker.
        clock: monotonic seconds.
        wall: Unix seconds.
        keys: what is shared with other hosts; None: there are none.
    """

    def __init__(
        self,
        gate: Gate,
        ledger: AnyLedger,
        *,
        shards: int,
        tell: Callable[[int, Message], None],
        clock: Callable[[], float],
        wall: Callable[[], float],
        keys: Keys | None = None,
    ) -> None:
        self.gate = gate
        self._ledger = ledger
        self._shards = shards
        self._tell = tell
        self._clock = clock
        self._wall = wall
        self._keys = keys
        self._rows: dict[int, int] = {}
        self._blocked: str | None = None
        self._unwritten: dict[int, float] = {}

    @property
    def due(self) -> float | None:
        """The next moment (monotonic seconds) at which `step` may have something to do."""
        moments = [self.gate.due, None if self._keys is None else self._keys.due, *self._unwritten.values()]
        return min((moment for moment in moments if moment is not None), default=None)

    def heard(self, shard: int, message: Message) -> bool:
        """Take what a worker said; False when it is not about permits."""
        now = self._clock()
        match message:
            case AskPermit():
                self._unwritten.pop(shard, None)  # or it would get a second one later
                self.gate.ask(shard, now)
            case WithdrawPermit():
                self._unwritten.pop(shard, None)
                self.gate.withdraw(shard, now)
            case PermitUsed():
                self.gate.used(shard, now, now - message.ago_s)
                if shard in self._rows:
                    self._note(self._ledger.sent, self._rows[shard], self._wall() - message.ago_s)
            case PermitUnused():
                self.gate.unused(shard, now)
                if shard in self._rows:
                    self._note(self._ledger.unused, self._rows.pop(shard))
            case IdentifyRefused():
                self.gate.refused(shard, now)
                said = "the IDENTIFY of shard %d was refused: shards of its key, %d, get no permit for %.0f s"
                log.warning(said, shard, *self.gate.closed(shard, now))
                self._close(shard, REFUSED)
            case _:
                return False
        return True

    def live(self, shard: int) -> bool:
        """The shard is live; say whether that took an identify, which succeeded then."""
        identified = shard in self._rows
        if identified:
            self.gate.succeeded(shard, self._clock())
            self._close(shard, READY)
        else:
            self.gate.resumed(shard, self._clock())
        return identified

    def left(self, shard: int) -> None:
        """The shard isn't live any more: what its session has been good for is judged by how long it was."""
        self.gate.left(shard, self._clock())

    def needs_none(self, shard: int) -> None:
        """The shard resumes, is live or can't connect: no other has to wait until it asks."""
        self.gate.dismiss(shard)

    def worker_ended(self, shard: int) -> None:
        """The worker is gone; a permit that it held counts as used."""
        self._unwritten.pop(shard, None)
        self.gate.lost(shard, self._clock())
        self._close(shard, "worker ended")

    def _close(self, shard: int, outcome: str) -> None:
        if shard in self._rows:
            self._note(self._ledger.outcome, self._rows.pop(shard), outcome)

    def _note(self, write: Callable[..., None], *values: object) -> None:
        try:
            write(*values)
        except LedgerError as error:  # what is not written counts as sent: the safe side
            log.error("%s", error)

    def step(self) -> None:
        """Grant what may be granted now."""
        now = self._clock()
        for shard in [shard for shard, retry_at in self._unwritten.items() if now >= retry_at]:
            del self._unwritten[shard]
            self.gate.ask(shard, now)
        keys = self._keys
        for grant in self.gate.step(now, keys=None if keys is None else keys.held(now)):
            self._grant(grant, now)
        if keys is not None:
            keys.look(self.gate, now)
        if self.gate.blocked != self._blocked:
            self._blocked = self.gate.blocked
            if self._blocked is not None:
                level = logging.INFO if self.gate.budget is UNKNOWN else logging.ERROR
                log.log(level, "identify budget: %s", self._blocked)
            else:
                budget = self.gate.budget
                log.info(
                    "identify budget: permits are granted; %d of %d are left, %d of them in reserve",
                    budget.remaining,
                    budget.total,
                    budget.reserve,
                )

    def _grant(self, grant: Grant, now: float) -> None:
        shard = grant.shard
        key = shard % self.gate.max_concurrency
        try:
            self._rows[shard] = self._ledger.granted(shard, self._shards, key, self._wall())
        except LedgerError as error:
            log.error("shard %d can't identify, as its permit can't be written down: %s", shard, error)
            self.gate.unused(shard, now)
            self._unwritten[shard] = now + LEDGER_RETRY_S
        else:
            if self._keys is not None:
                self._keys.granted(key)
            self._tell(shard, Permit(grant.lease_until))
