"""Does: the command line. The composition root of a simulator that is a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gwsimulator.server import Simulator
from gwsimulator.settings import MIXES, Settings

if TYPE_CHECKING:
    from typing import TextIO


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option(
    "--shards", default=4, type=click.IntRange(1, 100_000), help="Shards that /gateway/bot recommends."
)
@click.option("--guilds", default=40, type=click.IntRange(0, 1_000_000), help="Guilds, over all shards.")
@click.option(
    "--rate",
    default=10.0,
    type=click.FloatRange(0),
    help="Events per second and shard. Those that a client's intents don't cover don't reach it.",
)
@click.option("--mix", default="chat", type=click.Choice(MIXES), help="What kinds of events.")
@click.option("--max-concurrency", default=1, type=click.IntRange(1), help="Identifies per window.")
@click.option("--identify-window", default=5.0, type=click.FloatRange(0), help="That window, in seconds.")
@click.option("--daily-limit", default=1000, type=click.IntRange(0), help="Identifies per 24 hours.")
@click.option("--heartbeat-interval", default=41_250, type=click.IntRange(1), help="In milliseconds.")
@click.option("--seed", default=1, type=int, help="Same seed, same guilds and events.")
@click.option("--port", default=0, type=click.IntRange(0, 65_535), help="Of REST and gateway; 0: a free one.")
@click.option("--token", default=None, help="The only valid token.  [default: any that is not empty]")
@click.option(
    "--ledger",
    default=None,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write what happens there, as JSON lines.",
)
@click.option("--ledger-payloads", is_flag=True, help="With whole payloads (base64) instead of digests.")
@click.option("--die-with-parent", is_flag=True, help="Exit when standard input ends.")
def main(
    shards: int,
    guilds: int,
    rate: float,
    mix: str,
    max_concurrency: int,
    identify_window: float,
    daily_limit: int,
    heartbeat_interval: int,
    seed: int,
    port: int,
    token: str | None,
    ledger: Path | None,
    ledger_payloads: bool,
    die_with_parent: bool,
) -> None:
    """A stand-in Discord on 127.0.0.1: REST and gateway, with Discord's rules.

    Prints one line when it is ready; stop it with SIGTERM or Ctrl-C.
    """
    try:
        settings = Settings(
            shards=shards,
            guilds=guilds,
            rate=rate,
            mix=mix,
            max_concurrency=max_concurrency,
            identify_window_s=identify_window,
            daily_limit=daily_limit,
            heartbeat_interval_ms=heartbeat_interval,
            seed=seed,
            port=port,
            token=token,
            keep_dispatches=0,
        )
    except ValueError as wrong:
        raise click.UsageError(str(wrong)) from wrong
    with contextlib.ExitStack() as stack:
        file: TextIO | None = None
        if ledger is not None:
            try:
                file = stack.enter_context(ledger.open("a", encoding="utf-8"))
            except OSError as wrong:
                raise click.UsageError(f"--ledger {ledger}: {wrong.strerror}") from wrong
        asyncio.run(_run(settings, file, ledger_payloads=ledger_payloads, die_with_parent=die_with_parent))


async def _run(
    settings: Settings, file: TextIO | None, *, ledger_payloads: bool, die_with_parent: bool
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        simulator = Simulator(settings, sink=file, sink_payloads=ledger_payloads)
        try:
            await stack.enter_async_context(simulator)
        except OSError as wrong:
            raise click.UsageError(f"can't listen on port {settings.port}: {wrong.strerror}") from wrong
        if die_with_parent:
            threading.Thread(target=_await_end_of_stdin, args=(loop, stop), daemon=True).start()
        click.echo(f"gwsimulator: listening, api {simulator.api}")
        sys.stdout.flush()
        await stop.wait()


def _await_end_of_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Wait for end of file; in a thread because event loops can't watch every kind of file."""
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    with contextlib.suppress(RuntimeError):  # the loop has just ended by itself
        loop.call_soon_threadsafe(stop.set)


if __name__ == "__main__":
    main()
