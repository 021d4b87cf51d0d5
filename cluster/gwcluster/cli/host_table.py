"""How several hosts of a cluster look on a console (pure): what is wrong between them, a line for each."""

from __future__ import annotations

from typing import Any, Final

from rich.text import Text

from gwcluster.cli.figures import age, plain
from gwcluster.hosts.words import silence
from gwcluster.sight import named

NAMED: Final = 16
"""Most hosts that have a line; the others are counted."""

NAME_WIDTH: Final = 20
_TITLES: Final = f"{'host':<{NAME_WIDTH}} {'shards':>6} {'seen':>5} {'up':>5} version"


def share(hosts: dict[str, Any], shards: int) -> str:
    """Return what part of all shards the asked host has.

    Args:
        hosts: of the status document.
        shards: how many all hosts run together.
    """
    return f"{len(hosts['leases'])} of {shards} shards are this host's"


def host_lines(hosts: dict[str, Any]) -> Text:
    """Return the lines for `hosts` of a status document, loud ones first; each ends one before it."""
    drawn = Text(no_wrap=True)
    if (loud := silence(hosts["nats"])) is not None:
        drawn.append(f"\n{plain(loud)}", "bold red")
    if hosts["free"]:
        many = len(hosts["free"]) > 1
        free = f"shard{'s' if many else ''} {named(hosts['free'])} {'are' if many else 'is'} run by no host"
        drawn.append(f"\n{free}", "bold yellow")
    if hosts["draining"]:
        drawn.append("\nthis host is draining: its shards go to the others, one by one", "bold cyan")
    drawn.append(f"\n{_TITLES}", "dim")
    for host in hosts["hosts"][:NAMED]:
        drawn.append_text(_line(host, hosts))
    if (more := len(hosts["hosts"]) - NAMED) > 0:
        drawn.append(f"\nand {more} more hosts", "dim")
    return drawn


def _line(host: dict[str, Any], hosts: dict[str, Any]) -> Text:
    mine = host["name"] == hosts["me"]
    name = plain(host["name"])
    name = name if len(name) <= NAME_WIDTH else f"{name[: NAME_WIDTH - 1]}…"
    line = Text(f"\n{name:<{NAME_WIDTH}}", "bold" if mine else "")
    line.append(f" {len(host['shards']):>6} ")
    line.append(f"{age(host['seen_s']):>5}", "bold red" if host["seen_s"] > hosts["lease_s"] else "")
    line.append(f" {age(host['up_s']):>5} {plain(host['version'])}")
    if host["draining"] or (mine and hosts["draining"]):
        line.append("  draining", "bold cyan")
    line.append("  this host" if mine else "", "dim")
    line.append(f"  {named(host['shards'])}" if host["shards"] else "", "dim")
    return line
