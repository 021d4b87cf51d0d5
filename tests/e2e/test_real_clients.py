"""Real clients against the simulator, so that it and our own worker can't agree on a mistake."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

import gwsimulator
from gwsimulator import Settings, ThreadedSimulator

SUPPORT = Path(__file__).parent.parent / "support"
EVENTS = 60

KNOWN_VIOLATIONS: dict[str, set[str]] = {
    "sim_discord_py.py": {"user_agent"},  # writes `(url version)`, without the comma
    "sim_hikari.py": set(),
}
"""Discord's rules that a client is known to break."""


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
        deadline = time.monotonic() + 20
        while not condition():
            assert self.process.poll() is None, f"the client ended before {what}: {self.lines[-40:]}"
            assert time.monotonic() < deadline, f"no {what}: {self.lines[-40:]}"
            time.sleep(0.02)


@contextmanager
def running(script: str, sim: ThreadedSimulator) -> Iterator[Client]:
    command = [sys.executable, str(SUPPORT / script), sim.api, sim.gateway_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield Client(process)
        finally:
            process.kill()


def sent_messages(sim: ThreadedSimulator, shard: int) -> list[str]:
    records = sim.ledger.dispatches(shard=shard, name="MESSAGE_CREATE")
    return [json.loads(record.payload or b"")["d"]["id"] for record in records]


def has_got(client: Client, shard: int, sent: list[str]) -> bool:
    return client.messages(shard) == sent


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("script", "shards"),
    [
        ("sim_discord_py.py", 1),  # it would take 5 s more for a second one
        ("sim_hikari.py", 2),
    ],
)
def test_a_real_client_gets_ready_and_every_message_and_resumes_after_op_7(script: str, shards: int) -> None:
    settings = Settings(shards=shards, guilds=6, max_concurrency=2, heartbeat_interval_ms=1_000)
    with gwsimulator.in_thread(settings) as sim, running(script, sim) as client:
        client.wait_for(lambda: "ready 6" in client.lines, "readiness")
        for shard in range(shards):
            sim.emit_random(shard, EVENTS)
        client.wait_for(lambda: client.messages(0) == sent_messages(sim, 0), "the first messages")

        sim.op7(0)
        sim.emit_random(0, EVENTS)  # clients read nothing after op 7: these can only come by replay
        client.wait_for(lambda: sim.ledger.resumes, "a resume")
        sim.emit_random(0, EVENTS)

        for shard in range(shards):
            sent = sent_messages(sim, shard)
            assert len(sent) > EVENTS / 4
            client.wait_for(partial(has_got, client, shard, sent), "the messages")
        client.wait_for(lambda: "resumed 0" in client.lines, "news of the resume")
        client.wait_for(
            lambda: any(beat.shard == 0 and beat.link == shards + 1 for beat in sim.ledger.beats), "a beat"
        )

        assert [(resume.shard, resume.host, resume.outcome) for resume in sim.ledger.resumes] == [
            (0, "resume", "resumed")
        ]
        assert sim.ledger.resumes[0].replayed >= EVENTS / 4
        assert sorted(identify.shard or 0 for identify in sim.ledger.identifies) == list(range(shards))
        assert sim.ledger.rules_broken() == KNOWN_VIOLATIONS[script]
        assert {connection.query["compress"] for connection in sim.ledger.connections} <= {
            "zlib-stream",
            "zstd-stream",
        }
