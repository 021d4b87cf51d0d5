"""`gwcluster tail FILE` (does): print events as they come, by a plain SUB socket."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click
import zmq
from zmq.utils.monitor import parse_monitor_message

from gwcluster.cli.event_lines import json_line, text_line
from gwcluster.cli.key_option import key_option
from gwcluster.client.addresses import find, known_hosts
from gwcluster.client.entry import EVENTS, Entry
from gwcluster.client.sockets import connected, has_news
from gwcluster.errors import WireError
from gwcluster.wire.events import decode_header, parse_topic

LOOK_UP_MS: Final = 200
"""How often to look whether there was a Ctrl-C, which ends no wait by itself."""


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--event", "names", multiple=True, metavar="NAME", help="Only events of this name; repeatable.")
@click.option("--shard", "shards", multiple=True, type=click.IntRange(0), help="Only this shard; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, with the whole dispatch.")
@click.option("--count", type=click.IntRange(1), help="Stop after so many events.")
@key_option
def command(
    file: Path,
    names: tuple[str, ...],
    shards: tuple[int, ...],
    as_json: bool,
    count: int | None,
    key: Path | None,
) -> None:
    """Print the events of the running cluster that FILE describes, as they come.

    Beacons, the cluster's own heartbeat, are left out unless asked for by name. Of several hosts, those
    that are there at the beginning are listened to.
    """
    addresses = find(file, None, None, key=key)
    hosts = [host.events for host in asyncio.run(known_hosts(addresses))]
    asked: list[int] = []
    # An exception out of nowhere can get lost, such as in a destructor; a note can't.
    signal.signal(signal.SIGINT, lambda signum, _: asked.append(signum))
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        sub = connected(context, zmq.SUB, hosts[0], addresses.curve)
        for other in hosts[1:]:
            sub.connect(other)
        monitor = sub.get_monitor_socket(EVENTS)
        entry = Entry(", ".join(hosts), has_key=addresses.curve is not None)
        for prefix in _prefixes(names, shards):
            sub.subscribe(prefix)
        for printed, line in enumerate(_lines(sub, monitor, entry, asked, names, shards, as_json), 1):
            click.echo(line)
            if printed == count:
                return
    finally:
        context.destroy(linger=0)


def _prefixes(names: tuple[str, ...], shards: tuple[int, ...]) -> Iterator[str]:
    if not names:
        yield ""
    for name in names:
        yield from [f"{name}.{shard}." for shard in shards] or [f"{name}."]


def _lines(
    sub: zmq.Socket[bytes],
    monitor: zmq.Socket[bytes],
    entry: Entry,
    asked: Sequence[int],
    names: tuple[str, ...],
    shards: tuple[int, ...],
    as_json: bool,
) -> Iterator[str]:
    """Iterate over lines until somebody has `asked` for the end."""
    while not asked:
        if not sub.poll(LOOK_UP_MS):
            while has_news(monitor):
                event = parse_monitor_message(monitor.recv_multipart())["event"]
                if (refused := entry.heard(event)) is not None:
                    raise refused
            continue
        frames = sub.recv_multipart()
        try:
            if len(frames) != 3:
                raise WireError(f"a message of {len(frames)} frames instead of 3")
            name, shard = parse_topic(frames[0])
            header = decode_header(frames[1])
        except WireError as error:
            click.echo(f"skipped: {error}", err=True)
            continue
        if (shards and shard not in shards) or (not names and name == "GWCLUSTER_BEACON"):
            continue
        yield json_line(name, header, frames[2]) if as_json else text_line(name, header, frames[2])
