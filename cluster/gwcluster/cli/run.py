"""`gwcluster run FILE` (does): the whole cluster in the foreground."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import dataclasses
import os
import resource
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from gwcluster.config import Config, load
from gwcluster.errors import GwclusterError
from gwcluster.logs import LogFormat, log_to
from gwcluster.state_folder import StateFolder
from gwcluster.supervise.first_nursery import FirstNursery
from gwcluster.supervise.passed_on import passed_on
from gwcluster.wire.exits import Exit

if TYPE_CHECKING:
    from gwcluster.coordinator import Cluster

_PR_SET_DUMPABLE: Final = 4


class SimulatorError(GwclusterError):
    """The simulator did not start; its own words are on stderr."""


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--simulate", is_flag=True, help="Run against a stand-in Discord on this machine; needs no token."
)
@click.option("--fresh", is_flag=True, help="Give up every session first; costs an identify per shard.")
@click.option(
    "--use-reserve", is_flag=True, help="Let this start have what it needs of the identify reserve."
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How log lines look; json also turns the live table off.",
)
@click.pass_context
def command(
    ctx: click.Context, file: Path, simulate: bool, fresh: bool, use_reserve: bool, log_format: LogFormat
) -> None:
    """Run the cluster that FILE describes, until SIGTERM or Ctrl-C.

    Either closes every connection so that its session can be resumed; a second one ends at once. SIGHUP has
    FILE read again: what a running cluster can take it takes, and the log says what it can't.

    `gwcluster plan` says beforehand what a start costs. Don't leave --fresh or --use-reserve in a unit file:
    whatever restarts the cluster would use them each time.
    """
    _be_private()
    config = load(file, environ=os.environ, simulate=simulate)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with contextlib.ExitStack() as stack:
        if simulate:
            config = stack.enter_context(_simulated(config))
        again = partial(_again, file, config if simulate else None)
        ctx.exit(asyncio.run(_begin(config, again, log_format, fresh=fresh, use_reserve=use_reserve)))


async def _begin(
    config: Config, again: Callable[[], Config], log_format: LogFormat, *, fresh: bool, use_reserve: bool
) -> Exit:
    """Take the state folder, and have the nursery prepare itself while we load the rest of our own code."""
    with contextlib.closing(StateFolder(config.state)) as state:
        async with FirstNursery(
            passed_on(os.environ, config.secrets), jetstream=config.hosts is not None
        ) as nursery:
            from gwcluster.coordinator import Cluster
            from gwcluster.means import real_means

            means = real_means(config, os.environ, nursery.take)
            cluster = Cluster(config, means, fresh=fresh, use_reserve=use_reserve, load=again)
            return await _run(cluster, state, log_format)


async def _run(cluster: Cluster, state: StateFolder, log_format: LogFormat) -> Exit:
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, cluster.stop)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup means it
        had_terminal = _has_terminal()

        def hung_up() -> None:
            """Reload if somebody asks for it, and stop if it is the terminal that was closed."""
            if had_terminal and not _has_terminal():
                cluster.stop()
            else:
                cluster.reload()

        loop.add_signal_handler(signal.SIGHUP, hung_up)
    token, *others = cluster.config.secrets
    if log_format == "text" and sys.stdout.isatty():
        from gwcluster.cli.progress import Progress  # who has no terminal needs no memory for it

        async with Progress(cluster) as progress:
            log_to(progress.handler, log_format, token, *others)
            return await cluster.run(state)
    log_to(None, log_format, token, *others)
    return await cluster.run(state)


def _be_private() -> None:
    """Leave no memory dump, which would hold the token; `gwworker.nursery` does the same and says why."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE)")


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _again(file: Path, simulated: Config | None) -> Config:
    """Read the file again; a run against the simulator keeps what was made up for it."""
    config = load(file, environ=os.environ, simulate=simulated is not None)
    if simulated is None:
        return config
    token = simulated.token.get_secret_value()
    config = config.simulated(api=simulated.gateway.api, token=token)
    return dataclasses.replace(config, state=simulated.state)


@contextlib.contextmanager
def _simulated(config: Config) -> Iterator[Config]:
    """Start a simulator for this run alone; it ends with us, even if we are killed.

    Its sessions end with it, so this run's state is of no use later: it goes into a temporary folder, and
    the state of the real cluster stays untouched.
    """
    shards = [] if config.shards.count is None else ["--shards", str(config.shards.count)]
    with (
        tempfile.TemporaryDirectory(prefix="gwcluster-") as state,
        subprocess.Popen(
            [sys.executable, "-P", "-m", "gwsimulator", "--die-with-parent", *shards],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as simulator,
    ):
        try:
            assert simulator.stdout is not None
            _, found, api = simulator.stdout.readline().strip().partition(", api ")
            if not found:
                raise SimulatorError("the simulator did not start; what it said is above")
            token = f"simulated.{secrets.token_urlsafe(24)}"
            yield dataclasses.replace(config.simulated(api=api, token=token), state=Path(state))
        finally:
            simulator.terminate()
