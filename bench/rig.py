"""One program between gateway and subscriber (does): starts all three, sends, and settles the account."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import traffic
from bench.accounts import Account, Received, Sent, account, latencies
from bench.gateway import Gateway
from bench.processes import cpu_s, pss_kb, until
from bench.programs import Program
from bench.running import Place, Running
from bench.schedule import Pace
from bench.sequence import MADE
from bench.serving import Sender, Settings
from bench.subscriber import Sample, Subscriber


@dataclass(frozen=True, slots=True)
class Load:
    """What a program is measured under."""

    transport: str
    mix: str = "chat"
    shards: int = 1
    events: int = 0
    """For each shard, in all that is sent to it."""
    max_concurrency: int | None = None
    """None: all may identify at once."""


@dataclass(frozen=True, slots=True)
class Phase:
    """What was sent, what came of it, and what it cost.

    Attributes:
        cpu: seconds that each part of the program used.
        seconds: from the first send to the last receipt.
    """

    sent: Sent
    received: Received
    account: Account
    sender: Sender
    cpu: dict[str, float]
    seconds: float
    wrong: int

    def latencies(self) -> list[float]:
        """Return the seconds from send to receipt, in the order of receipt."""
        return latencies(self.sent, self.received)

    def problems(self) -> list[str]:
        """Say why this is no measurement; nothing if it is one."""
        changed = [f"{self.wrong} events were changed on the way"] if self.wrong else []
        return self.account.problems() + changed + self.sender.problems()


class Rig:
    """All three, up and ready.

    Attributes:
        started_ns: when the program was started (monotonic).
    """

    def __init__(
        self, load: Load, gateway: Gateway, subscriber: Subscriber, program: Running, started_ns: int
    ) -> None:
        self.started_ns = started_ns
        self.load = load
        self.gateway = gateway
        self.subscriber = subscriber
        self.program = program
        self.left = load.events
        self._bodies = traffic.bodies(load.mix)

    def cpu(self) -> dict[str, float]:
        """Return the CPU seconds of each part of the program until now."""
        return {part: sum(map(cpu_s, pids)) for part, pids in self.program.parts().items()}

    def pss_mb(self) -> dict[str, list[float]]:
        """Return the PSS of each process in MiB, by part."""
        return {part: [pss_kb(pid) / 1024 for pid in pids] for part, pids in self.program.parts().items()}

    def phase(self, pace: Pace, patience_s: float = 30.0) -> Phase:
        """Send, wait until all has come or nothing comes any more, and settle the account.

        `patience_s` is for what takes longer than it should.
        """
        self.left -= pace.count
        assert self.left >= 0, "more events than were made"
        self.subscriber.taken()
        wanted = self.subscriber.count + pace.count * self.load.shards
        before, began = self.cpu(), time.monotonic()
        self.gateway.send(pace)
        found = self.gateway.sent(pace.seconds + patience_s)
        if found is None:
            raise TimeoutError(f"it didn't take {pace.count * self.load.shards:,} events in time")
        self._await(wanted)
        seconds = time.monotonic() - began
        cpu = {part: used - before[part] for part, used in self.cpu().items()}
        received, samples = self.subscriber.taken()
        sent, sender = found
        wrong = sum(not self._is_as_sent(sample) for sample in samples)
        return Phase(sent, received, account(sent, received), sender, cpu, seconds, wrong)

    def _await(self, wanted: int, patience_s: float = 3.0) -> None:
        """Wait until so many events have come, or none came for a while."""
        count, moved = self.subscriber.count, time.monotonic()
        while count < wanted and time.monotonic() < moved + patience_s:
            time.sleep(0.005)
            if (now := self.subscriber.count) != count:
                count, moved = now, time.monotonic()

    def _is_as_sent(self, sample: Sample) -> bool:
        name, d = self._bodies[(sample.seq - 2) % len(self._bodies)] if sample.seq >= 2 else (b"", b"")
        return sample.name == name.decode() and sample.data == json.loads(d)


@contextmanager
def rig(program: Program, load: Load, made: Path = MADE) -> Iterator[Rig]:
    """Start the gateway, the subscriber and a program, and wait until all its shards are ready.

    Raises:
        TimeoutError: they are not ready in time; the message has the program's last words.
    """
    limit = load.max_concurrency or load.shards
    settings = Settings(load.mix, load.shards, limit, load.events, load.transport, made)
    names = traffic.MIXES[load.mix].names
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        Gateway(settings) as gateway,
        Subscriber(Path(folder), names) as subscriber,
    ):
        place = Place(
            Path(folder), gateway.api, gateway.url, subscriber.stream, load.transport, load.shards, limit
        )
        running = program.make(place)
        try:
            started = time.monotonic_ns()
            running.start()
            if running.events is not None:
                subscriber.subscribe(running.events)
            least = 5.0 * (-(-load.shards // limit) - 1)
            try:
                until(lambda: gateway.live() == load.shards, f"{load.shards} shards", 30.0 + 2 * least)
            except TimeoutError as error:
                raise TimeoutError(f"{program.title}: {error}; it said: {running.said()}") from error
            yield Rig(load, gateway, subscriber, running, started)
        finally:
            running.stop()
