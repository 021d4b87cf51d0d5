"""`gwcluster log verify FOLDER` (does): whether logs are whole, and what it means if not."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final

import click

from gwcluster.cli.log.folders import logs_in, quiet_pipe
from gwcluster.errors import LogError
from gwcluster.log.audit import Audit, Finding
from gwcluster.wire.exits import Exit

MOST: Final = 100
"""So many findings of one log are printed; the others are counted."""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a log, with its findings.")
@click.pass_context
def command(ctx: click.Context, folder: Path, as_json: bool) -> None:
    """Check the logs in FOLDER: one shard's, or all in a cluster's state folder.

    Prints a line for each log, and one for each thing that is not as it should be: file, byte, what it is
    and what it means. Exits with 0 if all are whole, with 1 if one is damaged or can't be read. What an
    interrupted writer leaves behind is said, but no damage: the next one mends it.
    """
    whole = True
    with _said_here(), quiet_pipe():
        for log in logs_in(folder):
            audit = Audit(log)
            findings: list[Finding] = []
            error: Exception | None = None
            try:
                found = audit.findings()
                findings = list(islice(found, MOST))
                more = sum(1 for _ in found)
            except (LogError, OSError) as failed:
                error, more = failed, 0
            whole = whole and error is None and not audit.damages
            figures = _figures(log, audit, error)
            if as_json:
                click.echo(json.dumps({**figures, "more": more, "findings": [*map(_json, findings)]}))
                continue
            click.echo(_line(figures))
            for finding in findings:
                click.echo(f"  {_text(finding)}")
            if more:
                click.echo(f"  and {more} more")
    ctx.exit(Exit.DONE if whole else Exit.FAILED)


@contextmanager
def _said_here() -> Iterator[None]:
    """Keep readers from logging what is printed anyway."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _figures(log: Path, audit: Audit, error: Exception | None) -> dict[str, Any]:
    state = audit.continuity.state
    return {
        "folder": str(log),
        "shard": None if state is None else state.shard,
        "shards": None if state is None else state.shards,
        "epoch": None if state is None else state.epoch,
        "segments": audit.segments,
        "bytes": audit.stored_bytes,
        "events": audit.continuity.events,
        "missing": audit.continuity.missing,
        "first": audit.first,
        "next": None if state is None else state.next_offset,
        "session": None if state is None else state.session,
        "seq": None if state is None else state.seq,
        "damages": audit.damages,
        "error": None if error is None else str(error),
    }


def _line(figures: dict[str, Any]) -> str:
    if figures["error"] is not None:
        return f"{figures['folder']}: can't be read: {figures['error']}"
    if figures["shard"] is None:
        return f"{figures['folder']}: no segment of it has a readable beginning; the shard will start anew"
    damages = figures["damages"]
    verdict = "whole" if not damages else f"{damages} damage{'s' if damages > 1 else ''}"
    segments = "1 segment" if figures["segments"] == 1 else f"{figures['segments']} segments"
    events = "no events" if figures["next"] == figures["first"] else f"{figures['events']} events"
    return (
        f"shard {figures['shard']}: {verdict}; {segments}, {figures['bytes']} bytes, "
        f"{events}, offsets from {figures['first']}, next {figures['next']}, "
        f"session {figures['session']}, seq {'-' if figures['seq'] is None else figures['seq']}"
    )


def _json(finding: Finding) -> dict[str, Any]:
    remark = finding.remark
    return {
        "file": str(finding.file),
        "at": finding.at,
        "damage": remark.damage,
        "what": remark.what,
        "means": remark.means,
    }


def _text(finding: Finding) -> str:
    remark = finding.remark
    kind = "damage" if remark.damage else "note"
    return f"{kind}: {finding.file.name}, byte {finding.at}: {remark.what} ({remark.means})"
