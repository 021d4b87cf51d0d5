"""Payloads for Discord that one host passes on to the one that runs the shard (does).

What goes over NATS is a `send` request and its answer, as docs/wire.md has them. What was passed on once
isn't passed on again: where a shard moves meanwhile, the asker hears `not_ready`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error, NoRespondersError
from nats.errors import TimeoutError as NatsTimeoutError

from gwcluster.errors import WireError, quoted
from gwcluster.wire.codec import unpack_map
from gwcluster.wire.control import CommandDone
from gwcluster.wire.events import WIRE_VERSION
from gwcluster.wire.refusals import Refusal
from gwcluster.wire.requests import (
    MAX_REQUEST_BYTES,
    BadRequestError,
    Send,
    accepted,
    bad_request,
    encode_send,
    parse,
    refused,
)

MAX_PASSED_ON: Final = 1_024
"""Payloads on their way to other hosts at once, and from others to this one."""

ANSWER_S: Final = 5.0
"""How much longer than the payload may wait an answer may take."""

RETRY_S: Final = 1.0
MAX_ANSWER_BYTES: Final = 16 << 10

Answer = Callable[[CommandDone], None]

log = logging.getLogger(__name__)


class Door:
    """Passes payloads on, and takes those of other hosts, on the running loop.

    Args:
        client: connected to NATS; the caller's to close.
        cluster: `name` of cluster.yaml.
        host: this one's name.
        send: has a payload sent by a worker of this host; it answers once.
    """

    def __init__(
        self, client: Client, *, cluster: str, host: str, send: Callable[[Send, Answer], None]
    ) -> None:
        self._client = client
        self._cluster = cluster
        self._host = host
        self._send = send
        self._taken = 0
        self._asking: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Take what other hosts pass on from now on."""
        await self._client.subscribe(self._subject(self._host), cb=self._take)

    def close(self) -> None:
        """Wait for no more answers; who waits for one is told so."""
        for asking in self._asking:
            asking.cancel()

    def pass_on(self, host: str, ask: Send, *, wait_s: float, answer: Answer) -> None:
        """Have another host send a payload; `answer` is called once.

        Args:
            host: the one that runs the shard.
            ask: with the shard itself, and never a guild.
            wait_s: how long the payload may wait there for its turn.
            answer: hears what became of it.
        """
        if len(self._asking) >= MAX_PASSED_ON:
            answer(_done(Refusal.RATE_LIMITED, f"{MAX_PASSED_ON} payloads are on their way to other hosts"))
            return
        asking = asyncio.get_running_loop().create_task(self._ask(host, ask, wait_s, answer))
        self._asking.add(asking)
        asking.add_done_callback(self._asking.discard)

    async def _ask(self, host: str, ask: Send, wait_s: float, answer: Answer) -> None:
        done = _done(Refusal.NOT_READY, "this host is being stopped: Discord may have this or not")
        try:
            said = await self._client.request(
                self._subject(host), encode_send(ask), timeout=wait_s + ANSWER_S
            )
            done = _read(said.data)
        except NoRespondersError:
            done = _done(Refusal.NOT_READY, f"host {host}, which has shard {ask.shard}, doesn't answer")
        except (NatsTimeoutError, TimeoutError):
            done = _done(Refusal.NOT_READY, f"host {host} doesn't answer: Discord may have this or not", None)
        except (Error, WireError) as error:
            done = _done(
                Refusal.NOT_READY, f"not passed on to host {host}: {str(error) or type(error).__name__}"
            )
        finally:
            answer(done)

    async def _take(self, message: Msg) -> None:
        try:
            ask = parse(message.data) if len(message.data) <= MAX_REQUEST_BYTES else None
        except BadRequestError as error:
            await self._respond(message, bad_request(error))
            return
        if not isinstance(ask, Send) or ask.shard is None:
            said = "only payloads for a shard are passed on from host to host"
            await self._respond(message, refused(None, Refusal.BAD_REQUEST, said))
            return
        if self._taken >= MAX_PASSED_ON:
            said = f"{MAX_PASSED_ON} payloads that other hosts passed on wait here"
            await self._respond(message, refused(None, Refusal.RATE_LIMITED, said, retry_after_s=RETRY_S))
            return
        self._taken += 1
        told: asyncio.Future[CommandDone] = asyncio.get_running_loop().create_future()
        self._send(ask, lambda done: None if told.done() else told.set_result(done))
        told.add_done_callback(lambda _: self._answer(message, told.result()))

    def _answer(self, message: Msg, done: CommandDone) -> None:
        self._taken -= 1
        if done.code is None:
            body = accepted(None)
        else:
            body = refused(None, done.code, done.message, retry_after_s=done.retry_after_s)
        responding = asyncio.get_running_loop().create_task(self._respond(message, body))
        self._asking.add(responding)
        responding.add_done_callback(self._asking.discard)

    async def _respond(self, message: Msg, body: bytes) -> None:
        if not message.reply:
            return
        try:
            await self._client.publish(message.reply, body)
        except Error as error:  # the asker's time passes
            log.warning(
                "an answer to another host could not be given: %s", str(error) or type(error).__name__
            )

    def _subject(self, host: str) -> str:
        return f"gwcluster.{self._cluster}.host.{host}.send"


def _read(body: bytes) -> CommandDone:
    fields = unpack_map(body, max_bytes=MAX_ANSWER_BYTES)
    if fields.get("v") != WIRE_VERSION:
        raise WireError(f"an answer of wire version {quoted(fields.get('v'))}")
    if fields.get("ok") is True:
        return CommandDone(0, None, "", None, None)
    error: Any = fields.get("error")
    if not isinstance(error, dict):
        raise WireError(f"no answer: {quoted(body)}")
    code, message, retry_after = error.get("code"), error.get("message"), error.get("retry_after")
    if not isinstance(code, str) or not isinstance(message, str):
        raise WireError(f"no answer: {quoted(body)}")
    return CommandDone(0, code, message, retry_after if isinstance(retry_after, int | float) else None, None)


def _done(code: Refusal, message: str, retry_after_s: float | None = RETRY_S) -> CommandDone:
    return CommandDone(0, code, message, retry_after_s, None)
