"""Which worker to start, ask to stop or kill, and when (pure, level-triggered).

Feed what happened, `step` when `due`, perform what comes back. A death before the shard was live may
have cost an identify, one after it costs a free RESUME; the two are waited for and told apart.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Collection, Container, Iterable
from dataclasses import dataclass
from typing import Final

from gwcluster.supervise.patience import Patience
from gwcluster.supervise.verdict import Severity, Verdict, cost, how
from gwcluster.wire.exits import WorkerExit

__all__ = ["Effect", "Kill", "Severity", "Start", "Supervisor", "Verdict"]

RESTART_GRACE_S: Final = 10.0
"""How long a worker that an operator restarts may take to stop."""

KILL_AGAIN_S: Final = 1.0

TOGETHER: Final = 4
SPREAD_S: Final = 2.0
"""Over how much time starts are spread when more shards than this resume together: each of them dials as soon
as it runs. Discord wants that many connections come apart.
https://github.com/discord/discord-api-docs/issues/1369"""

_NEVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Start:
    """Start a worker for `shard`, with a nursery if there is none; `attempt` counts from 1."""

    shard: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Kill:
    """Send `signal` to the shard's worker: SIGTERM asks, SIGKILL doesn't."""

    shard: int
    signal: int


Effect = Start | Kill


@dataclass(slots=True)
class _Slot:
    patience: Patience
    start_at: float
    attempts: int = 0
    running: bool = False  # from the Start on, whether or not its pid is known
    pid: int | None = None
    live_since: float | None = None
    restarting: bool = False
    term_at: float | None = None
    kill_at: float | None = None


class Supervisor:
    """Keeps one worker per shard running, within bounds.

    Args:
        shards: shard ids that this cluster runs.
        restarts: so many deaths of one shard within `within_s` are put up with; one more and the shard
            is failed. The same numbers bound the deaths of the nursery, which don't count for shards.
        within_s: see `restarts`, in seconds.
        now: monotonic moment (s) from which workers may start.
        jitter: returns evenly distributed numbers from 0.0 to 1.0.
        later: shards among them that don't start before `release`.
        away: shards among them that other hosts may run, and this one only after `take`.
    """

    def __init__(
        self,
        shards: Iterable[int],
        *,
        restarts: int,
        within_s: float,
        now: float,
        jitter: Callable[[], float],
        later: Collection[int] = (),
        away: Collection[int] = (),
    ) -> None:
        self.failed: dict[int, str] = {}
        """Shards that are given up, with the reason; only `restart` revives one."""
        self.refused: str | None = None
        """Why Discord refuses the whole cluster: nothing is started any more, what runs goes on."""
        self.draining = False
        self.away = set(away)
        """Shards that aren't this host's to run."""

        self._jitter = jitter

        def patience() -> Patience:
            return Patience(restarts=restarts, within_s=within_s, jitter=jitter)

        self._slots = {shard: _Slot(patience(), start_at=_NEVER) for shard in sorted(set(shards))}
        self._start_apart([slot for shard, slot in self._slots.items() if shard not in later], now)
        self._nursery_patience = patience()
        self._nursery_since = now
        self._drain_until = float("inf")

    def release(self, now: float) -> None:
        """Let the shards that were to start later start."""
        for slot in self._slots.values():
            slot.start_at = now if slot.start_at == _NEVER else slot.start_at

    def take(self, shard: int, now: float) -> None:
        """The shard is this host's to run, from `now` on."""
        slot = self._slots[shard]
        if shard in self.away:
            self.away.discard(shard)
            self.failed.pop(shard, None)
            slot.patience.forgive()
            slot.start_at = now
            slot.restarting = slot.running  # it may be stopping still, and is to come back then

    def give_up(self, shard: int, now: float, grace_s: float = RESTART_GRACE_S) -> None:
        """The shard is to be run elsewhere: its worker is asked to stop, and none is started any more.

        Args:
            shard: which one; asked twice, the earlier end of the grace holds.
            now: monotonic seconds.
            grace_s: what the worker gets to stop by itself; with none it isn't asked.
        """
        slot = self._slots[shard]
        self.away.add(shard)
        self.failed.pop(shard, None)
        slot.restarting = False
        if not slot.running:
            return
        if slot.kill_at is None and grace_s > 0:
            slot.term_at = now
        slot.kill_at = min(slot.kill_at or _NEVER, now + grace_s)

    def step(self, now: float) -> list[Effect]:
        """Return what to do at monotonic `now`, in the order of shard ids."""
        effects: list[Effect] = []
        for shard, slot in self._slots.items():
            if not slot.running:
                if self._may_start(shard) and now >= slot.start_at:
                    slot.running = True
                    slot.attempts += 1
                    effects.append(Start(shard, slot.attempts))
            elif slot.pid is not None:
                if slot.kill_at is not None and now >= slot.kill_at:
                    slot.term_at = None
                    slot.kill_at = now + KILL_AGAIN_S
                    effects.append(Kill(shard, signal.SIGKILL))
                elif slot.term_at is not None and now >= slot.term_at:
                    slot.term_at = None
                    effects.append(Kill(shard, signal.SIGTERM))
        return effects

    def started(self, shard: int, pid: int, now: float) -> None:
        """The worker of the last `Start` runs as `pid`."""
        del now
        slot = self._slots[shard]
        if slot.running:
            slot.pid = pid

    def live(self, shard: int, now: float) -> None:
        """The shard is live: READY or RESUMED came."""
        slot = self._slots[shard]
        if slot.running and slot.live_since is None:
            slot.live_since = now

    def exited(self, shard: int, status: int, now: float) -> Verdict:
        """The shard's worker ended; return what that means, for the log.

        Args:
            shard: its shard.
            status: a `WorkerExit`, another exit status, or the negative number of a signal.
            now: monotonic seconds.
        """
        slot = self._slots[shard]
        if not slot.running:
            return Verdict(f"shard {shard}: a worker ended that was not known to run; it {how(status)}")
        well_s = None if slot.live_since is None else now - slot.live_since
        asked = slot.restarting
        self._clear(slot)
        told = f"shard {shard}: the worker {how(status)} {cost(status, well_s is not None)}"
        if status == WorkerExit.REFUSED:
            severity = Severity.ERROR if self.refused is None else Severity.WARNING  # known already
            self.refused = self.refused or f"the worker of shard {shard} {how(status)}"
            self.failed[shard] = self.refused
            return Verdict(f"{told}; no shard is started any more", severity)
        if status == WorkerExit.SHARD_REFUSED:
            self.failed[shard] = how(status)
            return Verdict(f"{told}; this shard is not started again", Severity.ERROR)
        if status in {WorkerExit.UNLEASED, WorkerExit.FENCED}:
            self.away.add(shard)
            return Verdict(f"{told}; it is no longer this host's to run", Severity.WARNING)
        if shard in self.away and not self.draining:
            if status == WorkerExit.DONE:
                return Verdict(f"shard {shard}: stopped, for another host to run it")
            return Verdict(f"{told} while another host was to take it over", Severity.WARNING)
        if self.draining:
            if status == WorkerExit.DONE:
                return Verdict(f"shard {shard}: stopped")
            return Verdict(f"{told} while stopping", Severity.WARNING)
        if self.refused is not None:
            self.failed[shard] = self.refused
            if status == WorkerExit.DONE:
                return Verdict(f"shard {shard}: stopped, as Discord refuses the cluster")
            return Verdict(f"{told}; not started again, as Discord refuses the cluster", Severity.ERROR)
        if asked:
            slot.start_at = now
            return Verdict(f"{told}, as asked; starting it again")
        delay_s = slot.patience.death(now, well_s=well_s)
        if delay_s is None:
            self.failed[shard] = f"died {slot.patience.recent}; last, it {how(status)}"
            return Verdict(f"{told}; died {slot.patience.recent}: failed", Severity.ERROR)
        slot.start_at = now + delay_s
        return Verdict(f"{told}; starting it again in {delay_s:.1f} s", Severity.WARNING)

    def restart(self, shard: int, now: float) -> str | None:
        """An operator wants the shard restarted: out of backoff or failure, or while it runs.

        Returns:
            None when it will be done, else why not.
        """
        slot = self._slots.get(shard)
        if slot is None:
            return f"shard {shard} is not run by this cluster"
        if self.draining:
            return "the cluster is stopping"
        if self.refused is not None:
            return f"Discord refuses the cluster: {self.refused}"
        if shard in self.away:
            return f"shard {shard} is not run by this host"
        self.failed.pop(shard, None)
        slot.patience.forgive()
        if not slot.running:
            slot.start_at = now
        elif not slot.restarting:
            slot.restarting = True
            slot.term_at, slot.kill_at = now, now + RESTART_GRACE_S
        return None

    def restart_all(self, now: float) -> str | None:
        """The same for every shard; more than a few are spread over two seconds."""
        spread_s = SPREAD_S if len(self._slots) > TOGETHER else 0.0
        here = [shard for shard in self._slots if shard not in self.away]
        refusals = [self.restart(shard, now + spread_s * self._jitter()) for shard in here]
        return refusals[0] if refusals else "this host runs no shard at present"

    def bound(self, *, restarts: int, within_s: float) -> None:
        """Put up with so many deaths within so many seconds from now on; see the class."""
        for patience in (self._nursery_patience, *(slot.patience for slot in self._slots.values())):
            patience.bound(restarts=restarts, within_s=within_s)

    def stop(self, shard: int, now: float) -> None:
        """Ask the shard's worker to stop: Discord refuses the cluster and there is nothing to wait for."""
        assert self.refused is not None, "otherwise it would be started again"
        slot = self._slots[shard]
        if slot.running and slot.kill_at is None:
            slot.term_at, slot.kill_at = now, now + RESTART_GRACE_S

    def nursery_died(self, now: float, shards: Container[int] | None = None) -> Verdict:
        """The nursery ended, and every worker with it; those that ran start again, first at once, then later.

        Args:
            now: monotonic seconds.
            shards: those whose workers it had; None: all.

        More than a few that start together are spread over two seconds.

        It costs no shard anything of its own bound, but more than `restarts` such deaths within
        `within_s` fail all shards: the machine can't run workers.
        """
        delay_s = self._nursery_patience.death(now, well_s=now - self._nursery_since)
        self._nursery_since = now
        orphans = [
            slot
            for shard, slot in self._slots.items()
            if slot.running and (shards is None or shard in shards)
        ]
        for slot in orphans:
            self._clear(slot)
        self._start_apart(orphans, now + (delay_s or 0.0))
        told = f"the nursery ended, and {len(orphans)} workers with it"
        if self.draining:
            return Verdict(f"{told}, while stopping")
        if self.refused is not None:
            return Verdict(f"{told}; not started again, as Discord refuses the cluster", Severity.ERROR)
        if delay_s is None:
            reason = f"the nursery ended {self._nursery_patience.recent}"
            here = self._slots.keys() - self.away
            self.failed.update((shard, reason) for shard in sorted(here) if shard not in self.failed)
            return Verdict(f"{reason}: no worker can run; all shards are failed", Severity.ERROR)
        return Verdict(f"{told}; starting them again in {delay_s:.1f} s", Severity.WARNING)

    def drain(self, now: float, deadline_s: float) -> None:
        """Start nothing any more, ask every worker to stop, and kill what is left after `deadline_s`.

        Asked twice, the earlier deadline holds.
        """
        if now + deadline_s >= self._drain_until:
            return
        self._drain_until = now + deadline_s
        for slot in self._slots.values():
            if slot.running:
                if not self.draining and not slot.restarting:  # one SIGTERM is enough
                    slot.term_at = now
                if slot.kill_at is None or slot.kill_at > self._drain_until:
                    slot.kill_at = self._drain_until
        self.draining = True

    @property
    def due(self) -> float | None:
        """The next moment at which `step` has something to do; None: not before another report."""
        moments = []
        for shard, slot in self._slots.items():
            if not slot.running:
                if self._may_start(shard) and slot.start_at != _NEVER:
                    moments.append(slot.start_at)
            elif (
                slot.kill_at is not None and slot.pid is not None
            ):  # who is asked to stop has a bound as well
                moments.append(slot.kill_at if slot.term_at is None else min(slot.term_at, slot.kill_at))
        return min(moments, default=None)

    @property
    def finished(self) -> bool:
        """Whether nothing runs and, unless an operator restarts a failed shard, nothing will."""
        if self.away and not self.draining and self.refused is None:
            return False  # a spare host waits for shards
        return not any(slot.running or self._may_start(shard) for shard, slot in self._slots.items())

    def runs(self, shard: int) -> bool:
        """Say whether the shard has a worker, or will have one at once."""
        return self._slots[shard].running

    def pid(self, shard: int) -> int | None:
        """Return the process id of the shard's worker; None: it has none, or it isn't known yet."""
        return self._slots[shard].pid

    def died(self, shard: int) -> int:
        """Return how often the shard's worker died unasked since the coordinator started."""
        return self._slots[shard].patience.died

    @property
    def children(self) -> dict[int, int | None]:
        """Shards whose worker runs, with its pid, or None while that isn't known yet."""
        return {shard: slot.pid for shard, slot in self._slots.items() if slot.running}

    @property
    def backing_off(self) -> dict[int, float]:
        """Shards that don't run but will, with the moment of their start."""
        return {
            shard: slot.start_at
            for shard, slot in self._slots.items()
            if not slot.running and self._may_start(shard) and slot.start_at != _NEVER
        }

    def _start_apart(self, slots: Collection[_Slot], now: float) -> None:
        for slot in slots:
            slot.start_at = now + (SPREAD_S * self._jitter() if len(slots) > TOGETHER else 0.0)

    def _may_start(self, shard: int) -> bool:
        held = shard not in self.failed and shard not in self.away
        return held and not self.draining and self.refused is None

    @staticmethod
    def _clear(slot: _Slot) -> None:
        slot.running = slot.restarting = False
        slot.pid = slot.live_since = slot.term_at = slot.kill_at = None
