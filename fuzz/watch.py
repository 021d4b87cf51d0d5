"""One process for each target, and an eye on it (does): a case that hangs or kills it is a finding, too."""

from __future__ import annotations

import ctypes
import multiprocessing
import resource
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Final

from fuzz.cases import MIB, Finding, Target, cases, dice_name, peak_mib

HANG_S: Final = 60.0
ADDRESS_SPACE: Final = 4096 * MIB
"""More than this ends in a MemoryError, which is a finding, instead of a machine that swaps."""

FINDINGS: Final = 20
_TOLD_EVERY_S: Final = 0.5


@dataclass(slots=True)
class Tally:
    """How far a target has come.

    Attributes:
        done: cases.
        peak_mib: most memory that its process ever had.
    """

    target: str
    done: int = 0
    seconds: float = 0.0
    peak_mib: float = 0.0

    def __str__(self) -> str:
        rate = self.done / self.seconds if self.seconds else 0.0
        return f"{self.target:<13}{self.done:>10} cases {rate:>8.0f}/s {self.peak_mib:>6.0f} MiB at most"


class Watched:
    """One target in a process of its own."""

    def __init__(self, target: Target, seed: int, seconds: float) -> None:
        context = multiprocessing.get_context("fork")
        self._done = context.RawValue(ctypes.c_ulonglong)
        self._seed = seed
        self.pipe, theirs = context.Pipe(duplex=False)
        self.process = context.Process(
            target=_play, args=(target, seed, seconds, theirs, self._done), daemon=True
        )
        self.process.start()
        theirs.close()
        self.tally = Tally(target.name)
        self.findings: list[Finding] = []
        self.heard_at = time.monotonic()

    def look(self) -> bool:
        """Hear what there is to hear; say whether the process goes on."""
        try:
            while self.pipe.poll():
                told = self.pipe.recv()
                self.heard_at = time.monotonic()
                if isinstance(told, Finding):
                    self.findings.append(told)
                else:
                    self.tally = told
        except EOFError:
            self.process.join()
            if self.process.exitcode:
                self._found(f"the process ended with {self.process.exitcode}")
            return False
        if time.monotonic() - self.heard_at < HANG_S:
            return True
        self.process.kill()
        self.process.join()
        self._found(f"hangs, now for {HANG_S:.0f} s")
        return False

    def _found(self, what: str) -> None:
        name = self.tally.target
        self.findings.append(Finding(name, dice_name(name, self._seed, self._done.value), what))


def fuzz(
    targets: list[Target], seed: int, seconds: float, jobs: int
) -> Iterator[tuple[Tally, list[Finding]]]:
    """Play cases of each target for so many seconds, `jobs` of them at a time; yield what came of each."""
    waiting, running = deque(targets), list[Watched]()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(Watched(waiting.popleft(), seed, seconds))
            wait([each.pipe for each in running], timeout=HANG_S)
            for each in list(running):
                if not each.look():
                    running.remove(each)
                    yield each.tally, each.findings
    finally:
        for each in running:
            each.process.kill()


def _play(target: Target, seed: int, seconds: float, parent: Connection, shared: ctypes.c_ulonglong) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    known: set[tuple[str, str]] = set()
    began = told_at = time.monotonic()
    for done, finding in enumerate(cases(target, seed), 1):
        shared.value = done
        if finding is not None and (finding.what, finding.where) not in known and len(known) < FINDINGS:
            known.add((finding.what, finding.where))
            parent.send(finding)
        now = time.monotonic()
        if now - told_at >= _TOLD_EVERY_S or now - began >= seconds:
            told_at = now
            parent.send(Tally(target.name, done, now - began, peak_mib()))
        if now - began >= seconds:
            return
