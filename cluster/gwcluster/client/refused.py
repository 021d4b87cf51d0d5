"""Why a cluster doesn't do what it is asked for (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gwcluster.client.host import Host
from gwcluster.client.keys import KeyRefused
from gwcluster.errors import GwclusterError, WireError
from gwcluster.wire.refusals import Refusal
from gwcluster.wire.replay import Refused

ANSWER_S = 10.0
"""How long a cluster has for an answer that it knows at once."""

SEND_S = 60.0
"""The longest that a command waits for its turn unless `ttl_s` says otherwise (docs/commands.md)."""


class SendRefused(GwclusterError):  # noqa: N818 - the name that callers read is what happened
    """A command was not sent to Discord, or nobody knows whether it was; the message says which.

    Attributes:
        code: `not_ready`, `rate_limited`, `too_large`, `bad_request`, `forbidden_opcode`, `unknown_shard` or
            `forbidden`;
            docs/commands.md says what to do for each.
        retry_after: seconds after which it may be tried again, None if that isn't said.
    """

    def __init__(self, code: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.retry_after = retry_after


class RestartRefused(GwclusterError):  # noqa: N818 - see above
    """Nothing is restarted.

    Attributes:
        code: `unknown_shard`, `not_ready`, `rate_limited` or `bad_request`; the message says why.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class DrainRefused(GwclusterError):  # noqa: N818 - see above
    """No shard is handed to other hosts.

    Attributes:
        code: `not_ready` or `rate_limited`; the message says why.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class NoAnswer(GwclusterError):  # noqa: N818 - see above
    """The cluster didn't answer in time: it isn't running, at another address, or overloaded. Try again."""


def command_fields(
    payload: object, shard: int | None, guild_id: int | str | None, ttl_s: float | None
) -> dict[str, Any]:
    """Return the keys of a `send` request; what is None is left out."""
    given = {
        "payload": payload,
        "shard": shard,
        "guild_id": None if guild_id is None else str(guild_id),
        "ttl": ttl_s,
    }
    return {key: value for key, value in given.items() if value is not None}


def sent(answer: dict[str, Any] | Refused) -> None:
    """Take the answer to `send`.

    Raises:
        SendRefused: it says so.
    """
    if isinstance(answer, Refused):
        raise SendRefused(answer.code, answer.message, answer.retry_after_s)


def restart_fields(shard: int | None, *, rolling: bool, every: bool) -> dict[str, Any]:
    """Return the keys of a `restart` request.

    Raises:
        ValueError: it isn't said, or said twice, what is to be restarted.
    """
    if (shard is not None) + rolling + every != 1:
        raise ValueError("restart() needs one of shard=3, rolling=True and every=True")
    return {"shard": shard} if shard is not None else {"all": True, "rolling": rolling}


def restarted(answer: dict[str, Any] | Refused) -> None:
    """Take the answer to `restart`.

    Raises:
        RestartRefused: it says so.
    """
    if isinstance(answer, Refused):
        raise RestartRefused(answer.code, answer.message)


def one_host(given: Sequence[Host], op: str) -> None:
    """See to it that it is clear which host is meant.

    Raises:
        ValueError: it isn't.
    """
    if len(given) != 1:
        raise ValueError(f"{op}() needs a connection with one host: give its events= and requests=")


def drained(answer: dict[str, Any] | Refused) -> None:
    """Take the answer to `drain`.

    Raises:
        DrainRefused: it says so.
    """
    if isinstance(answer, Refused):
        raise DrainRefused(answer.code, answer.message)


def status_in(answer: dict[str, Any] | Refused) -> dict[str, Any]:
    """Return the document in the answer to `status`.

    Raises:
        NoAnswer: the cluster can't say now.
        KeyRefused: not to this program.
        WireError: it is no status.
    """
    if isinstance(answer, Refused) and answer.code == Refusal.FORBIDDEN:
        raise KeyRefused(answer.message)
    if isinstance(answer, Refused):
        raise NoAnswer(f"no status: {answer.code}, {answer.message}")
    status = answer.get("status")
    if not isinstance(status, dict):
        raise WireError("an answer to status without a status")
    return status


def silent(address: str, seconds: float, hint: str = "") -> NoAnswer:
    """Return the error of a cluster that doesn't answer."""
    return NoAnswer(f"no answer from {address} within {seconds:g} s{hint or '; is the cluster running?'}")


def hung_up(op: str) -> SendRefused | NoAnswer:
    """Return the error of a connection that was lost before the answer to what can't be asked twice came."""
    if op in {"restart", "drain"}:
        return NoAnswer(f"the connection to the cluster was lost: it may {op} this or not")
    return SendRefused("not_ready", "the connection to the cluster was lost: Discord may have this or not")
