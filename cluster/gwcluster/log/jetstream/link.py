"""The connection to NATS (does): it never gives up, and says in the log what it does."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable
from typing import Any, Final

from gwcluster.errors import LogError
from gwcluster.log.jetstream.answers import NoAnswer, answer, status
from gwcluster.log.jetstream.light import Client, Msg, errors
from gwcluster.nats_login import NatsLogin

OLDEST: Final = (2, 11)
"""The first that gives out many messages at once. https://docs.nats.io/release-notes/whats_new/whats_new_211"""

CONNECT_S: Final = 10.0
ANSWER_S: Final = 5.0
AGAIN_S: Final = 1.0
"""Between two questions for what only a leader knows, while there may be none."""

PING_S: Final = 4.0
"""Two pings without an answer, and another server is tried."""

_WAIT_S: Final = 0.5
_PENDING_BYTES: Final = 16 << 20
_SAY_EACH_S: Final = 30.0

Heard = Callable[[str, Msg], None]
"""Takes the rest of an answer's subject, behind the prefix, and the answer."""

log = logging.getLogger(__name__)


class Link:
    """One connection. Use `connect`.

    Attributes:
        on_change: called with whether there is a connection, whenever that changes.
    """

    def __init__(self, login: NatsLogin, name: str) -> None:
        """Use `connect`."""
        self.on_change: list[Callable[[bool], None]] = []
        self._login = login
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._client = Client()
        self._inbox = ""
        self._heard: dict[str, Heard] = {}
        self._count = 0
        self._closing = False
        self._said_at = 0.0
        self._failure: Exception | None = None
        self._reviving: asyncio.Task[None] | None = None

    @classmethod
    async def connect(cls, login: NatsLogin, *, name: str, timeout_s: float = CONNECT_S) -> Link:
        """Connect.

        Args:
            login: where to, and with what.
            name: shown by the server to whoever lists its connections.
            timeout_s: after so many seconds it is an error that no server answers.

        Raises:
            LogError: no server takes us, or it is too old.
        """
        link = cls(login, name)
        try:
            async with asyncio.timeout(timeout_s):
                await link._begin()
        except BaseException as error:
            await link.close()
            if isinstance(error, TimeoutError | errors.Error | OSError):
                where = ", ".join(login.servers)
                why = link._failure or error
                raise LogError(f"no NATS server takes us at {where}: {_words(why)}") from error
            raise
        return link

    @property
    def client(self) -> Client:
        """The connection, for those who need no more; it is another one after the server refused us."""
        return self._client

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection at this moment."""
        return self._client.is_connected

    @property
    def max_payload(self) -> int:
        """Bytes that a message may have, headers and data."""
        return self._client.max_payload

    async def publish(self, subject: str, data: bytes, *, reply: str = "", headers: dict[str, str]) -> None:
        """Send a message; there is no knowing whether it arrives.

        Raises:
            NoAnswer: it can't be sent now.
        """
        try:
            await self._client.publish(subject, data, reply, headers)
        except (errors.Error, OSError) as error:
            raise NoAnswer(f"NATS takes no message: {error}") from error

    def route(self, heard: Heard) -> tuple[str, Callable[[], None]]:
        """Return a prefix of subjects whose messages `heard` gets, and what ends that."""
        self._count += 1
        key = str(self._count)
        self._heard[key] = heard
        return f"{self._inbox}.{key}.", lambda: self._forget(key)

    def _forget(self, key: str) -> None:
        self._heard.pop(key, None)

    async def request(
        self,
        subject: str,
        data: bytes = b"",
        *,
        headers: dict[str, str] | None = None,
        timeout_s: float = ANSWER_S,
    ) -> Msg:
        """Return the answer to a request.

        Raises:
            NoAnswer: none came in time, or the request can't be sent now.
        """
        return (await self.gather(subject, data, headers=headers, timeout_s=timeout_s, one=True))[0]

    async def gather(
        self,
        subject: str,
        data: bytes = b"",
        *,
        headers: dict[str, str] | None = None,
        timeout_s: float = ANSWER_S,
        one: bool = False,
        again_s: float | None = None,
    ) -> list[Msg]:
        """Return all messages of an answer, of which the last is a status.

        Args:
            timeout_s: the longest silence.
            one: there is only one, whatever it is.
            again_s: with `one`: ask again after each such silence, and take the first answer to any.

        Raises:
            NoAnswer: they don't come in time, or the request can't be sent now.
        """
        got: list[Msg] = []
        news = asyncio.Event()

        def heard(_: str, message: Msg) -> None:
            got.append(message)
            news.set()

        prefix, end = self.route(heard)
        asking: asyncio.Task[None] | None = None
        try:
            await self.publish(subject, data, reply=f"{prefix}a", headers=headers or {})
            if again_s is not None:
                asking = self._loop.create_task(self._ask_again(subject, data, f"{prefix}a", again_s))
            while not (got and (one or status(got[-1].headers) is not None)):
                news.clear()
                async with asyncio.timeout(timeout_s):
                    await news.wait()
        except TimeoutError:
            raise NoAnswer(f"NATS hasn't answered {subject} for {timeout_s:.0f} s") from None
        finally:
            end()
            if asking is not None:
                asking.cancel()
        return got

    async def _ask_again(self, subject: str, data: bytes, reply: str, each_s: float) -> None:
        with contextlib.suppress(NoAnswer):  # whoever waits hears that there is none
            while True:
                await asyncio.sleep(each_s)
                await self.publish(subject, data, reply=reply, headers={})

    async def api(
        self, what: str, body: dict[str, Any] | None = None, *, timeout_s: float = ANSWER_S
    ) -> dict[str, Any]:
        """Return what JetStream's API answers, such as `STREAM.INFO.name`.

        Raises:
            ApiError: an error.
            NoAnswer: nothing, in time.
        """
        data = json.dumps(body).encode() if body is not None else b""
        got = await self.request(f"$JS.API.{what}", data, timeout_s=timeout_s)
        return answer(got.headers, got.data, what)

    async def look(self, what: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Like `api`, for what changes nothing: it is asked each second until it is answered.

        A stream without a leader says nothing, so that the next one never hears of what was asked before.
        """
        data, subject = json.dumps(body).encode() if body is not None else b"", f"$JS.API.{what}"
        got = await self.gather(subject, data, one=True, again_s=AGAIN_S)
        return answer(got[0].headers, got[0].data, what)

    async def close(self) -> None:
        """Disconnect for good."""
        self._closing = True
        if self._reviving is not None:
            self._reviving.cancel()
        try:
            async with asyncio.timeout(2.0):
                await self._client.close()
        except (TimeoutError, errors.Error, OSError) as error:
            log.debug("NATS: not closed in order: %s", error)

    async def _begin(self) -> None:
        client = self._client
        await client.connect(
            **self._login.options(),
            name=self._name,
            connect_timeout=2,
            max_reconnect_attempts=-1,
            reconnect_time_wait=_WAIT_S,  # type: ignore[arg-type]  # seconds, and half ones work
            ping_interval=PING_S,  # type: ignore[arg-type]
            pending_size=_PENDING_BYTES,
            skip_subject_validation=True,
            error_cb=self._on_error,
            disconnected_cb=self._on_disconnected,
            reconnected_cb=self._on_reconnected,
            closed_cb=self._on_closed,
        )
        version = client.connected_server_version
        found = (version.major, version.minor, version.patch)
        if found < OLDEST:
            said, oldest = ".".join(map(str, found)), ".".join(map(str, OLDEST))
            raise LogError(f"the NATS server is of version {said}; {oldest} or newer is needed: upgrade it")
        self._inbox = client.new_inbox()
        await client.subscribe(f"{self._inbox}.>", cb=self._dispatch)
        log.debug("NATS: connected to %s", self._server)

    @property
    def _server(self) -> str:
        url = self._client.connected_url
        return url.netloc.rpartition("@")[2] if url is not None else "no server"

    async def _dispatch(self, message: Msg) -> None:
        key, _, rest = message.subject[len(self._inbox) + 1 :].partition(".")
        heard = self._heard.get(key)
        if heard is not None:
            heard(rest, message)

    # nats-py calls these

    async def _on_error(self, error: Exception) -> None:
        self._failure = error
        now = self._loop.time()
        if self._client.is_connected or now - self._said_at >= _SAY_EACH_S:
            self._said_at = now
            log.info("NATS: %s", _words(error))

    async def _on_disconnected(self) -> None:
        if not self._closing:
            log.warning("NATS: the connection is lost; connecting again")
            self._tell(False)

    async def _on_reconnected(self) -> None:
        log.warning("NATS: connected again, to %s", self._server)
        self._tell(True)

    async def _on_closed(self) -> None:
        if not self._closing and self._inbox:
            log.error("NATS: the server ended the connection (%s); trying again", self._failure)
            self._reviving = self._loop.create_task(self._revive())

    def _tell(self, is_connected: bool) -> None:
        for each in self.on_change:
            each(is_connected)

    async def _revive(self) -> None:
        """Make another client: the server said something after which nats-py gives up."""
        while not self._closing:
            await asyncio.sleep(_WAIT_S)
            self._client = Client()
            try:
                async with asyncio.timeout(CONNECT_S):
                    inbox = self._inbox
                    await self._begin()
                    self._inbox = inbox
                    await self._client.subscribe(f"{inbox}.>", cb=self._dispatch)
            except (TimeoutError, LogError, errors.Error, OSError) as error:
                await self._on_error(error)
                await self._client.close()
                continue
            await self._on_reconnected()
            return


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
