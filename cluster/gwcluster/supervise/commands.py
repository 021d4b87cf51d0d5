"""Commands on their way to workers (does): routes them, and sees that each is answered once.

What a payload must look like is the worker's business; here is checked what a worker must not be bothered
with: where it goes, how long it may wait, and whether it fits a control message at all.

Sources:
    https://docs.discord.com/developers/events/gateway#sharding
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any, Final, Protocol

from gwcluster.discord import SEND_BYTES, shard_of, snowflake
from gwcluster.errors import GwclusterError, WireError, quoted
from gwcluster.wire.control import Command, CommandDone, Message, Unframer, encode
from gwcluster.wire.refusals import Refusal

MAX_TTL_S: Final = 300.0
DEFAULT_TTL_S: Final = 60.0
"""The longest that a worker lets a command wait if nobody says how long."""

OVERDUE_S: Final = 5.0
"""How much later than its time a command is given up when its worker says nothing at all."""

MAX_COMMAND_BYTES: Final = 16 << 10
"""Of a command as msgpack. What Discord takes is below 9,300: a float has 9 bytes here, 4 there."""

MAX_PENDING: Final = 1_500
MAX_PENDING_BYTES: Final = 1 << 20
"""What may be with one worker, unanswered; more than it lets wait, so that it is the one to refuse."""

_BUSY_RETRY_S: Final = 1.0


class _RefusedError(GwclusterError):
    def __init__(self, code: Refusal, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after_s = retry_after_s


class Timer(Protocol):
    """Something that will happen, unless it is cancelled."""

    def cancel(self) -> None:
        """Let it not happen."""


@dataclass(frozen=True, slots=True)
class _Pending:
    shard: int
    size: int
    answer: Callable[[CommandDone], None]
    overdue: Timer


class Commands:
    """What bots want sent, from the request to its answer.

    Args:
        shards: shard count, of which this cluster may run only `ids`.
        tell: sends a message to a shard's worker.
        has_worker: says whether the shard has one.
        later: calls a function after so many seconds.

    Attributes:
        pass_on: takes the shard, payload and seconds of what another host is to send, and answers once; it
            returns False if none runs the shard. None: there are no other hosts.
    """

    pass_on: Callable[[int, object, float | None, Callable[[CommandDone], None]], bool] | None = None

    def __init__(
        self,
        *,
        shards: int,
        ids: Container[int],
        tell: Callable[[int, Message], None],
        has_worker: Callable[[int], bool],
        later: Callable[[float, Callable[[], None]], Timer],
    ) -> None:
        self._shards = shards
        self._ids = ids
        self._tell = tell
        self._has_worker = has_worker
        self._later = later
        self._numbers = itertools.count(1)
        self._pending: dict[int, _Pending] = {}
        self._loads: dict[int, tuple[int, int]] = {}

    def send(
        self,
        payload: object,
        *,
        answer: Callable[[CommandDone], None],
        shard: object = None,
        guild_id: object = None,
        ttl_s: object = None,
        passed_on: bool = False,
    ) -> None:
        """Have a payload sent to Discord, on a shard or on the one that a guild belongs to.

        Args:
            payload: `{"op": …, "d": …}`; nothing here is trusted.
            answer: called exactly once, maybe before this returns.
            ttl_s: how long it may wait, up to 300; None: 60 for a presence, 30 for others.
            passed_on: it comes from another host, and stays here.
        """
        number = next(self._numbers)
        try:
            where = self._route(shard, guild_id)
            command = Command(number, *_parts(payload), _ttl_s(ttl_s))
            size = _size(command)
            if (
                self.pass_on is not None
                and not passed_on
                and not self._has_worker(where)
                and self.pass_on(where, payload, command.ttl_s, answer)
            ):
                return
            self._admit(where, size)
        except _RefusedError as refused:
            answer(CommandDone(number, refused.code, str(refused), refused.retry_after_s, None))
            return
        give_up_s = (DEFAULT_TTL_S if command.ttl_s is None else command.ttl_s) + OVERDUE_S
        overdue = self._later(give_up_s, lambda: self._overdue(number))
        self._pending[number] = _Pending(where, size, answer, overdue)
        self._load(where, 1, size)
        self._tell(where, command)

    def heard(self, done: CommandDone) -> None:
        """A worker answered; too late is as good as never."""
        self._settle(done)

    def worker_ended(self, shard: int) -> None:
        """Nobody knows any more what became of the commands of a shard's worker."""
        said = f"the worker of shard {shard} ended: Discord may have this or not"
        for number in [number for number, pending in self._pending.items() if pending.shard == shard]:
            self._settle(CommandDone(number, Refusal.NOT_READY, said, None, None))

    def _overdue(self, number: int) -> None:
        said = "the worker does not answer: Discord may have this or not"
        self._settle(CommandDone(number, Refusal.NOT_READY, said, None, None))

    def _settle(self, done: CommandDone) -> None:
        pending = self._pending.pop(done.id, None)
        if pending is not None:
            pending.overdue.cancel()
            self._load(pending.shard, -1, -pending.size)
            pending.answer(done)

    def _route(self, shard: object, guild_id: object) -> int:
        if (shard is None) == (guild_id is None):
            raise _bad("either shard or guild_id is needed, and not both")
        if shard is not None:
            if not isinstance(shard, int) or isinstance(shard, bool):
                raise _bad(f"shard is {quoted(shard)}; it should be an integer")
            if shard not in self._ids:
                raise _RefusedError(
                    Refusal.UNKNOWN_SHARD, f"shard {quoted(shard)} is not run by this cluster"
                )
            return shard
        guild = snowflake(guild_id)
        if guild is None:
            raise _bad(f"guild_id is {quoted(guild_id)}; it should be a guild's id, as a string of digits")
        owner = shard_of(guild, self._shards)
        if owner not in self._ids:
            said = f"guild {quoted(guild_id)} is on shard {owner}, which is not run by this cluster"
            raise _RefusedError(Refusal.UNKNOWN_SHARD, said)
        return owner

    def _admit(self, shard: int, size: int) -> None:
        if not self._has_worker(shard):
            raise _RefusedError(Refusal.NOT_READY, f"shard {shard} is not running", _BUSY_RETRY_S)
        count, total = self._loads.get(shard, (0, 0))
        if count >= MAX_PENDING or total + size > MAX_PENDING_BYTES:
            said = f"{count} commands of {total} bytes are on their way to shard {shard} already"
            raise _RefusedError(Refusal.RATE_LIMITED, said, _BUSY_RETRY_S)

    def _load(self, shard: int, count: int, size: int) -> None:
        before = self._loads.get(shard, (0, 0))
        self._loads[shard] = (before[0] + count, before[1] + size)


def _parts(payload: object) -> tuple[Any, Any]:
    if not isinstance(payload, dict) or "op" not in payload or "d" not in payload:
        raise _bad(f'payload is {quoted(payload)}; it should be a map such as {{"op": 3, "d": {{}}}}')
    return payload["op"], payload["d"]


def _ttl_s(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MAX_TTL_S:
        raise _bad(f"ttl is {quoted(value)}; it should be seconds, more than 0, at most {MAX_TTL_S:.0f}")
    return float(value)


def _size(command: Command) -> int:
    """Return the size of a command that its worker can read; one that it can't would end it."""
    try:
        frame = encode(command)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise _bad(f"payload can't be handed on: {str(error)[:80] or type(error).__name__}") from error
    if len(frame) > MAX_COMMAND_BYTES:
        said = f"{_json_bytes(command)} bytes of JSON; Discord takes at most {SEND_BYTES}"
        raise _RefusedError(Refusal.TOO_LARGE, said)
    try:
        list(Unframer().feed(frame))
    except WireError as error:
        raise _bad(f"payload can't be handed on: {str(error)[:80]}") from error
    return len(frame)


def _json_bytes(command: Command) -> int:
    payload = {"op": command.op, "d": command.d}
    try:
        return len(json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise _bad(f"payload can't be written as JSON: {str(error)[:80]}") from error


def _bad(message: str) -> _RefusedError:
    return _RefusedError(Refusal.BAD_REQUEST, message)
