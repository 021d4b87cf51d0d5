"""`gwcluster send FILE JSON` (does): have a gateway command sent to Discord."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

import click

from gwcluster.cli.asking import AskError, asking
from gwcluster.client import SendRefused

_HELP: Final = {
    "not_ready": "look at `gwcluster status`, and try again when the shard is live",
    "unknown_shard": "`gwcluster status` lists the shards of this cluster",
    "bad_request": 'the payload should look like {"op": 3, "d": {...}}',
    "forbidden": "ask whoever runs the cluster for a key that may send",
}


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--shard", type=click.IntRange(0), help="Send it on this shard.")
@click.option("--guild", type=int, metavar="ID", help="Send it on the shard of this guild.")
@click.option("--ttl", type=click.FloatRange(0, 300, min_open=True), help="Seconds that it may wait.")
@click.argument("payload", metavar="JSON")
def command(file: Path, shard: int | None, guild: int | None, ttl: float | None, payload: str) -> None:
    """Send a gateway command to Discord, such as '{"op": 3, "d": {...}}', by the cluster of FILE.

    A JSON of - is read from standard input. Done when a socket has taken it.
    """
    if (shard is None) == (guild is None):
        raise click.UsageError("one of --shard and --guild is needed, and not both")
    body = _parsed(sys.stdin.read() if payload == "-" else payload)
    try:
        with asking(file) as cluster:
            cluster.send(body, shard=shard, guild_id=guild, ttl_s=ttl)
    except SendRefused as refused:
        after = "" if refused.retry_after is None else f"; again in {refused.retry_after:.0f} s"
        raise AskError(f"not sent: {refused}{after}. {_HELP.get(refused.code, '')}".rstrip(" .")) from refused
    click.echo("sent")


def _parsed(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"this is no JSON: {error}; put it into single quotes") from error
    if not isinstance(body, dict):
        raise click.UsageError('the payload should be an object such as {"op": 3, "d": {...}}')
    return body
