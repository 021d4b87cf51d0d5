"""The programs that are measured (does): how each is started, and what it can."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

from bench import install
from bench.running import Cluster, Place, Running, Started


@dataclass(frozen=True, slots=True)
class Program:
    """Something to measure.

    Attributes:
        title: for tables.
        language: what bots of it are written in.
        transports: what it can do; the first is what it takes by default.
        keeps_session: a successor of its process resumes.
    """

    name: str
    title: str
    language: str
    transports: tuple[str, ...]
    keeps_session: bool
    make: Callable[[Place], Running]
    version: Callable[[], str]


def python(
    name: str, program: str, *flags: str, interpreter: list[str] | None = None
) -> Callable[[Place], Running]:
    """Return what starts a peer in Python, in a folder of its own unless an interpreter is given."""

    def make(place: Place) -> Running:
        command = interpreter or install.python(name)
        for file in (program, "outlet.py"):
            shutil.copy(install.PEERS / file, place.folder)
        arguments = [place.api, place.gateway, place.subscriber, place.transport, str(place.max_concurrency)]
        return Started([*command, *flags, str(place.folder / program), *arguments], place)

    return make


def node(name: str, *arguments: str) -> Callable[[Place], Running]:
    """Return what starts a peer in Node."""

    def make(place: Place) -> Running:
        command, folder = install.node(name)
        return Started(
            [*command, str(folder / "program.mjs"), place.api, place.subscriber, place.transport, *arguments],
            place,
        )

    return make


def _npm_version(name: str, package: str) -> str:
    wanted = json.loads((install.PEERS / name / "package.json").read_text())
    return str(wanted["dependencies"][package])


_ALL: Final = ("zstd-stream", "zlib-stream", "none")

PROGRAMS: Final = {
    program.name: program
    for program in (
        Program("gwcluster", "gwcluster", "any", _ALL, True, Cluster, lambda: version("gwcluster")),
        Program(
            "discord.py",
            "discord.py",
            "Python",
            ("zstd-stream", "zlib-stream"),
            False,
            python("discord_py", "discord_py.py"),
            lambda: install.version("discord_py"),
        ),
        Program(
            "hikari",
            "hikari",
            "Python",
            ("zstd-stream", "zlib-stream"),
            False,
            python("hikari", "hikari_bot.py", "-OO"),
            lambda: install.version("hikari"),
        ),
        Program(
            "discordjs",
            "@discordjs/ws",
            "Node",
            ("zlib-stream", "none"),
            False,
            node("discordjs_ws", "process"),
            functools.partial(_npm_version, "discordjs_ws", "@discordjs/ws"),
        ),
        Program(
            "discordjs-threads",
            "@discordjs/ws, threads",
            "Node",
            ("zlib-stream", "none"),
            False,
            node("discordjs_ws", "threads"),
            functools.partial(_npm_version, "discordjs_ws", "@discordjs/ws"),
        ),
        Program(
            "discordeno",
            "@discordeno/gateway",
            "Node",
            ("zlib-stream", "zstd-stream", "none"),
            False,
            node("discordeno"),
            functools.partial(_npm_version, "discordeno", "@discordeno/gateway"),
        ),
        Program(
            "cloudstorm",
            "cloudstorm",
            "Node",
            ("zlib-stream", "none"),
            False,
            node("cloudstorm"),
            functools.partial(_npm_version, "cloudstorm", "cloudstorm"),
        ),
    )
}
