"""What is done to which host or server of several, and when (pure): the same seed is the same plan."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

What = Literal[
    "kill host",  # SIGKILL of all its processes; the kernel ends its connections
    "lose host",  # everything is cut first, as when the power fails: nobody hears of an end
    "kill coordinator",
    "kill nursery",
    "kill worker",
    "kill NATS leader",
    "kill NATS follower",
    "kill subscriber",
    "cut host from NATS",
    "cut host from one server",
    "cut host from everything",
    "stop host",
    "stop NATS leader",
]

KILLS: Final[dict[What, int]] = {
    "kill host": 25,
    "lose host": 15,
    "kill coordinator": 8,
    "kill nursery": 4,
    "kill worker": 13,
    "kill NATS leader": 15,
    "kill NATS follower": 10,
    "kill subscriber": 10,
}
OTHERS: Final[dict[What, int]] = {
    "cut host from NATS": 35,
    "cut host from one server": 20,
    "cut host from everything": 20,
    "stop host": 15,
    "stop NATS leader": 10,
}
NO_SERVER: Final = {what for what in [*KILLS, *OTHERS] if "NATS" not in what and "server" not in what}
"""What can be done where there are no servers."""

KILLS_OF_ALL: Final = 0.65
DOWN_S: Final = (0.5, 10.0)
"""How long a machine that was killed stays away."""

RESETS: Final = 0.3
"""How many of the cuts answer with a reset, rather than with nothing."""


@dataclass(frozen=True, slots=True)
class HostStep:
    """One disturbance.

    Attributes:
        pause_s: before it.
        which: picks one of several, by remainder.
        lasts_s: until it is undone.
        resets: whether what is cut is refused rather than left without answer.
    """

    pause_s: float
    what: What
    which: int
    lasts_s: float
    resets: bool

    @property
    def is_kill(self) -> bool:
        """Whether it counts as one of the kills."""
        return self.what in KILLS


def host_steps(seed: int, kills: int, *, lease_s: float, nats: bool = True) -> Iterator[HostStep]:
    """Iterate over a plan with so many kills; cuts and stops come on top.

    Args:
        lease_s: cuts and stops last from a third of a lease, which nobody should notice, to three of them.
        nats: whether there are servers to which something can be done.
    """
    dice = random.Random(seed)
    while kills > 0:
        is_kill = dice.random() < KILLS_OF_ALL
        kills -= is_kill
        table = {
            what: often for what, often in (KILLS if is_kill else OTHERS).items() if nats or what in NO_SERVER
        }
        what = dice.choices(list(table), list(table.values()))[0]
        yield HostStep(
            pause_s=dice.uniform(0.1, lease_s / 2),
            what=what,
            which=dice.randrange(1 << 20),
            lasts_s=dice.uniform(*DOWN_S) if is_kill else dice.uniform(lease_s / 3, 3 * lease_s),
            resets=dice.random() < RESETS,
        )
