"""Several hosts on one machine, with a Discord, NATS servers and subscribers: start, disturb, judge."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from chaos.hearing import deaf, last_seq, let_all_hear, print_tallies, truth_of
from chaos.hosts import ELSEWHERE, Hosts, Layout
from chaos.hosts_run import figures, judged, roles_for, settings_for
from chaos.listeners import PYTHON, environment
from chaos.namespaces import NoNamespaces
from gwsimulator import ThreadedSimulator, in_thread
from gwsimulator.invariants import Tenure, tenures
from gwsimulator.records import Identify, Resume
from gwsimulator.settings import Settings
from support.cluster import until

START_S: Final = 120.0
WHOLE_S: Final = 90.0


class HostRig:
    """Hosts that run, and all that is known of them.

    Attributes:
        whole: monotonic seconds at which every subscriber had heard every shard.
    """

    def __init__(self, sim: ThreadedSimulator, hosts: Hosts, settings: Settings) -> None:
        self.sim = sim
        self.hosts = hosts
        self.settings = settings
        self.whole = time.monotonic()

    @property
    def shards(self) -> range:
        return range(self.settings.shards)

    def tenures(self) -> list[Tenure]:
        """Return who had which shard when; of those that were cut off, until when they had it themselves."""
        return tenures(self.sim.ledger, self.hosts.gone(self.sim))

    def of(self, host: str, at: float | None = None) -> set[int]:
        """Return the shards that a host has a connection for, now or at a moment."""
        at = time.monotonic() if at is None else at
        origin = self.hosts.relays.origin(host)
        return {one.shard for one in self.tenures() if one.origin == origin and one.asked <= at < one.ended}

    def live_again(self, shards: set[int], since: float) -> dict[int, float]:
        """Return for those that were resumed (or identified) since a moment how long that took (s)."""
        sessions: list[Identify | Resume] = [*self.sim.ledger.resumes, *self.sim.ledger.identifies]
        found: dict[int, float] = {}
        for one in sorted(sessions, key=lambda one: one.at):
            if (
                one.shard is not None
                and one.shard in shards
                and one.at > since
                and one.outcome in {"resumed", "ready"}
            ):
                found.setdefault(one.shard, one.at - since)
        return found

    def wait_live_again(self, shards: set[int], since: float, seconds: float) -> float:
        """Wait until all of these were resumed since a moment; return how long the last of them took (s)."""
        until(
            lambda: self.live_again(shards, since).keys() == shards,
            f"shards {sorted(shards)} live again, of which {sorted(self.live_again(shards, since))} are",
            seconds,
        )
        return max(self.live_again(shards, since).values(), default=0.0)

    def wait_spread(self, seconds: float = START_S) -> None:
        """Wait until every host has its share of the shards: no more than one above or below another."""

        def spread() -> bool:
            held = [len(self.of(name)) for name in self.hosts.layout.names]
            return sum(held) == len(self.shards) and max(held) - min(held) <= 1

        until(spread, "a share of the shards on every host", seconds)

    def all_hear(self, seconds: float = WHOLE_S) -> dict[int, int]:
        """Wait until every subscriber hears every shard; return the seqs until which all should have all."""
        marks = let_all_hear(self.hosts.listeners, self.sim, self.shards, seconds)
        late = deaf(self.hosts.listeners, marks)
        assert not late, f"not heard within {seconds:g} s: {late}"
        return marks

    def seqs(self) -> dict[int, int]:
        return {shard: last_seq(self.sim, shard) for shard in self.shards}

    def asked(self, host: str, command: str, *options: str, seconds: float = 120.0) -> str:
        """Run a command of gwcluster against a host, from elsewhere, as one who may operate it."""
        key = self.hosts.folder / "keys" / "clients" / "watcher.key_secret"
        done = subprocess.run(
            self.hosts.network.inside(
                ELSEWHERE, [*PYTHON, "gwcluster", command, str(self.hosts.file(host)), *options]
            ),
            env=environment(GWCLUSTER_KEY=str(key)),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0, f"{command} of {host}: {done.stdout}{done.stderr}"
        return done.stdout

    def status(self, host: str) -> dict[str, Any]:
        """Return the status document of a host."""
        told: dict[str, Any] = json.loads(self.asked(host, "status", "--json"))
        return told

    def deaths(self, host: str) -> list[str]:
        """Return what a host said of workers that ended."""
        said = self.hosts.services[host].log.read_text(errors="replace")
        return [line for line in said.splitlines() if ": the worker " in line]

    def say(self, text: str) -> None:
        """Print a figure; pytest shows it with -s, and when the test fails."""
        sys.stdout.write(f"{text}\n")

    def verdict(self, *, identifies: int | None = None, was_cut: bool = False) -> None:
        """Let everybody become whole, and find nothing lost, doubled, out of order, or on two hosts at once.

        Args:
            identifies: how many there were to be in all; None: one for each shard.
            was_cut: whether a host was cut off or stopped.
        """
        self.all_hear()
        time.sleep(3.0)  # a beacon tells of what else is missing
        upto = self.all_hear()
        truth = {shard: truth_of(self.sim, shard, upto[shard]) for shard in self.shards}
        faults = print_tallies(self.hosts.listeners, truth, upto, whole=not self.hosts.layout.apart)
        for line in figures(self.hosts, self.sim, self.settings, truth, upto, self.whole):
            self.say(line)
        wrong = judged(self.hosts, self.sim, self.settings, was_cut=was_cut)
        assert not wrong, "\n".join(wrong)
        assert not faults, "see the table"
        assert len(self.sim.ledger.identifies) == (len(self.shards) if identifies is None else identifies)


@contextlib.contextmanager
def host_rig(
    folder: Path,
    layout: Layout,
    *,
    rate: float,
    max_concurrency: int | None = None,
    heard: bool = True,
) -> Iterator[HostRig]:
    """Run hosts as long as the block; skip the test where there can't be any, and say why.

    Args:
        rate: events per second, over all shards.
        max_concurrency: None: as many as shards, so that a start takes no time.
        heard: wait until every subscriber hears every shard.
    """
    settings = settings_for(layout, rate=rate / layout.shards, seed=1, max_concurrency=max_concurrency)
    with contextlib.ExitStack() as stack:
        sim = stack.enter_context(in_thread(settings))
        try:
            hosts = stack.enter_context(Hosts(folder, sim, layout, roles_for(layout)))
        except NoNamespaces as why:
            pytest.skip(str(why))
        hosts.start()
        rig = HostRig(sim, hosts, settings)
        if heard:
            rig.all_hear(START_S)
            rig.whole = time.monotonic()
        try:
            yield rig
        except BaseException:
            for name, service in hosts.services.items():
                rig.say(f"--- {name}\n{service.log.read_text(errors='replace')[-3000:]}")
            raise
