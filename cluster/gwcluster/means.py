"""What a cluster works with (does): real clocks, dice, processes and sockets. Only here they are named."""

from __future__ import annotations

import os
import random
import resource
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from gwcluster.aside import Aside
from gwcluster.config import Config
from gwcluster.config.endpoints import http_address
from gwcluster.curve.door import Locks, locks
from gwcluster.fanin import Fanin
from gwcluster.identify.bootstrap import rest_session
from gwcluster.log.interface import LogReader
from gwcluster.memory import weigh
from gwcluster.notify import post
from gwcluster.operations import Operations
from gwcluster.requests.control_loop import ControlLoop
from gwcluster.requests.desk import Desk
from gwcluster.requests.replay import Replays
from gwcluster.sight import Sight
from gwcluster.state_folder import StateFolder
from gwcluster.supervise.nursery_link import Listener, NurseryLink
from gwcluster.systemd import Systemd, told

if TYPE_CHECKING:
    from gwcluster.hosts.hosting import Hosting
    from gwcluster.identify.ledger import Ledger
    from gwcluster.web.server import Web


@dataclass(frozen=True, slots=True)
class Means:
    """What the coordinator is made of that isn't a decision; tests bring their own.

    Attributes:
        monotonic: seconds that never jump.
        wall: Unix seconds.
        jitter: returns evenly distributed numbers from 0.0 to 1.0.
        nursery: makes the line to a nursery; all but the first are still to be started.
        fanin: binds the sockets through which events go, in a state folder.
        aside: begins work that may hang on a disk, for which nobody waits; False: the last one still runs.
        desk: binds the socket at which requests are answered; replays come out of these readers, by shard.
        web: makes what serves HTTP for these operations, None: nothing does.
        weigh: returns how many bytes of memory each of these processes has, without holding up the loop.
        systemd: the service manager.
        open_files: so many may this process have at once.
        attended: keeps those outside told of what the given look sees, as long as its block runs.
        locks: whose keys are good for what at both; None: everybody may do everything.
        hosting: joins the other hosts, with a state folder and its ledger; None: there are none.
    """

    monotonic: Callable[[], float]
    wall: Callable[[], float]
    jitter: Callable[[], float]
    nursery: Callable[[Listener], NurseryLink]
    fanin: Callable[[StateFolder], Fanin]
    aside: Callable[[Callable[[], None]], bool]
    desk: Callable[[ControlLoop, Callable[[int], LogReader]], Desk]
    web: Callable[[Operations], Web | None]
    weigh: Callable[[Iterable[int]], Awaitable[dict[int, int]]]
    systemd: Systemd
    open_files: int
    attended: Callable[[Callable[[], Sight]], AbstractAsyncContextManager[None]]
    locks: Locks | None = None
    hosting: Callable[[StateFolder, Ledger], AbstractAsyncContextManager[Hosting]] | None = None


def real_means(
    config: Config, environ: Mapping[str, str], nursery: Callable[[Listener], NurseryLink]
) -> Means:
    """Return this machine's.

    Args:
        config: what is to run.
        environ: where systemd left what it wants to know.
        nursery: makes the line to a nursery, see `Means`.

    Raises:
        KeyFileError: a file of keys has become unusable since the configuration was read.
    """
    systemd = Systemd(environ, pid=os.getpid(), monotonic=time.monotonic)
    events, requests, curve = config.events, config.requests, config.security.curve
    keys = None if curve is None else locks(curve.secret_key_file, curve.clients_dir, clock=time.monotonic)
    return Means(
        monotonic=time.monotonic,
        wall=time.time,
        jitter=random.random,
        nursery=nursery,
        fanin=lambda state: Fanin(
            state.fanin, events.bind, events.high_water_mark, locks=keys, clock=time.monotonic
        ),
        aside=Aside().run,
        desk=lambda control, reader: Desk(
            requests.bind, control, lambda: Replays(reader), clock=time.monotonic, locks=keys
        ),
        web=lambda operations: _web(config, operations),
        weigh=weigh,
        systemd=systemd,
        open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        attended=lambda look: _attended(config, systemd, look),
        locks=keys,
        hosting=None if config.hosts is None else partial(_hosting, config),
    )


def _hosting(config: Config, state: StateFolder, ledger: Ledger) -> AbstractAsyncContextManager[Hosting]:
    from gwcluster.hosts.hosting import joined  # whoever runs one host needs no NATS

    return joined(config, state, ledger)


@asynccontextmanager
async def _attended(config: Config, systemd: Systemd, look: Callable[[], Sight]) -> AsyncIterator[None]:
    async with told(systemd, look):
        if (url := config.notify.webhook) is None:
            yield
            return
        webhook = post.Webhook(url.get_secret_value(), config.notify.format, config.name)
        async with rest_session() as session:
            messenger = post.Messenger(
                webhook, look, session, clock=time.monotonic, wall=time.time, jitter=random.random
            )
            async with post.told(messenger, lambda: look().stopping):
                yield


def _web(config: Config, operations: Operations) -> Web | None:
    if config.http.bind is None:
        return None
    from gwcluster.web.server import Web  # who wants no HTTP needs no memory for it

    address = http_address(config.http.bind)
    token = None if config.http_token is None else config.http_token.get_secret_value()
    return Web(address.host, address.port, operations, token=token, clock=time.monotonic)
