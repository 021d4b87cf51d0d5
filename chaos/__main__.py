"""`scripts/chaos` (does): kills and stops every process at random, under load, and counts what got lost.

Workers, nursery, coordinator and subscribers get SIGKILL and SIGSTOP, the gateway hangs up, stalls, sends
damaged payloads and asks for reconnects. What each subscriber wrote down is then compared with what was
sent.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from chaos.hearing import let_all_hear, print_tallies, truth_of
from chaos.listeners import Role
from chaos.machine import Machine
from chaos.plan import RARE, STOP_S, Step, steps
from chaos.service import send
from gwsimulator import Settings, ThreadedSimulator, in_thread

CALM_S: Final = 60.0
"""How long everybody may take to be whole again, at the end."""

READY_S: Final = 90.0


def main() -> None:
    """Run it, print what came of it, and end with 0 only if nothing was lost."""
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="SIGKILLs; stops and faults come on top (100)")
    parser.add_argument("--seed", type=int, default=1, help="of the plan and the events (1)")
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--rate", type=float, default=50.0, help="events per second and shard (50)")
    parser.add_argument(
        "--compression", default="zlib-stream", choices=["zlib-stream", "zstd-stream", "none"]
    )
    parser.add_argument(
        "--high-water-mark",
        type=int,
        default=2_000,
        help="messages queued per subscriber before some are dropped",
    )
    parser.add_argument(
        "--max-seconds", type=float, default=3600.0, help="end the disturbances after so long"
    )
    parser.add_argument("--keep", type=Path, help="keep logs, notes and cursors in this folder")
    parser.add_argument(
        "--hosts", type=int, default=1, help="on several hosts, each in a network namespace; needs root (1)"
    )
    parser.add_argument("--lease", type=float, default=6.0, help="of several hosts, in seconds (6)")
    parser.add_argument(
        "--apart", action="store_true", help="several hosts that know nothing of each other, and no NATS"
    )
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what it started is to end with it
    if given.keep is not None:
        given.keep.mkdir(parents=True, exist_ok=True)
        sys.exit(_run(given, given.keep.absolute()))
    with tempfile.TemporaryDirectory(prefix="gwchaos-") as folder:
        sys.exit(_run(given, Path(folder)))


def _run(given: argparse.Namespace, folder: Path) -> int:
    if given.hosts == 1:
        return Run(given, folder).run()
    from chaos.hosts import HostRefused
    from chaos.hosts_run import HostsRun
    from chaos.namespaces import NoNamespaces

    try:
        return HostsRun(given, folder).run()
    except (NoNamespaces, HostRefused) as why:
        print(f"chaos: no hosts: {why}", file=sys.stderr)
        return 2


def roles_for(shards: int) -> Sequence[Role]:
    """Return the subscribers: one of everything, one of some names, and two that share the work."""
    everyone = tuple(range(shards))
    half = max(1, shards // 2)
    return (
        Role("everything", None, everyone),
        Role("some names", ("READY", "RESUMED", "MESSAGE_CREATE", RARE), everyone),
        Role("one rare name", (RARE,), everyone),
        Role("first half, blocking", None, everyone[:half], blocking=True),
        Role("second half", None, everyone[half:] or everyone),
    )


class Run:
    """One run, from the first start to the verdict."""

    def __init__(self, given: argparse.Namespace, folder: Path) -> None:
        self._given = given
        self._folder = folder
        self._shards = range(given.shards)
        self._done: Counter[str] = Counter()

    def run(self) -> int:
        """Return the exit status."""
        given = self._given
        settings = Settings(
            shards=given.shards,
            guilds=given.shards * 3,
            rate=given.rate,
            seed=given.seed,
            max_concurrency=given.shards,
            session_ttl_s=3600.0,
            buffer_events=5_000_000,
            keep_dispatches=5_000_000,
            keep_payload_bytes=4 << 30,
            wrong_host_close_after_s=None,
        )
        began = time.monotonic()
        with in_thread(settings) as sim:
            machine = Machine(
                self._folder,
                sim.api,
                roles_for(given.shards),
                compression=given.compression,
                high_water_mark=given.high_water_mark,
            )
            try:
                machine.start()
                self._begin(machine, sim)
                self._disturb(machine, sim, began + given.max_seconds)
                upto = self._calm(machine, sim)
                status = machine.cluster.stop(signal.SIGTERM, 15.0)
            finally:
                machine.close()
            return self._verdict(machine, sim, upto, status, time.monotonic() - began)

    def _begin(self, machine: Machine, sim: ThreadedSimulator) -> None:
        """Wait until everybody hears every shard."""
        print(f"seed {self._given.seed}: {self._given.kills} kills; starting", flush=True)
        let_all_hear(machine.listeners, sim, self._shards, READY_S)

    def _disturb(self, machine: Machine, sim: ThreadedSimulator, until: float) -> None:
        for step in steps(self._given.seed, self._given.kills):
            time.sleep(step.pause_s)
            if time.monotonic() > until:
                print("no more time for kills", flush=True)
                return
            match step.kind:
                case "fault":
                    self._fault(step, sim)
                case _:
                    self._signal(step, machine)

    def _signal(self, step: Step, machine: Machine) -> None:
        deadline = time.monotonic() + 20
        while not (victims := machine.victims(step.what)):
            if time.monotonic() > deadline:
                self._done[f"no {step.what} to {step.kind}"] += 1
                return
            time.sleep(0.02)
        pid = victims[step.which % len(victims)]
        if step.kind == "kill":
            self._done[f"killed {step.what}"] += send(pid, signal.SIGKILL)
        elif send(pid, signal.SIGSTOP):
            self._done[f"stopped {step.what}"] += 1
            threading.Timer(step.lasts_s, send, (pid, signal.SIGCONT)).start()

    def _fault(self, step: Step, sim: ThreadedSimulator) -> None:
        shard = step.which % len(self._shards)
        match step.what:
            case "op7":
                sim.op7(shard)
            case "op9":
                sim.op9(shard, resumable=True)
            case "close":
                sim.close(shard, step.code)
            case "abort":
                sim.abort(shard)
            case "eof":
                sim.eof(shard)
            case "corrupt" | "duplicate":
                sim.mangle(shard, step.what)
            case "op1":
                sim.op1(shard, 3)
            case "stall":
                sim.stall(shard, for_s=step.lasts_s)
            case "resume_host_down":
                sim.resume_host_down(True)
                threading.Timer(step.lasts_s, sim.resume_host_down, (False,)).start()
        self._done[f"gateway: {step.what}"] += 1

    def _calm(self, machine: Machine, sim: ThreadedSimulator) -> dict[int, int]:
        """Let everybody become whole again; return up to which seq of each shard all should have all."""
        print("calm: waiting until everybody has everything", flush=True)
        time.sleep(STOP_S[1] + 0.5)
        let_all_hear(machine.listeners, sim, self._shards, CALM_S)
        time.sleep(3.0)  # a beacon tells of what else is missing
        return let_all_hear(machine.listeners, sim, self._shards, CALM_S)

    def _verdict(
        self,
        machine: Machine,
        sim: ThreadedSimulator,
        upto: dict[int, int],
        status: int | None,
        seconds: float,
    ) -> int:
        truth = {shard: truth_of(sim, shard, upto[shard]) for shard in self._shards}
        print(f"\nin {seconds:.0f} s: " + ", ".join(f"{what} {n}" for what, n in sorted(self._done.items())))
        kills = sum(count for what, count in self._done.items() if what.startswith("killed"))
        faults = print_tallies(machine.listeners, truth, upto)
        identifies = len(sim.ledger.identifies)
        resumes = sum(resume.outcome == "resumed" for resume in sim.ledger.resumes)
        dispatches = sum(map(len, truth.values()))
        print(
            f"kills {kills}, dispatches {dispatches}, IDENTIFYs {identifies} for {len(self._shards)} shards, "
            f"RESUMEs {resumes}, the cluster started {machine.cluster.starts} times and ended with {status}"
        )
        rules = Counter(violation.rule for violation in sim.ledger.violations)
        if any("resume_host_down" in what for what in self._done):
            del rules["wrong_resume_host"]  # while its host is down, a session is tried at another
        if rules:
            print("rules of the gateway that were broken: " + ", ".join(f"{r} {n}" for r, n in rules.items()))
        good = not faults and identifies == len(self._shards) and status == 0 and not rules
        print(
            "nothing lost, doubled or out of order" if good else "NOT as it should be: see above", flush=True
        )
        return 0 if good else 1


if __name__ == "__main__":
    main()
