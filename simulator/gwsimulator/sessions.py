"""Decides (pure): sessions, their sequence numbers and replay buffers, and who gets which event."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from gwsimulator.snowflakes import shard_of
from gwsimulator.spelling import Spelling, as_it_is
from gwsimulator.vocabulary import Intent, intent_needed
from gwsimulator.world import Event


def buffer_size(guilds: int) -> int:
    """Return the dispatches kept for replay for a shard with so many guilds.

    Source: https://github.com/discord/discord-api-docs/issues/24 (2016; the only figure ever given)
    """
    return max(100, min(3500, 75 * guilds))


@dataclass(slots=True, eq=False)
class Session:
    """What outlives a connection. `link` is None while there is none, and `expires_at` says until when."""

    id: str
    token: str
    place: tuple[int, int]
    """Shard id and shard count."""
    intents: int
    compress: str | None
    capacity: int
    seq: int = 0
    link: int | None = None
    expires_at: float | None = None
    live: bool = False
    """READY was sent; before it nothing happens to a session."""
    told: int = 0
    """The last number that went to a connection."""
    _buffer: deque[tuple[int, bytes]] = field(default_factory=deque)
    _forgot: int = 0

    def stamp(self, name: str, d: bytes, spell: Spelling = as_it_is) -> bytes:
        """Give the dispatch its number, keep it for replay, return the whole message."""
        self.seq += 1
        payload = spell(b'{"t":"%b","s":%d,"op":0,"d":%b}' % (name.encode(), self.seq, d))
        self._buffer.append((self.seq, payload))
        if len(self._buffer) > self.capacity:
            self._forgot = self._buffer.popleft()[0]
        return payload

    def trim(self, seq: int) -> None:
        """Forget the messages up to `seq`."""
        while self._buffer and self._buffer[0][0] <= seq:
            self._forgot = self._buffer.popleft()[0]

    def missed(self, since: int) -> list[bytes] | None:
        """Return the messages after `since`, or None when the buffer no longer reaches back to it."""
        if since < self._forgot:
            return None
        found: list[bytes] = []
        for seq, payload in reversed(self._buffer):
            if seq <= since:
                break
            found.append(payload)
        found.reverse()
        return found

    def has_expired(self, now: float) -> bool:
        """Say whether nobody can resume it any more."""
        return not self.live or (self.expires_at is not None and self.expires_at <= now)

    def wants(self, event: Event) -> bool:
        """Say whether the session's intents cover the event."""
        needed = intent_needed(event.name, in_guild=event.guild_id is not None)
        return needed == 0 or bool(self.intents & needed)

    def view(self, event: Event) -> bytes:
        """Return the event's `d` as this session may see it."""
        if event.d_without_content is not None and not self.intents & Intent.MESSAGE_CONTENT:
            return event.d_without_content
        return event.d


@dataclass(slots=True)
class Sessions:
    """All sessions, by id and by place."""

    _by_id: dict[str, Session] = field(default_factory=dict)
    _by_place: dict[tuple[int, int], list[Session]] = field(default_factory=dict)
    lost: int = 0
    """Dispatches of forgotten sessions that never went to a connection."""

    def add(self, session: Session) -> None:
        """Keep a new session."""
        self._by_id[session.id] = session
        self._by_place.setdefault(session.place, []).append(session)

    def get(self, session_id: str) -> Session | None:
        """Return the session of that id, if it still exists."""
        return self._by_id.get(session_id)

    def drop(self, session: Session) -> None:
        """Forget a session; nothing when it is already forgotten."""
        if self._by_id.pop(session.id, None) is not None:
            self.lost += session.seq - session.told
            places = self._by_place[session.place]
            places.remove(session)
            if not places:
                del self._by_place[session.place]

    def all(self) -> list[Session]:
        """Return every session."""
        return list(self._by_id.values())

    def on_shard(self, shard: int) -> list[Session]:
        """Return the sessions of a shard id, whatever their shard count."""
        return [session for place, there in self._by_place.items() if place[0] == shard for session in there]

    def receivers(self, event: Event) -> Iterable[Session]:
        """Return the sessions that an event is routed to: by its guild, or shard 0 when it has none."""
        for place, there in self._by_place.items():
            shard = 0 if event.guild_id is None else shard_of(event.guild_id, place[1])
            if place[0] == shard:
                yield from there
