"""The hosts of one cluster, as one of its clients knows them (pure): whom to connect with, and whom to ask.

Where no host tells of others there is one for ever, and this is a list of one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from gwcluster.client.host import Host, Told, hosts_in
from gwcluster.errors import WireError

GRACE_S: Final = 30.0
"""How long one stays connected with a host that nobody tells of any more and that is silent: its last
events may be on their way, and who told it may have been wrong."""

UNWELL_S: Final = 5.0
"""How long a host that owed an answer, or was lost, is asked only if there is no other."""

FORLORN_S: Final = 5.0
"""After so long without a word of any host, the place where hosts are listed is looked at again."""

STALE_S: Final = 30.0
"""After so long who only asks asks for the hosts, too."""

FIRST_SEEK_S: Final = 2.0
"""Between two such looks until somebody was heard. Hosts that start are listed for a lease, 5 s at least,
before they run a shard: who finds them within that hears each shard's first event."""

SEEK_S: Final = 5.0
MAX_SEEK_S: Final = 60.0
"""Between two such looks later on, at first and at most."""

_NEVER: Final = float("-inf")


class _Known:
    __slots__ = ("asked", "heard_at", "leave_at", "unwell_until")

    def __init__(self) -> None:
        self.heard_at = _NEVER
        self.leave_at: float | None = None
        self.unwell_until = _NEVER
        self.asked = 0


class Roster:
    """Who is there.

    Args:
        given: hosts that one stays connected with, whatever is told.
        several: there may be others than the one that is given.
        alone: others are of no interest.
        now: monotonic seconds.

    Attributes:
        given: as they were given.
        hosts: those to be connected with; another tuple whenever they change.
        several: whether the cluster has hosts that come and go.
        count: shard count of the bot; None: not told yet.
    """

    def __init__(
        self, given: Sequence[Host], *, several: bool = False, alone: bool = False, now: float
    ) -> None:
        self.hosts = tuple(dict.fromkeys(given))
        self.several = several or len(self.hosts) > 1
        self.count: int | None = None
        self._status_at: float | None = None
        self.given = self.hosts
        self._alone = alone
        self._known = {host: _Known() for host in self.hosts}
        self._owners: dict[int, Host] = {}
        self._asked = 0
        self._begun_at = now
        self._was_heard = False
        self._seek_at, self._seek_wait_s = _NEVER, FIRST_SEEK_S

    # What is heard

    def told(self, hosts: Iterable[Told], now: float) -> None:
        """Take the hosts that there are, as one of them or their list says; none at all says nothing."""
        said = {each.host: each.shards for each in hosts}
        if not said or self._alone:
            return
        self.several = True
        for host, shards in said.items():
            known = self._known.setdefault(host, _Known())
            known.leave_at = None
            for shard in shards:
                self._owners[shard] = host
        for host, known in self._known.items():
            if host not in said and host not in self.given and known.leave_at is None:
                known.leave_at = now + GRACE_S
        self._list()

    def status(self, document: Mapping[str, Any], now: float) -> list[WireError]:
        """Take what a status tells of hosts; return what is wrong with it."""
        told, errors = hosts_in(document)
        if type(count := document.get("shards")) is int and count > 0:
            self.count = count
        self._status_at = now
        self.told(told, now)
        return errors

    def heard(self, host: Host, now: float) -> None:
        """Something came from this host."""
        self._was_heard, self._seek_wait_s = True, SEEK_S
        if (known := self._known.get(host)) is not None:
            known.heard_at = now

    def answered(self, host: Host, now: float) -> None:
        """It answered."""
        self.heard(host, now)
        if (known := self._known.get(host)) is not None:
            known.unwell_until = _NEVER

    def lost(self, host: Host, now: float) -> None:
        """The connection to it was lost."""
        self.unwell(host, now)
        if (known := self._known.get(host)) is not None:
            known.heard_at = _NEVER
            self._begun_at = _NEVER

    def unwell(self, host: Host, now: float) -> None:
        """It owes an answer."""
        if (known := self._known.get(host)) is not None:
            known.unwell_until = now + UNWELL_S

    def speaks(self, shard: int, host: Host) -> None:
        """This host publishes for that shard."""
        self._owners[shard] = host

    # What follows from it

    def tidy(self, now: float) -> None:
        """Forget hosts that have been gone for long."""
        gone = [
            host
            for host, known in self._known.items()
            if known.leave_at is not None and max(known.leave_at, known.heard_at + GRACE_S) <= now
        ]
        for host in gone:
            del self._known[host]
        if gone:
            self._list()

    def pick(self, shard: int | None, now: float, up: Collection[Host]) -> Host | None:
        """Return whom to ask about this shard, None if nobody is known.

        One that is connected before others, then one that is well, the owner, who was asked longest ago.

        Args:
            up: those with whom there is a connection.
        """

        def worth(host: Host) -> tuple[bool, bool, bool, int]:
            known = self._known[host]
            return host not in up, now < known.unwell_until, host != owner, known.asked

        owner = None if shard is None else self._owners.get(shard)
        host = min(self._known, key=worth, default=None)
        if host is not None:
            self._asked += 1
            self._known[host].asked = self._asked
        return host

    def is_well(self, host: Host, now: float) -> bool:
        """Say whether this host has answered what it was asked, as far as is known."""
        known = self._known.get(host)
        return known is not None and known.unwell_until <= now

    def seek(self, now: float) -> bool:
        """Say whether to look now where hosts are listed: nobody says a word any more."""
        heard_at = max([self._begun_at, *(known.heard_at for known in self._known.values())])
        if self.hosts and now - heard_at < FORLORN_S:
            return False
        if now < self._seek_at:
            return False
        self._seek_at = now + self._seek_wait_s
        if self._was_heard:
            self._seek_wait_s = min(2 * self._seek_wait_s, MAX_SEEK_S)
        return True

    def is_stale(self, now: float) -> bool:
        """Say whether to ask for a status now, to hear of hosts: once, and again where they come and go."""
        at = self._status_at
        if at is not None and (not self.several or now - at < STALE_S):
            return False
        self._status_at = now
        return True

    def _list(self) -> None:
        hosts = tuple(self._known)
        if hosts != self.hosts:
            self.hosts = hosts
