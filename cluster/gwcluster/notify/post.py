"""Posts what is worth a message to the webhook (does), beside everything else, and waits for nobody."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal, assert_never

import aiohttp

from gwcluster.backoff import Backoff
from gwcluster.notify.reply import TRIES, Again, Arrived, Hopeless, judge
from gwcluster.notify.watch import News, Watch
from gwcluster.notify.words import body
from gwcluster.sight import Sight

LOOK_S: Final = 1.0
TIMEOUT_S: Final = 10.0
LAST_WORDS_S: Final = 2.0
"""What a message may take when the program ends: one try, and no part of a stop that somebody asked for."""

PAUSE_S: Final = 900.0
"""After a message was given up: so long until the next one is tried, which then tells what is so by then."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where messages go.

    Attributes:
        url: a secret; it goes into the request and nowhere else.
        cluster: the cluster's name.
    """

    url: str
    form: Literal["discord", "json"]
    cluster: str


class Messenger:
    """Looks, decides by `Watch`, posts.

    Args:
        webhook: where to.
        look: returns how the cluster is.
        session: takes nothing from the environment.
        clock: monotonic seconds.
        wall: Unix seconds.
        jitter: returns evenly distributed numbers from 0.0 to 1.0.
        sleep: waits so many seconds.
        timeout_s: for one try.
    """

    def __init__(
        self,
        webhook: Webhook,
        look: Callable[[], Sight],
        session: aiohttp.ClientSession,
        *,
        clock: Callable[[], float],
        wall: Callable[[], float],
        jitter: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._webhook = webhook
        self._look = look
        self._session = session
        self._clock = clock
        self._wall = wall
        self._jitter = jitter
        self._sleep = sleep
        self._timeout_s = timeout_s
        self._watch = Watch()
        self._deaf = False

    async def run(self) -> None:
        """Tell what is worth it until cancelled."""
        while True:
            self._watch.look(self._look(), self._clock())
            if news := self._watch.news(self._clock()):
                await self._deliver(news)
            await self._sleep(LOOK_S)

    async def last_words(self) -> None:
        """The program ends by itself: one try to say why."""
        self._watch.look(self._look(), self._clock())
        if news := self._watch.last_words(self._clock()):
            match await self._post(self._body(news), min(self._timeout_s, LAST_WORDS_S)):
                case Again(why=why) | Hopeless(why=why):
                    log.error("the webhook didn't take the last message: %s", why)
                case Arrived():
                    pass

    async def _deliver(self, news: list[News]) -> None:
        payload = self._body(news)
        backoff = Backoff(jitter=self._jitter)
        why = ""
        for attempt in range(1, TRIES + 1):
            match await self._post(payload, self._timeout_s):
                case Arrived():
                    if self._deaf:
                        log.info("the webhook takes messages again")
                    self._deaf = False
                    self._watch.told(news, self._clock())
                    return
                case Hopeless(why=why):
                    break
                case Again(why=why, after_s=after_s):
                    if attempt < TRIES:
                        await self._sleep(backoff.next() if after_s is None else after_s)
                case never:
                    assert_never(never)
        if not self._deaf:
            log.error(
                "the webhook takes no message: %s; nobody is told by it, and it is tried every %.0f minutes",
                why,
                PAUSE_S / 60,
            )
        self._deaf = True
        self._watch.wait(self._clock(), PAUSE_S)

    def _body(self, news: list[News]) -> bytes:
        webhook = self._webhook
        return body(webhook.form, news, self._look(), cluster=webhook.cluster, wall=self._wall())

    async def _post(self, payload: bytes, timeout_s: float) -> Arrived | Again | Hopeless:
        try:
            async with self._session.post(
                self._webhook.url,
                data=payload,
                headers={"Content-Type": "application/json"},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout_s),
            ) as response:
                return judge(response.status, response.headers.get("Retry-After"))
        except TimeoutError:
            return judge(None, None, f"no answer within {timeout_s:g} s")
        except (aiohttp.ClientError, OSError) as error:  # their words may have the address in them
            return judge(None, None, f"no answer ({type(error).__name__})")


@contextlib.asynccontextmanager
async def told(messenger: Messenger, stopped: Callable[[], bool]) -> AsyncIterator[None]:
    """Keep the webhook told while the block runs.

    Args:
        messenger: tells it.
        stopped: whether somebody asked for the end; otherwise the reason for it is the last message.
    """
    telling = asyncio.ensure_future(messenger.run())
    try:
        yield
    finally:
        telling.cancel()
        await asyncio.wait({telling})
        if not telling.cancelled() and (bug := telling.exception()) is not None:
            log.error("bug: the webhook was told nothing any more", exc_info=bug)
        if not stopped():
            await messenger.last_words()
