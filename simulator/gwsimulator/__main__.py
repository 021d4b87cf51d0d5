"""Does: the command line. The composition root of a simulator that is a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gwsimulator.player import play
from gwsimulator.scenario import Scenario
from gwsimulator.scenario_tree import ScenarioError
from gwsimulator.server import Simulator
from gwsimulator.settings import MIXES, Settings
from gwsimulator.shelf import load, shipped
from gwsimulator.summary import summary

if TYPE_CHECKING:
    from typing import TextIO


def _list(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Print the scenarios that come with the simulator, and end."""
    if wanted and not context.resilient_parsing:
        for scenario in shipped():
            click.echo(f"{scenario.name:18} {scenario.about.strip()}")
        context.exit()


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
@click.option("--scenario", "wanted", default=None, metavar="NAME|FILE", help="Play this script of faults.")
@click.option(
    "--scenarios",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list,
    help="List the scripts and exit.",
)
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
    wanted: str | None,
    die_with_parent: bool,
) -> None:
    """A stand-in Discord on 127.0.0.1: REST and gateway, with Discord's rules.

    Prints one line when it is ready; stop it with SIGTERM or Ctrl-C. A scenario's settings count unless
    the same are given here; it says on standard error what it does, and sums up at the end.
    """
    scenario = _load(wanted)
    settings = _settings(
        scenario,
        shards=shards,
        guilds=guilds,
        rate=rate,
        mix=mix,
        max_concurrency=max_concurrency,
        identify_window=identify_window,
        daily_limit=daily_limit,
        heartbeat_interval=heartbeat_interval,
        seed=seed,
        port=port,
        token=token,
    )
    with contextlib.ExitStack() as stack:
        file: TextIO | None = None
        if ledger is not None:
            try:
                file = stack.enter_context(ledger.open("a", encoding="utf-8"))
            except OSError as wrong:
                raise click.UsageError(f"--ledger {ledger}: {wrong.strerror}") from wrong
        asyncio.run(
            _run(settings, scenario, file, ledger_payloads=ledger_payloads, die_with_parent=die_with_parent)
        )


def _load(wanted: str | None) -> Scenario | None:
    try:
        return None if wanted is None else load(wanted)
    except ScenarioError as wrong:
        raise click.UsageError(f"--scenario:\n{wrong}") from wrong


def _settings(scenario: Scenario | None, **options: Any) -> Settings:
    """Return the settings: the command line's, before the scenario's, before the defaults."""
    context = click.get_current_context()
    renamed = {"identify_window": "identify_window_s", "heartbeat_interval": "heartbeat_interval_ms"}
    chosen: dict[str, Any] = {}
    for name, value in options.items():
        field = renamed.get(name, name)
        by_default = context.get_parameter_source(name) is click.core.ParameterSource.DEFAULT
        if not (by_default and scenario is not None and field in scenario.settings):
            chosen[field] = value
    try:
        return Settings(**{"keep_dispatches": 0, **(scenario.settings if scenario else {}), **chosen})
    except ValueError as wrong:
        raise click.UsageError(str(wrong)) from wrong


def _say(at_s: float, words: str) -> None:
    click.echo(f"gwsimulator: {at_s:7.1f} s  {words}", err=True)


async def _run(
    settings: Settings,
    scenario: Scenario | None,
    file: TextIO | None,
    *,
    ledger_payloads: bool,
    die_with_parent: bool,
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
        if scenario is None:
            await stop.wait()
        else:
            await _rehearse(scenario, simulator, stop)


async def _rehearse(scenario: Scenario, simulator: Simulator, stop: asyncio.Event) -> None:
    """Play the scenario, go on serving after it, and sum up when all is over."""
    playing = asyncio.create_task(play(scenario, simulator, _say), name=scenario.name)
    stopping = asyncio.create_task(stop.wait(), name="stop")
    await asyncio.wait((playing, stopping), return_when=asyncio.FIRST_COMPLETED)
    if playing.done():
        await playing
        click.echo("gwsimulator: serves on until it is stopped", err=True)
        await stopping
    playing.cancel()
    await asyncio.wait((playing,))
    for line in summary(simulator.ledger, simulator.rules.sessions.lost):
        click.echo(f"gwsimulator: {line}", err=True)


def _await_end_of_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Wait for end of file; in a thread because event loops can't watch every kind of file."""
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    with contextlib.suppress(RuntimeError):  # the loop has just ended by itself
        loop.call_soon_threadsafe(stop.set)


if __name__ == "__main__":
    main()
