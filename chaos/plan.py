"""What is done to whom, and when (pure): the same seed is the same plan."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

RARE: Final = "GUILD_ROLE_UPDATE"
"""An event that nothing else sends."""

KILLED: Final = (("worker", 50), ("subscriber", 25), ("coordinator", 15), ("nursery", 10))
STOPPED: Final = (("worker", 40), ("subscriber", 40), ("coordinator", 15), ("nursery", 5))
FAULTS: Final = (
    ("op7", 20),
    ("op9", 10),
    ("close", 20),
    ("abort", 20),
    ("eof", 10),
    ("corrupt", 10),
    ("duplicate", 10),
    ("op1", 10),
    ("stall", 5),
    ("resume_host_down", 5),
)
KINDS: Final = (("kill", 60), ("stop", 12), ("fault", 28))
"""How often each of them comes, in proportion."""

PAUSE_S: Final = (0.05, 0.6)
STOP_S: Final = (0.1, 2.5)
RESUMABLE_CODES: Final = (1001, 1011, 4000, 4002, 4999)
"""Close codes after which the session goes on, so that nothing may be lost."""


@dataclass(frozen=True, slots=True)
class Step:
    """One disturbance.

    Attributes:
        pause_s: before it.
        kind: `kill` (SIGKILL), `stop` (SIGSTOP, and SIGCONT after `lasts_s`), or `fault`, of the gateway.
        what: which process, or which fault.
        which: picks one of several, by remainder: workers, subscribers, shards.
        code: for the fault `close`.
    """

    pause_s: float
    kind: str
    what: str
    which: int
    lasts_s: float
    code: int


def steps(seed: int, kills: int) -> Iterator[Step]:
    """Iterate over a plan with so many kills; stops and faults come on top."""
    dice = random.Random(seed)
    while kills > 0:
        kind = _pick(dice, KINDS)
        kills -= kind == "kill"
        what = _pick(dice, {"kill": KILLED, "stop": STOPPED, "fault": FAULTS}[kind])
        yield Step(
            pause_s=dice.uniform(*PAUSE_S),
            kind=kind,
            what=what,
            which=dice.randrange(1 << 20),
            lasts_s=dice.uniform(*STOP_S),
            code=dice.choice(RESUMABLE_CODES),
        )


def _pick(dice: random.Random, weighted: tuple[tuple[str, int], ...]) -> str:
    return dice.choices([name for name, _ in weighted], [weight for _, weight in weighted])[0]
