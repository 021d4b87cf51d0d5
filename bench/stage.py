"""A crowd gateway, a cluster on it and a subscriber, as processes (does): what is measured on."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from array import array
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.crowd import RING
from bench.ear import listen
from bench.gauges import Use
from bench.processes import children, until, workers_of
from gwcluster.log.reader import Reader


class Stage:
    """Everything for `shards` shards, in a folder; nothing runs but the gateway until `start`."""

    def __init__(self, folder: Path, shards: int, max_concurrency: int) -> None:
        self.shards = shards
        self._folder = folder
        self._events = f"ipc://{self._folder}/events"
        self._moments = self._folder / "moments"
        self._moments.write_bytes(b"")
        os.truncate(self._moments, shards * RING * 8)
        self._log = self._folder / "log"
        self.gateway = subprocess.Popen(
            [
                *(sys.executable, str(Path(__file__).with_name("crowd.py")), "--shards", str(shards)),
                *("--max-concurrency", str(max_concurrency), "--moments", str(self._moments)),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.gateway.stdout is not None
        self._api = self.gateway.stdout.readline().strip().rpartition("api ")[2]
        self._file = self._folder / "cluster.yaml"
        self._file.write_text(
            f"name: bench\ntoken: bench.mark.token\nintents: [GUILDS, GUILD_MESSAGES]\n"
            f"gateway: {{api: '{self._api}', compression: zlib-stream}}\n"
            f"events: {{bind: '{self._events}', high_water_mark: 1000000}}\n"
            f"http: {{bind: '127.0.0.1:{_free_port()}'}}\n"
            f"requests: {{bind: 'ipc://{self._folder}/requests'}}\nstate: {self._folder}/state\n"
        )
        self.run: subprocess.Popen[bytes] | None = None
        context = multiprocessing.get_context("spawn")
        self._asking, asked = context.Pipe()
        self.ear = context.Process(target=listen, args=(self._events, self._moments, asked), daemon=True)
        self.ear.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and self._log.exists():
            print("\n".join(self._log.read_text().splitlines()[-20:]), file=sys.stderr)
        if self.run is not None and self.run.poll() is None:
            self.run.kill()
            self.run.wait()
        self.gateway.kill()
        self.gateway.wait()
        self.ear.kill()
        self.ear.join()

    # The cluster

    def start(self) -> None:
        """Run the cluster; don't wait."""
        with self._log.open("ab") as log:
            self.run = subprocess.Popen(
                [sys.executable, "-m", "gwcluster", "run", str(self._file)],
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def ready_s(self) -> float:
        """Start it; return the seconds until it says that all shards are live."""
        began, said = time.monotonic(), self._log.stat().st_size if self._log.exists() else 0
        self.start()
        until(lambda: b"ready: all" in self._log.read_bytes()[said:], "all shards", 900)
        return time.monotonic() - began

    def stop_s(self) -> float:
        """Stop it by SIGTERM; return the seconds until it has ended."""
        assert self.run is not None
        began = time.monotonic()
        self.run.send_signal(signal.SIGTERM)
        self.run.wait(60)
        return time.monotonic() - began

    def restart(self) -> None:
        """Kill the coordinator, and start it again at once."""
        assert self.run is not None
        self.run.kill()
        self.run.wait()
        self.start()

    @property
    def coordinator(self) -> int:
        """Its process id."""
        assert self.run is not None
        return self.run.pid

    @property
    def nursery(self) -> int:
        """The nursery's."""
        return until(lambda: children(self.coordinator), "the nursery")[0]

    @property
    def workers(self) -> list[int]:
        """The workers', in no order of shards."""
        return list(workers_of(self.nursery).values())

    def uses(self) -> dict[str, Use]:
        """Return what each kind of process has used by now."""
        assert self.ear.pid is not None
        return {
            "workers": Use.of(self.workers),
            "coordinator": Use.of([self.coordinator]),
            "nursery": Use.of([self.nursery]),
            "gateway": Use.of([self.gateway.pid]),
            "subscriber": Use.of([self.ear.pid]),
        }

    # The gateway

    def account(self) -> dict[str, Any]:
        """Return the gateway's account, see `crowd.Crowd.account`."""
        return self._ask("/account")

    def flow(self, rate: float) -> None:
        """Have each session get so many events a second."""
        self._ask(f"/flow?rate={rate}")

    def resumed_s(self, do: Callable[[], None], *, shards: list[int] | None = None) -> list[float]:
        """Do something that ends connections; return after how long each of these shards was live again."""
        began = time.monotonic()
        do()
        wanted = range(self.shards) if shards is None else shards

        def moments() -> list[float]:
            live_at = self.account()["live_at"]
            return [live_at[shard] - began for shard in wanted]

        until(lambda: min(moments()) > 0, "RESUMED", 120)
        return sorted(moments())

    def _ask(self, path: str) -> dict[str, Any]:
        url = self._api.removesuffix("/api/v10") + path
        with urllib.request.urlopen(url) as answer:  # noqa: S310 - our own, on loopback
            told: dict[str, Any] = json.load(answer)
            return told

    # The subscriber and the logs

    def ages(self) -> array[float]:
        """Return how old each event was, in seconds, that the subscriber received since the last question."""
        self._asking.send("ages")
        ages: array[float] = self._asking.recv()
        return ages

    def lost(self) -> int:
        """Return how many of the events in the gateway's account are not in the logs, once and in order."""
        missing = 0
        for shard, events in enumerate(self.account()["events"]):
            expected = 2
            for record in Reader(self._folder / "state" / "shards" / str(shard)).records():
                if record.name == "MESSAGE_CREATE":
                    missing += record.seq != expected
                    expected = (record.seq or 0) + 1
            missing += events + 2 - expected
        return missing


def _free_port() -> int:
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return int(tried.getsockname()[1])
