"""What this host knows of the others and of who holds what (pure).

The buckets tell of what is written and deleted, but not of what ends by its TTL: so what hasn't been renewed
for a lease and a bit is taken to be gone. That may be wrong for a moment; who acts on it meets a create that
is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from gwcluster.hosts.book import Found
from gwcluster.hosts.entries import HostEntry
from gwcluster.hosts.shares import Host, View

GONE: Final = 1.1
"""After so many leases without a renewal something is taken to have ended."""


@dataclass(slots=True)
class _HostSeen:
    entry: HostEntry
    since: float
    at: float


@dataclass(slots=True)
class _LeaseSeen:
    found: Found
    at: float


class Neighbours:
    """Folds what the buckets tell into a view. A newer revision always wins, whatever order they arrive in.

    Args:
        shards: all of the cluster.
        lease_s: TTL of both buckets.
        now: monotonic seconds.
    """

    def __init__(self, shards: Collection[int], *, lease_s: float, now: float) -> None:
        self._shards = frozenset(shards)
        self._gone_s = GONE * lease_s
        self._hosts: dict[str, _HostSeen] = {}
        self._leases: dict[int, _LeaseSeen] = {}
        self._revisions: dict[int, int] = {}
        self._unready: dict[int, float] = dict.fromkeys(shards, now)
        self._changed_at = now
        self._before = self._state()
        self._were_there = self._there()

    def list_hosts(self, entries: Iterable[tuple[HostEntry, float]], now: float) -> None:
        """These are all hosts, each with the seconds since it wrote its entry."""
        self._hosts = {entry.name: _seen(entry, now - age_s) for entry, age_s in entries}
        self._look(now)

    def host(self, entry: HostEntry, now: float) -> None:
        """A host wrote its entry just now."""
        self._hosts[entry.name] = _seen(entry, now)
        self._look(now)

    def host_gone(self, name: str, now: float) -> None:
        """A host deleted its entry."""
        self._hosts.pop(name, None)
        self._look(now)

    def list_leases(self, leases: Iterable[tuple[int, Found, float]], now: float) -> None:
        """These are all leases: shard, what is there, and for how many seconds."""
        self._leases = {}
        for shard, found, age_s in leases:
            self._keep(shard, found, now - age_s)
        self._look(now)

    def lease(self, shard: int, found: Found, now: float) -> None:
        """A lease was written just now."""
        before = self._leases.get(shard)
        self._keep(shard, found, now)
        if before is None or before.found.mark.host != found.mark.host:
            self._look(now)

    def lease_gone(self, shard: int, revision: int, now: float) -> None:
        """A lease was deleted; `revision` is the deletion's, or the last that can have been before it."""
        if revision >= self._revisions.get(shard, 0):
            self._revisions[shard] = revision
            if self._leases.pop(shard, None) is not None:
                self._look(now)

    def _keep(self, shard: int, found: Found, at: float) -> None:
        if shard in self._shards and found.revision >= self._revisions.get(shard, 0):
            self._revisions[shard] = found.revision
            self._leases[shard] = _LeaseSeen(found, at)

    def settle(self, now: float) -> None:
        """Take to be gone what wasn't renewed."""
        for name in [name for name, seen in self._hosts.items() if now >= seen.at + self._gone_s]:
            del self._hosts[name]
        for shard in [shard for shard, seen in self._leases.items() if now >= seen.at + self._gone_s]:
            del self._leases[shard]
        self._look(now)

    @property
    def leases(self) -> dict[int, Found]:
        """What is known to be in the bucket."""
        return {shard: seen.found for shard, seen in self._leases.items()}

    @property
    def hosts(self) -> dict[str, HostEntry]:
        """What each host last said."""
        return {name: seen.entry for name, seen in self._hosts.items()}

    def seen_s(self, name: str, now: float) -> float:
        """Return how many seconds ago a host last wrote."""
        return now - self._hosts[name].at

    def view(self) -> View:
        """Return how the hosts are."""
        return View(
            {name: Host(seen.since, seen.entry.draining) for name, seen in self._hosts.items()},
            {shard: seen.found.mark.host for shard, seen in self._leases.items()},
            dict(self._unready),
            self._changed_at,
        )

    def _there(self) -> dict[str, bool]:
        return {name: seen.entry.draining for name, seen in self._hosts.items()}

    def _state(self) -> dict[int, tuple[str | None, bool]]:
        state: dict[int, tuple[str | None, bool]] = {}
        for shard in self._shards:
            seen = self._leases.get(shard)
            holder = None if seen is None else seen.found.mark.host
            host = None if holder is None else self._hosts.get(holder)
            state[shard] = holder, host is not None and shard in host.entry.live
        return state

    def _look(self, now: float) -> None:
        there, state = self._there(), self._state()
        if there != self._were_there:
            self._were_there, self._changed_at = there, now
        if state == self._before:
            return
        for shard, (holder, live) in state.items():
            if live:
                self._unready.pop(shard, None)
            elif self._before[shard] != (holder, live):
                self._unready[shard] = now
        self._changed_at = now
        self._before = state


def _seen(entry: HostEntry, at: float) -> _HostSeen:
    return _HostSeen(entry, at - entry.up_s, at)
