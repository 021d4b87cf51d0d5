"""The identify ledger as all hosts see it: one document (pure).

Every change is made on what was read and written by compare-and-set, and every change names the permit it is
about; so one that is made twice, since its answer was lost, counts once. Moments are Unix seconds.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from gwcluster.errors import quoted
from gwcluster.hosts.errors import HostsError
from gwcluster.identify.caution import Past
from gwcluster.identify.gate import LEASE_S
from gwcluster.identify.ledger import DAY_S, KEEP_S, READY, REFUSED

VERSION: Final = 1
UNPACKED_BYTES: Final = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Row:
    """One permit, as in the ledger of one host; one whose `sent_at` isn't reported counts as sent."""

    shard: int
    granted_at: float
    sent_at: float | None = None
    outcome: str | None = None
    outcome_at: float | None = None

    @property
    def counts_at(self) -> float:
        """The moment as of which it counts as sent."""
        return self.granted_at + LEASE_S if self.sent_at is None else self.sent_at


@dataclass(frozen=True, slots=True)
class Page:
    """What the hosts know.

    Attributes:
        born: of this document, random: tells a host whether it has added its own past to it.
        rows: permits of two days by name; those that came back unused are gone.
        known: what Discord last said, as `Known.encode` writes it.
        known_at: when.
        not_before: before which Discord's REST must not be asked.
    """

    born: str
    rows: dict[str, Row] = field(default_factory=dict)
    known: str | None = None
    known_at: float = 0.0
    not_before: float | None = None

    def spent_since(self, wall: float) -> int:
        """Return how many identifies were or may have been sent from `wall` on."""
        return sum(row.counts_at >= wall for row in self.rows.values())

    def last_sent_by_key(self, max_concurrency: int, now: float) -> dict[int, float]:
        """Return the moment of the last IDENTIFY of each key that had one, never one in the future."""
        last: dict[int, float] = {}
        for row in self.rows.values():
            key = row.shard % max_concurrency
            last[key] = max(last.get(key, 0.0), min(row.counts_at, now))
        return last

    def past(self, now: float, offset_s: float) -> list[Past]:
        """Return every identify of the last day, in the order in which they were granted."""

        def moment(row: Row, outcome: str) -> float | None:
            told = row.outcome == outcome and row.outcome_at is not None
            return min(row.outcome_at or 0.0, now) + offset_s if told else None

        rows = sorted((row for row in self.rows.values() if row.granted_at >= now - DAY_S), key=_granted_at)
        return [
            Past(
                row.shard,
                row.granted_at + offset_s,
                row.counts_at + offset_s,
                moment(row, READY),
                moment(row, REFUSED),
            )
            for row in rows
        ]

    def tidied(self, now: float) -> Page:
        """Return it without what is older than two days; what is yet to come counts as of now."""
        rows = {
            name: row if row.granted_at <= now else replace(row, granted_at=now)
            for name, row in self.rows.items()
            if row.granted_at >= now - KEEP_S
        }
        return replace(self, rows=rows)


@dataclass(frozen=True, slots=True)
class Add:
    """These permits are there, unless they are already; a row is as it was told last."""

    rows: dict[str, Row]

    def on(self, page: Page) -> Page:
        """Return the page with the change made."""
        new = {name: row for name, row in self.rows.items() if name not in page.rows}
        return replace(page, rows={**page.rows, **new}) if new else page


@dataclass(frozen=True, slots=True)
class Set:
    """The row of a permit is this; None: it was not used."""

    permit: str
    row: Row | None

    def on(self, page: Page) -> Page:
        """Return the page with the change made; a row that is gone (too old) stays so."""
        if self.permit not in page.rows or page.rows[self.permit] == self.row:
            return page
        rows = {name: row for name, row in page.rows.items() if name != self.permit}
        if self.row is not None:
            rows[self.permit] = self.row
        return replace(page, rows=rows)


@dataclass(frozen=True, slots=True)
class Learn:
    """Discord said this at `at`; what was said later stays."""

    known: str
    at: float

    def on(self, page: Page) -> Page:
        """Return the page with the change made."""
        if self.at < page.known_at or self.known == page.known:
            return page
        return replace(page, known=self.known, known_at=self.at)


@dataclass(frozen=True, slots=True)
class Wait:
    """Discord's REST must not be asked before `until`."""

    until: float

    def on(self, page: Page) -> Page:
        """Return the page with the change made."""
        return page if self.until <= (page.not_before or 0.0) else replace(page, not_before=self.until)


Change = Add | Set | Learn | Wait


def changed(page: Page, changes: Iterable[Change]) -> Page:
    """Return the page after these changes, in order; the same one if there is nothing to change."""
    for change in changes:
        page = change.on(page)
    return page


def encode(page: Page, limit_bytes: int) -> bytes:
    """Return the page as it is kept: gzip of JSON.

    A day's rows count; older ones are left out, oldest first, where there is no room for them.

    Raises:
        HostsError: a day's rows have no room in `limit_bytes`.
    """
    packed = _packed(page)
    if len(packed) > limit_bytes:
        newest = max((row.granted_at for row in page.rows.values()), default=0.0)
        day = {name: row for name, row in page.rows.items() if row.counts_at >= newest - DAY_S}
        packed = _packed(replace(page, rows=day))
        if len(packed) > limit_bytes:
            raise HostsError(
                f"a day's {len(day)} identifies take {len(packed)} bytes in the ledger of all hosts, and the "
                f"NATS server takes {limit_bytes}: no identify can be counted, so none is allowed; "
                "raise `max_payload` of the NATS servers"
            )
    return packed


def _packed(page: Page) -> bytes:
    rows = [
        [name, row.shard, _ms(row.granted_at), _ms(row.sent_at), row.outcome, _ms(row.outcome_at)]
        for name, row in page.rows.items()
    ]
    said = {
        "v": VERSION,
        "born": page.born,
        "known": page.known,
        "known_at": page.known_at,
        "not_before": page.not_before,
        "rows": rows,
    }
    return gzip.compress(json.dumps(said, separators=(",", ":")).encode(), compresslevel=6, mtime=0)


def decode(data: bytes) -> Page:
    """Return what `encode` was given.

    Raises:
        HostsError: it makes no sense, or a newer gwcluster wrote it.
    """
    try:
        unpacker = zlib.decompressobj(wbits=31)
        found: Any = json.loads(unpacker.decompress(data, UNPACKED_BYTES))
        if found["v"] > VERSION:
            raise HostsError(
                f"the ledger of all hosts has format {found['v']}, newer than ours, {VERSION}: upgrade"
            )
        rows = {
            str(name): Row(int(shard), float(granted), _float(sent), outcome, _float(outcome_at))
            for name, shard, granted, sent, outcome, outcome_at in found["rows"]
        }
        return Page(
            str(found["born"]), rows, found["known"], float(found["known_at"]), _float(found["not_before"])
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, zlib.error) as error:
        raise HostsError(f"the ledger of all hosts can't be read ({error}): {quoted(data)}") from None


def _ms(moment: float | None) -> float | None:
    return None if moment is None else round(moment, 3)


def _float(number: float | None) -> float | None:
    return None if number is None else float(number)


def _granted_at(row: Row) -> float:
    return row.granted_at
