"""Decides (pure): what is measured in which mode."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Plan:
    """How long, how often and how much.

    Attributes:
        runs: of everything, one program after the other in each.
        cost: mixes and transports at full rate.
        cost_s: seconds of each, after warming up.
        load_s: seconds at the usual load.
        latency: events/s → seconds.
        shards: of the memory measurement.
        start_shards: program → shards of a start with 2,500 guilds on each; others: `""`.
        kills: of gwcluster's workers.
        peer_kills: of a peer's process.
        rate_s: seconds of each step of the search for the highest rate.
    """

    runs: int
    cost: tuple[tuple[str, str], ...]
    cost_s: float
    load_s: float
    latency: dict[int, float]
    shards: tuple[int, ...]
    start_shards: dict[str, tuple[int, ...]]
    kills: int
    peer_kills: int
    rate_s: float
    load_shards: int = 64
    """With 20 events/s each, the usual load; and so many resume when the coordinator has been killed."""
    start: tuple[int, int] = (64, 16)
    """Shards and `max_concurrency` of a start."""
    kill_shards: int = 24
    """Of a cluster whose workers are killed, each once: who dies again soon is made to wait."""
    warm_s: float = 2.0
    """Before each measurement, with the same traffic: Node compiles what runs often."""
    settle_s: float = 1.0
    """From READY to the first event."""
    idle_s: float = 8.0
    """Before memory is looked at."""
    programs: tuple[str, ...] = ()
    """Unless others are asked for; none: all."""
    slow: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Measure → the only programs of it, unless somebody asks for measures or programs by name."""


FULL: Final = Plan(
    runs=3,
    cost=(
        ("chat", "zlib-stream"),
        ("chat", "zstd-stream"),
        ("chat", "none"),
        ("presence", "zlib-stream"),
        ("presence", "zstd-stream"),
        ("guilds", "zlib-stream"),
        ("guilds", "zstd-stream"),
    ),
    cost_s=5.0,
    load_s=15.0,
    latency={10: 30.0, 100: 20.0, 2_000: 5.0},
    shards=(1, 16, 64),
    # discord.py keeps guilds by id, and each shard gets the same ones.
    start_shards={"gwcluster": (16, 64), "discord.py": (1,), "": (16,)},
    kills=24,
    peer_kills=5,
    rate_s=2.0,
)

QUICK: Final = Plan(
    runs=1,
    cost=(("chat", "zlib-stream"),),
    cost_s=2.0,
    load_s=6.0,
    latency={2_000: 2.0},
    shards=(64,),
    start_shards={"": ()},
    kills=8,
    peer_kills=3,
    rate_s=1.0,
    programs=("gwcluster", "discord.py", "hikari", "discordjs", "discordeno", "cloudstorm"),
    slow={"start": ("gwcluster",), "recovery": ("gwcluster",), "rate": ()},
)

EVENTS_PER_S: Final = {"chat": 10_000, "presence": 10_000, "guilds": 200}
"""Full rate, on one shard."""

BURSTS_PER_S: Final = 50
"""At full rate events come in bursts, as they do where somebody reads what has gathered."""

LOAD_RATE: Final = 20.0
"""Of each shard, the usual load."""

MEASURES: Final = {
    "cost": "CPU per event at full rate, one shard",
    "load": "CPU per event at the usual load, 64 shards with 20 events/s each",
    "rate": "Highest rate without loss, one shard",
    "memory": "Memory (PSS of all processes)",
    "latency": "From the gateway's send to the subscriber's receipt, one shard",
    "start": "From the start to the last READY, 64 shards, max_concurrency 16",
    "recovery": "From SIGKILL to the session's going on",
}
