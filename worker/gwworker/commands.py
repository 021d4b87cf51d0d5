"""Which command leaves when, and what its caller is told (pure).

Commands wait for a connection that takes them and for room in its budget, in the order of their coming.
Each is answered exactly once. One that has left is forgotten, so nothing is ever sent a second time:
what made Discord end a connection must not end the next one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from gwcluster.discord import ALL_MEMBERS_SPACING_S, Op
from gwcluster.wire.control import Command, CommandDone
from gwcluster.wire.refusals import Refusal
from gwworker.all_members import AllMembers, Objection
from gwworker.command_rules import CommandRefusedError, check
from gwworker.ratelimit import SendBudget
from gwworker.waiting_room import Waiting, WaitingRoom

TTL_S: Final = 30.0
PRESENCE_TTL_S: Final = 60.0

PRESENCE_SPACING_S: Final = 4.2
"""Discord's documentation named 5 presences in 20 s until 2022, and no number since. They may arrive closer.
https://docs.discord.com/developers/events/gateway-events#update-presence"""

OBJECTION_S: Final = 1.0
"""How long a request for all members waits for RATE_LIMITED before it counts as taken."""

_RATE_LIMITED_CLOSE: Final = 4008


@dataclass(frozen=True, slots=True)
class Write:
    """Send `payload` now; call `Commands.taken` once the socket has taken all of it."""

    id: int
    payload: bytes


class Commands:
    """The commands of one shard; all times are monotonic seconds.

    Args:
        budget: of the connection; whoever else sends on it notes that there.
        intents: of the shard's sessions.

    Attributes:
        last: opcode and moment of the last write, None before the first.
    """

    def __init__(self, budget: SendBudget, *, intents: int) -> None:
        self.last: tuple[Op, float] | None = None
        self._budget = budget
        self._intents = intents
        self._open = False
        self._room = WaitingRoom()
        self._presence: Waiting | None = None  # one at most, since the last one wins
        self._presence_at = -math.inf
        self._in_flight: Waiting | None = None
        self._unopposed: dict[int, tuple[Waiting, float]] = {}
        self._all_members = AllMembers()

    @property
    def in_flight(self) -> bool:
        """Whether a write is out that the socket hasn't taken, as far as was told."""
        return self._in_flight is not None

    def offer(self, command: Command, now: float) -> list[CommandDone]:
        """Take a command or refuse it; return what is to be answered at once, be it to it or to another."""
        try:
            checked = check(command.op, command.d, intents=self._intents)
        except CommandRefusedError as refused:
            return [_refusal(command.id, refused.code, str(refused))]
        is_presence = checked.op is Op.PRESENCE_UPDATE
        default_s = PRESENCE_TTL_S if is_presence else TTL_S
        ttl_s = default_s if command.ttl_s is None else command.ttl_s
        waiting = Waiting(command.id, checked, now + ttl_s)
        if is_presence:
            older, self._presence = self._presence, waiting
            said = "accepted; a later presence took its place before it was sent"
            return [] if older is None else [CommandDone(older.id, None, said, None, None)]
        refusal = self._full(waiting, now) or self._too_soon(waiting, now)
        if refusal is not None:
            return [refusal]
        if checked.all_members_of is not None:
            self._all_members.claim(checked.all_members_of, now)
        self._room.add(waiting)
        return []

    def opened(self) -> None:
        """READY or RESUMED came: Discord takes commands."""
        self._open = True

    def shut(self, now: float, code: int | None) -> list[CommandDone]:
        """Nothing may leave any more: the connection ends, or is about to.

        Args:
            code: the close code that Discord sent, if known by now; it may be told later, by another call.
        """
        self._open = False
        if code == _RATE_LIMITED_CLOSE:
            self._budget.tighten(now)
        lost = [waiting.id for waiting, _ in self._unopposed.values()]
        if self._in_flight is not None:
            lost.append(self._in_flight.id)
        self._in_flight = None
        self._unopposed.clear()
        said = "the connection ended while this was sent: Discord may have it or not; it is not sent again"
        return [_refusal(id_, Refusal.NOT_READY, said) for id_ in lost]

    def step(self, now: float) -> list[Write | CommandDone]:
        """Return what is due, at most one write; call it again until there is nothing."""
        effects: list[Write | CommandDone] = [*self._expired(now), *self._unopposed_until(now)]
        if self._open and self._in_flight is None and self._budget.room_for_command(now):
            waiting = self._next(now)
            if waiting is not None:
                effects.append(self._write(waiting, now))
        return effects

    def taken(self, now: float) -> list[CommandDone]:
        """The socket has taken the last write."""
        waiting, self._in_flight = self._in_flight, None
        if waiting is None:
            return []
        if waiting.checked.all_members_of is not None:
            self._unopposed[waiting.id] = (waiting, now)
            return []
        return [_written(waiting.id, now)]

    def rate_limited(self, objection: Objection, now: float) -> list[CommandDone]:
        """Discord won't name all members of a guild yet; whoever asked for them and still waits is told."""
        guild_id, nonce, retry_after_s = objection.guild_id, objection.nonce, objection.retry_after_s
        asked = [
            waiting.id
            for waiting, _ in self._unopposed.values()
            if waiting.checked.all_members_of == guild_id and nonce in {None, waiting.checked.nonce}
        ]
        queued = [waiting.id for waiting in self._room if waiting.checked.all_members_of == guild_id]
        for id_ in asked:
            del self._unopposed[id_]
        for id_ in queued:
            self._room.take(id_)
        self._all_members.refused(guild_id, retry_after_s, now)
        said = f"RATE_LIMITED: Discord does not name all members of guild {guild_id} yet"
        return [_refusal(id_, Refusal.RATE_LIMITED, said, retry_after_s) for id_ in [*asked, *queued]]

    def due(self, now: float) -> float | None:
        """Return the moment at which `step` is wanted, None for never."""
        moments = [at + OBJECTION_S for _, at in self._unopposed.values()][:1]
        if self._presence is not None:
            moments.append(self._presence.expires_at)
        if (expiry := self._room.next_expiry) is not None:
            moments.append(expiry)
        if self._open and self._in_flight is None and (self._room or self._presence):
            room_at = self._budget.free_at(now)
            moments.append(room_at if self._room else max(room_at, self._presence_at))
        return min(moments, default=None)

    # Coming in

    def _full(self, waiting: Waiting, now: float) -> CommandDone | None:
        if self._room.has_room(waiting):
            return None
        expiry = self._room.next_expiry
        assert expiry is not None, "an empty room has room for any payload"
        moving = self._open and self._in_flight is None
        free_at = min(expiry, self._budget.free_at(now)) if moving else expiry
        said = f"{len(self._room)} commands of {self._room.bytes} bytes wait already"
        return _refusal(waiting.id, Refusal.RATE_LIMITED, said, max(0.0, free_at - now))

    def _too_soon(self, waiting: Waiting, now: float) -> CommandDone | None:
        guild_id = waiting.checked.all_members_of
        wait_s = 0.0 if guild_id is None else self._all_members.wait_s(guild_id, now)
        if wait_s == 0.0:
            return None
        said = f"all members of guild {guild_id}: once in {ALL_MEMBERS_SPACING_S:.0f} s"
        return _refusal(waiting.id, Refusal.RATE_LIMITED, said, wait_s)

    # Going out

    def _next(self, now: float) -> Waiting | None:
        if self._presence is not None and now >= self._presence_at:
            waiting, self._presence = self._presence, None
            self._presence_at = now + PRESENCE_SPACING_S
            return waiting
        return self._room.first() if self._room else None

    def _write(self, waiting: Waiting, now: float) -> Write:
        checked = waiting.checked
        if checked.all_members_of is not None:
            self._all_members.written(checked.all_members_of, now)
        self._budget.note_command(now)
        self._in_flight = waiting
        self.last = (checked.op, now)
        return Write(waiting.id, checked.payload)

    def _unopposed_until(self, now: float) -> list[CommandDone]:
        due = {id_: at for id_, (_, at) in self._unopposed.items() if now >= at + OBJECTION_S}
        for id_ in due:
            del self._unopposed[id_]
        return [_written(id_, at) for id_, at in due.items()]

    def _expired(self, now: float) -> list[CommandDone]:
        late = self._room.expired(now)
        for waiting in late:
            if waiting.checked.all_members_of is not None:
                self._all_members.released(waiting.checked.all_members_of)
        if self._presence is not None and now >= self._presence.expires_at:
            late.append(self._presence)
            self._presence = None
        return [self._too_late(waiting.id, now) for waiting in late]

    def _too_late(self, id_: int, now: float) -> CommandDone:
        if not self._open:
            return _refusal(id_, Refusal.NOT_READY, "no connection took commands before this was too late")
        if self._in_flight is not None:
            return _refusal(id_, Refusal.NOT_READY, "the connection took nothing before this was too late")
        wait_s = self._budget.free_at(now) - now
        said = "no room within Discord's send limit before this was too late"
        return _refusal(id_, Refusal.RATE_LIMITED, said, wait_s if wait_s < math.inf else None)


def _written(id_: int, at: float) -> CommandDone:
    return CommandDone(id_, None, "written", None, at)


def _refusal(id_: int, code: Refusal, message: str, retry_after_s: float | None = None) -> CommandDone:
    return CommandDone(id_, code, message, retry_after_s, None)
