"""`gwcluster plan FILE` (does): what a start would cost, how long it takes, and whether it may happen."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import random
import time
from importlib.metadata import version
from pathlib import Path

import click
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gwcluster.backoff import Backoff
from gwcluster.config import Config, load
from gwcluster.discord import is_loopback_url
from gwcluster.identify.bootstrap import fetch, rest_session
from gwcluster.identify.budget import Budget
from gwcluster.identify.caution import Caution, Past
from gwcluster.identify.gateway_info import GatewayInfo, Ok, Refused, Retry, decide
from gwcluster.identify.ledger import DAY_S, Ledger
from gwcluster.identify.limits import budget_of
from gwcluster.identify.outlook import Outlook, Party
from gwcluster.identify.standing import Sessions, beginning, certain, look, resuming
from gwcluster.identify.start import Start, StartError, ranges
from gwcluster.spans import moment, span
from gwcluster.state_folder import ledger_in, owner_of, shards_in
from gwcluster.wire.exits import Exit


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object; moments are Unix seconds.")
@click.pass_context
def command(ctx: click.Context, file: Path, as_json: bool) -> None:
    """Ask Discord what a start of FILE would cost, and say whether it may happen.

    Looks at the state folder, also of a cluster that runs, and changes nothing there; Discord is asked once.
    With several hosts, the figures are those of all of them together, and NATS is asked who runs already.
    Exits with 0 if the start may happen, 1 if not or only in part, 64 if Discord refuses the token.
    """
    config = load(file, environ=os.environ)
    found = asyncio.run(_outlook(config, time.time()))
    if isinstance(found, Refused):
        hitch = {"reason": found.reason, "remedy": "Nothing else helps, and asking again does harm"}
        click.echo(
            json.dumps({"name": config.name, "may_start": False, "refused": True, "hitches": [hitch]})
            if as_json
            else found.reason
        )
        ctx.exit(Exit.REFUSED)
    if as_json:
        click.echo(json.dumps({"name": config.name} | found.document()))
    else:
        show(Console(), config.name, found)
    ctx.exit(Exit.FAILED if found.hitches else Exit.DONE)


async def _outlook(config: Config, now: float) -> Outlook | Refused:
    path = ledger_in(config.state)
    with contextlib.ExitStack() as stack:
        ledger: Ledger | None = None
        if path.exists():
            ledger = stack.enter_context(contextlib.closing(Ledger(path, clock=time.time, copy=True)))
        return await _outlook_by(ledger, config, now)


async def _outlook_by(ledger: Ledger | None, config: Config, now: float) -> Outlook | Refused:
    party, elsewhere = None, None
    if config.hosts is not None:
        config, party, elsewhere = await _surveyed(config)
    not_before = ledger.not_before if ledger else None
    answer = await _ask(config, now) if not_before is None else _forbidden(not_before, now)
    if isinstance(answer, Refused):
        return answer
    info, silence = (answer, None) if isinstance(answer, GatewayInfo) else (None, answer.why)
    start, objection = _start(config, ledger, info, now, elsewhere)
    budget = None
    if info is not None and start is not None:
        spent = ledger.spent_since(now - DAY_S) if ledger else 0
        budget = budget_of(info, start, spent, now=now, reserve=config.identify.reserve)
    past = ledger.past(0.0) if ledger else []
    return Outlook(
        now=now,
        start=start,
        objection=objection,
        info=info,
        silence=silence,
        budget=budget,
        spent=ledger.spent_since(now - DAY_S) if ledger else 0,
        caution=_caution(past, start, info, budget, now),
        not_before=not_before,
        owner=owner_of(config.state),
        party=party,
    )


async def _surveyed(config: Config) -> tuple[Config, Party, Sessions]:
    """Return the configuration with the hosts' shard count, who they are, and the sessions in NATS."""
    from gwcluster.hosts.survey import survey  # whoever runs one host needs no NATS

    assert config.hosts is not None, "asked only then"
    token, me = config.token.get_secret_value(), config.hosts.name
    found = await survey(config.hosts.login, cluster=config.name, token=token, shards=config.shards.count)
    others = tuple(host.name for host in found.hosts if host.name != me and not host.draining)
    if config.shards.count is None and found.shards is not None:
        shards = config.shards.model_copy(update={"count": found.shards})
        config = dataclasses.replace(config, shards=shards)
    return config, Party(me, others, found.silence), found.sessions


def _caution(
    past: list[Past], start: Start | None, info: GatewayInfo | None, budget: Budget | None, now: float
) -> Caution:
    """Return how careful the coordinator will be once its shards have asked for permits, at the least."""
    shards, spendable = start.identifying if start else (), budget.spendable if budget else 0
    caution = Caution(total=info.total if info else 0, jitter=lambda: 0.0)
    caution.remember(past, spendable)
    for shard in shards:
        caution.again(shard, now, spendable)
    caution.settle(shards, now, spendable)
    return caution


async def _ask(config: Config, now: float) -> GatewayInfo | Refused | Retry:
    api = config.gateway.api
    async with rest_session() as rest:
        answer = await fetch(rest, api, config.token.get_secret_value(), version=version("gwcluster"))
    backoff = Backoff(jitter=random.random)
    verdict = decide(
        answer, now_wall=now, backoff=backoff, jitter=random.random, loopback_ok=is_loopback_url(api)
    )
    match verdict:
        case Ok(info):
            return info
        case Retry(after_s, why, told=True):
            return Retry(after_s, f"{why}: ask again at {moment(now + after_s, now)}", told=True)
        case _:
            return verdict


def _forbidden(not_before: float, now: float) -> Retry:
    why = f"it told the cluster not to ask again before {moment(not_before, now)}"
    return Retry(not_before - now, why, told=True)


def _start(
    config: Config,
    ledger: Ledger | None,
    info: GatewayInfo | None,
    now: float,
    elsewhere: Sessions | None,
) -> tuple[Start | None, str | None]:
    sessions = elsewhere
    if sessions is None:
        sessions = look(shards_in(config.state), token=config.token.get_secret_value(), now=now)
    known = ledger.known if ledger else None
    try:
        start = resuming(config, sessions, known)
        if start is None and info is not None:
            start = beginning(config, sessions, known, info)
        elif start is None:
            start = certain(config, sessions)
    except StartError as error:
        return None, str(error)
    return start, None


def show(console: Console, name: str, outlook: Outlook) -> None:
    """Print an outlook for a person who has to decide something."""
    if outlook.refused:
        console.print(Text(f"✗ {name} may not start: `run` would exit with 1", "bold red"))
    elif outlook.waits:
        console.print(Text(f"✗ {name} can't start before Discord answers", "bold red"))
    elif outlook.hitches:
        console.print(Text(f"✗ {name} may start only in part", "bold red"))
    else:
        console.print(Text(f"✓ {name} may start", "bold green"))
    for hitch in outlook.hitches:
        console.print(Padding(Text(f"{hitch.reason}.", "red"), (0, 0, 0, 2)))
        console.print(Padding(Text(f"→ {hitch.remedy}."), (0, 0, 0, 2)))
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for row in _rows(outlook):
        table.add_row(*(Text(cell) for cell in row))
    console.print()
    console.print(table)


def _rows(outlook: Outlook) -> list[tuple[str, str]]:
    start, info, budget, now = outlook.start, outlook.info, outlook.budget, outlook.now
    rows: list[tuple[str, str]] = []
    if start is not None:
        recommended = (
            f", and Discord recommends {info.shards}" if info and info.shards != start.shards else ""
        )
        rows.append(("shards", f"{len(start.ids)} of {start.shards}{recommended}"))
    if outlook.party is not None:
        rows.append(("hosts", outlook.party.text(None if start is None else len(start.ids))))
    if start is not None:
        rows.append(("resume", _some(start.resumable, "costs nothing")))
        cost = f"{len(start.identifying)} identifies"
        if outlook.least_s is not None:
            cost += f", at least {span(outlook.least_s)}"
        rows.append(("identify", _some(start.identifying, cost)))
        if start.given_up:
            rows.append(("given up", f"{start.given_up} sessions of another shard count or other intents"))
    if info is not None:
        rows.append(("max_concurrency", f"{info.max_concurrency}"))
        rows.append(("left today", f"{info.remaining} of {info.total}, says Discord"))
    rows.append(("last 24 h", f"{outlook.spent} spent, says the ledger"))
    if budget is not None:
        rows.append(("reserve", f"{budget.reserve}, so {budget.spendable} may be spent"))
    if info is not None:
        rows.append(
            ("reset", moment(now + info.reset_after_s, now) if info.reset_after_s else "due, says Discord")
        )
    if outlook.silence is not None and not outlook.hitches:  # no shard needs it now, but somebody will
        rows.append(("Discord", f"doesn't answer: {outlook.silence}"))
    if outlook.not_before is not None:
        rows.append(("REST", f"not before {moment(outlook.not_before, now)}"))
    rows.append(("breaker", _breaker(outlook)))
    rows.append(
        ("running", "no" if outlook.owner is None else f"process {outlook.owner}; this is about its restart")
    )
    return rows


def _some(shards: frozenset[int] | tuple[int, ...], cost: str) -> str:
    return f"{len(shards)} ({ranges(shards)}): {cost}" if shards else "none"


def _breaker(outlook: Outlook) -> str:
    breaker = outlook.caution.breaker
    bore = f"{breaker.fruitless} identifies bore nothing"
    if outlook.info is None:
        return f"{bore}; how many open it depends on the daily limit"
    bore += f"; {breaker.limit} open it"
    if breaker.probe_at is None:
        return f"closed: {bore}"
    return f"open: {bore}, next try at {moment(breaker.probe_at, outlook.now)}"
