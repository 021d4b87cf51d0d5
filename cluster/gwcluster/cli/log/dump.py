"""`gwcluster log dump FOLDER` (does): what is in logs, as lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from gwcluster.cli.event_lines import json_line, text_line
from gwcluster.cli.log.folders import logs_in, quiet_pipe
from gwcluster.errors import WireError
from gwcluster.log import Expired, Hole, Reader, Record
from gwcluster.wire.events import decode_header

_AT_ONCE: Final = 1000
_AT_ONCE_BYTES: Final = 1 << 20


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--after", type=click.IntRange(0), metavar="OFFSET", help="Only what comes after it.")
@click.option("--event", "names", multiple=True, metavar="NAME", help="Only events of this name; repeatable.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Stop after so many events.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, with the whole dispatch.")
def command(
    folder: Path, after: int | None, names: tuple[str, ...], limit: int | None, as_json: bool
) -> None:
    """Print the events in FOLDER: one shard's log, or a cluster's state folder, shard by shard.

    Offsets that a log doesn't hold have a line in their place. The bot's token is in no log; but the
    dispatches that --json prints hold what Discord sends, such as ids of sessions and tokens of interactions.
    """
    logs = logs_in(folder)
    if after is not None and len(logs) > 1:
        raise click.UsageError(
            f"--after is an offset in one shard's log, and {folder} holds {len(logs)}: "
            f"name one, such as {logs[0]}"
        )
    wanted = frozenset(names) or None
    printed = 0
    with quiet_pipe():
        for log in logs:
            for entry in _entries(Reader(log), after, wanted):
                click.echo(_line(entry, log, as_json))
                printed += isinstance(entry, Record)
                if printed == limit:
                    return


def _entries(reader: Reader, after: int | None, names: frozenset[str] | None) -> Iterator[Record | Hole]:
    """Iterate over what there is by now; a log that grows meanwhile has an end all the same."""
    end, position = reader.last, 0 if after is None else after + 1
    while end is not None and position <= end:
        try:
            page = reader.read(after, names=names, limit=_AT_ONCE, max_bytes=_AT_ONCE_BYTES)
        except Expired as expired:
            if position < expired.oldest:
                yield Hole(position, expired.oldest - 1)
            after, position = expired.oldest - 1, expired.oldest
            continue
        found: list[Record | Hole] = [*page.records, *(Hole(*hole) for hole in page.holes)]
        yield from sorted(found, key=lambda entry: entry.first if isinstance(entry, Hole) else entry.offset)
        if page.last is None or not page.more:
            return
        after, position = page.last, page.last + 1


def _line(entry: Record | Hole, log: Path, as_json: bool) -> str:
    if isinstance(entry, Hole):
        if as_json:
            return json.dumps({"folder": str(log), "missing": [entry.first, entry.last]})
        offsets = (
            f"offset {entry.first} is"
            if entry.first == entry.last
            else f"offsets {entry.first} to {entry.last} are"
        )
        return f"{offsets} not in {log}"
    try:
        header = decode_header(entry.header)
    except WireError as error:
        said = f"offset {entry.offset} in {log} has a header that nobody can read: {error}"
        return (
            json.dumps({"folder": str(log), "unreadable": entry.offset, "why": str(error)})
            if as_json
            else said
        )
    return (json_line if as_json else text_line)(entry.name, header, entry.payload)
