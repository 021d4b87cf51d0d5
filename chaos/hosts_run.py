"""Chaos on several hosts (does): kills, cuts and stops hosts and NATS servers, and counts what got lost."""

from __future__ import annotations

import argparse
import datetime
import functools
import heapq
import itertools
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from chaos.findings import Silence, identify_lines, moves, silences
from chaos.hearing import deaf, let_all_hear, print_tallies, truth_of, until
from chaos.hosts import Hosts, Layout, Undo
from chaos.hosts_plan import HostStep, host_steps
from chaos.listeners import Role
from chaos.namespaces import Cut
from chaos.notes import Sent
from chaos.plan import RARE
from chaos.service import send
from gwsimulator import Settings, ThreadedSimulator, in_thread
from gwsimulator.invariants import broken, tenures

CALM_S: Final = 90.0
READY_S: Final = 120.0
CAUGHT_UP_S: Final = 20.0
STOPS_S: Final = 30.0

EXCUSED: Final = frozenset({"I3", "I7"})
"""Who is cut off is succeeded by another before the gateway notices (I13 says who had the shard then), and
who is stopped sends no beats."""

CUT_OFF_EXCUSES: Final = frozenset({"I5"})
CUT_OFF_RULES: Final = frozenset({"wrong_resume_host", "late_heartbeat"})
"""Dials that a cut swallows were at the right host, and beats in time: the gateway saw neither."""


def roles_for(layout: Layout) -> list[tuple[str, Role]]:
    """Return the subscribers and by which host's file each finds its cluster."""
    if layout.apart:
        return [
            (host, Role(f"everything of {host}", None, tuple(layout.part(host)), blocking=at == 0))
            for at, host in enumerate(layout.names)
        ]
    everyone = tuple(range(layout.shards))
    first, *_, last = layout.names
    return [
        (first, Role("everything", None, everyone)),
        (last, Role("everything, blocking", None, everyone, blocking=True)),
        (last, Role("one rare name", (RARE,), everyone)),
    ]


def settings_for(layout: Layout, *, rate: float, seed: int, max_concurrency: int | None = None) -> Settings:
    """Return a simulator's settings: hosts that are apart don't share permits."""
    return Settings(
        shards=layout.shards,
        guilds=layout.shards * 3,
        rate=rate,
        seed=seed,
        max_concurrency=max_concurrency or layout.shards,
        session_ttl_s=3600.0,
        buffer_events=5_000_000,
        keep_dispatches=5_000_000,
        keep_payload_bytes=4 << 30,
        wrong_host_close_after_s=None,
    )


class HostsRun:
    """One run, from the first start to the verdict."""

    def __init__(self, given: argparse.Namespace, folder: Path) -> None:
        self._given = given
        self._folder = folder
        self._layout = Layout(
            hosts=given.hosts,
            shards=given.shards,
            apart=given.apart,
            lease_s=given.lease,
            compression=given.compression,
            high_water_mark=given.high_water_mark,
        )
        self._done: Counter[str] = Counter()
        self._busy: set[str] = set()
        self._undos: list[tuple[float, int, str, Undo]] = []
        self._order = itertools.count()

    def run(self) -> int:
        """Return the exit status."""
        given, layout = self._given, self._layout
        settings = settings_for(layout, rate=given.rate, seed=given.seed)
        began = time.monotonic()
        with in_thread(settings) as sim, Hosts(self._folder, sim, layout, roles_for(layout)) as hosts:
            print(f"seed {given.seed}: {given.kills} kills on {layout.hosts} hosts; starting", flush=True)
            hosts.start()
            marks = let_all_hear(hosts.listeners, sim, range(layout.shards), READY_S)
            if deaf(hosts.listeners, marks):
                print("NOT as it should be: it never began", flush=True)
                return 1
            whole = time.monotonic()
            self._disturb(hosts, began + given.max_seconds)
            self._undo_until(None)
            print("calm: waiting until everybody has everything", flush=True)
            let_all_hear(hosts.listeners, sim, range(layout.shards), CALM_S)
            time.sleep(3.0)  # a beacon tells of what else is missing
            upto = let_all_hear(hosts.listeners, sim, range(layout.shards), CALM_S)
            statuses = hosts.stop(STOPS_S)
            print(
                f"\nin {time.monotonic() - began:.0f} s: "
                + ", ".join(f"{what} {n}" for what, n in sorted(self._done.items()))
            )
            return self._verdict(hosts, sim, settings, upto, statuses, whole)

    # ------------------------------------------------------------------ disturbances

    def _disturb(self, hosts: Hosts, until_at: float) -> None:
        plan = host_steps(
            self._given.seed, self._given.kills, lease_s=self._layout.lease_s, nats=not self._layout.apart
        )
        for step in plan:
            self._undo_until(time.monotonic() + step.pause_s)
            if time.monotonic() > until_at:
                print("no more time for kills", flush=True)
                return
            self._do(step, hosts)

    def _undo_until(self, at: float | None) -> None:
        """Wait until then, and undo what falls due; None: until all is undone."""
        while self._undos and (at is None or self._undos[0][0] <= at):
            due, _, who, undo = heapq.heappop(self._undos)
            time.sleep(max(0.0, due - time.monotonic()))
            undo()
            self._note(f"{who} is as before")
            self._busy.discard(who)
        if at is not None:
            time.sleep(max(0.0, at - time.monotonic()))

    def _free(self, of: Sequence[str], most: int, which: int) -> str | None:
        """Return one of them to which nothing happens now, waiting for one while `most` are busy."""
        while self._undos and sum(one in self._busy for one in of) >= most:
            self._undo_until(self._undos[0][0])
        free = [one for one in of if one not in self._busy]
        return free[which % len(free)] if free else None

    def _do(self, step: HostStep, hosts: Hosts) -> None:
        what, which = step.what, step.which
        names, servers = self._layout.names, self._layout.server_names
        match what:
            case "kill subscriber":
                self._kill(hosts.listeners.pids(), step)
            case "kill coordinator" | "kill nursery" | "kill worker":
                if (host := self._free(names, len(names), which)) is not None:
                    self._kill(hosts.processes(host, what.removeprefix("kill ")), step)
            case "kill NATS leader" | "kill NATS follower" | "stop NATS leader":
                if not servers or self._free(servers, 1, which) is None:
                    return
                if not self._servers_whole(hosts):
                    return
                server = hosts.nats.victim(what.rpartition(" ")[2], which)
                if server is not None:
                    act = hosts.stop_server if what.startswith("stop") else hosts.kill_server
                    self._lasting(step, server, act(server))
            case _:
                host = self._free(names, max(1, len(names) - 1), which)
                if host is not None:
                    self._lasting(step, host, self._to_host(step, host, hosts))

    def _servers_whole(self, hosts: Hosts) -> bool:
        """Wait until the server that was disturbed last has caught up: NATS bears one at a time."""
        try:
            hosts.nats.wait_until_ready(CAUGHT_UP_S)
        except TimeoutError:
            self._done["no whole NATS to disturb"] += 1
            return False
        return True

    def _note(self, text: str) -> None:
        """Add a line to the timeline, in wall time as the logs have it."""
        with (self._folder / "timeline").open("a", encoding="utf-8") as file:
            file.write(f"{datetime.datetime.now().astimezone():%H:%M:%S.%f} {text}\n")

    def _to_host(self, step: HostStep, host: str, hosts: Hosts) -> Undo:
        how: Cut = "reset" if step.resets else "vanish"
        servers = self._layout.server_names
        match step.what:
            case "kill host":
                return hosts.kill_host(host)
            case "lose host":
                return hosts.lose_host(host)
            case "stop host":
                return hosts.stop_host(host)
            case "cut host from NATS":
                return hosts.cut_host_from_nats(host, how=how)
            case "cut host from one server":
                return hosts.cut_host_from_nats(host, how=how, servers=servers[step.which % 3 :][:1])
            case "cut host from everything":
                return hosts.cut_host_from_everything(host, how=how)
            case other:
                raise AssertionError(other)

    def _kill(self, pids: Sequence[int], step: HostStep) -> None:
        if pids:
            pid = pids[step.which % len(pids)]
            self._done[step.what] += send(pid, 9)
            self._note(f"{step.what}: process {pid}")

    def _lasting(self, step: HostStep, who: str, undo: Undo) -> None:
        how = " (reset)" if step.resets and step.what.startswith("cut") else ""
        self._done[step.what + how] += 1
        self._note(f"{step.what}{how}: {who}, for {step.lasts_s:.1f} s")
        self._busy.add(who)
        heapq.heappush(self._undos, (time.monotonic() + step.lasts_s, next(self._order), who, undo))

    # ------------------------------------------------------------------ the verdict

    def _verdict(
        self,
        hosts: Hosts,
        sim: ThreadedSimulator,
        settings: Settings,
        upto: dict[int, int],
        statuses: list[int | None],
        whole: float,
    ) -> int:
        layout = self._layout
        truth = {shard: truth_of(sim, shard, upto[shard]) for shard in range(layout.shards)}
        faults = print_tallies(hosts.listeners, truth, upto, whole=not layout.apart)
        for line in figures(hosts, sim, settings, truth, upto, whole):
            print(line)
        kills = sum(count for what, count in self._done.items() if what.startswith(("kill", "lose")))
        resumes = sum(resume.outcome == "resumed" for resume in sim.ledger.resumes)
        print(
            f"kills {kills}, dispatches {sum(map(len, truth.values()))}, "
            f"IDENTIFYs {len(sim.ledger.identifies)} for {layout.shards} shards, RESUMEs {resumes}, hosts "
            f"started {sum(one.starts for one in hosts.services.values())} times and ended with "
            + ", ".join(map(str, statuses))
        )
        was_cut = any(what.startswith(("cut", "lose", "stop")) for what in self._done)
        wrong = judged(hosts, sim, settings, was_cut=was_cut)
        for said in wrong:
            print(said)
        is_good = (
            not faults
            and not wrong
            and len(sim.ledger.identifies) == layout.shards
            and all(one == 0 for one in statuses)
        )
        print(
            "nothing lost, doubled or out of order, and no shard on two hosts at once"
            if is_good
            else "NOT as it should be: see above",
            flush=True,
        )
        return 0 if is_good else 1


def judged(hosts: Hosts, sim: ThreadedSimulator, settings: Settings, *, was_cut: bool) -> list[str]:
    """Return a sentence for every rule and invariant that was broken.

    Args:
        was_cut: whether hosts were cut off or stopped, so that the gateway didn't see all that they did.
    """
    wrong = broken(
        sim.ledger,
        settings,
        gone=hosts.gone(sim),
        away=hosts.away,
        excused=EXCUSED | (CUT_OFF_EXCUSES if was_cut else frozenset()),
    )
    rules: Counter[str] = Counter(one.rule for one in sim.ledger.violations)
    for rule in CUT_OFF_RULES if was_cut else ():
        del rules[rule]
    return wrong + [f"rule of the gateway broken: {rule}, {count} times" for rule, count in rules.items()]


def figures(
    hosts: Hosts,
    sim: ThreadedSimulator,
    settings: Settings,
    truth: Mapping[int, Sequence[Sent]],
    upto: dict[int, int],
    whole: float,
) -> list[str]:
    """Return lines about what shards and identifies did from `whole` on (monotonic seconds)."""
    name = functools.partial(hosts.relays.machine)
    lines = identify_lines(sim.ledger, settings.max_concurrency, name)
    had: dict[int, Silence] = {}
    for at, role in enumerate(hosts.listeners.roles):
        if role.names is None:
            noted = until(hosts.listeners.noted(at), upto)
            for shard, one in silences(noted, truth, since=whole).items():
                if shard not in had or one.seconds < had[shard].seconds:
                    had[shard] = one  # what one subscriber had is nobody else's silence
    moved = moves(tenures(sim.ledger, hosts.gone(sim)))
    lines.append("shard  longest silence  since  latest event  went to")
    for shard in sorted(truth):
        where = " ".join(f"{name(one.origin)}@{one.began - whole:.0f}" for one in moved.get(shard, []))
        if (quiet := had.get(shard)) is not None:
            lines.append(
                f"{shard:>5}{quiet.seconds:>15.2f} s{quiet.since - whole:>7.0f}"
                f"{quiet.latest_s:>12.2f} s  {where}"
            )
        else:
            lines.append(f"{shard:>5}  nothing came  {where}")
    return lines
