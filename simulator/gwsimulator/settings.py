"""Decides nothing: every knob of the simulator, with Discord-like defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from gwsimulator.vocabulary import CloseCode

MIXES: Final = ("chat", "presence", "guilds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the stand-in Discord behaves. Durations in seconds unless the name says otherwise.

    Sources:
        https://docs.discord.com/developers/events/gateway (limits, windows, intervals)
    """

    shards: int = 4
    """What `/gateway/bot` recommends; guilds are spread evenly over this many. At least 1."""
    guilds: int = 40
    """Guilds of the bot, over all shards."""
    rate: float = 0.0
    """Events per second and shard, from `mix`, before intents leave some out; 0: none.

    They go on while a session has no connection."""
    mix: str = "chat"
    """`chat`, `presence` or `guilds`: which events `rate` and `emit_random` make."""
    seed: int = 1
    """Same seed, same settings: same guilds, same events."""
    port: int = 0
    """Of REST and the gateway; 0: a free one. The resume gateway always takes a free one."""

    token: str | None = None
    """The bot's token; None: any that is not empty."""
    max_concurrency: int = 1
    identify_window_s: float = 5.0
    daily_limit: int = 1000
    """IDENTIFYs per 24 h, all of them counted. One more ends every session and revokes the token."""
    identifies_used: int = 0
    """How many of them are gone at the start."""
    shard_multiple: int = 1
    """A large bot's shard count must be a multiple of this, else 4010."""
    guilds_per_shard_max: int = 2500
    disallowed_intents: int = 0
    """Privileged intents that the bot was not granted: 4014."""

    heartbeat_interval_ms: int = 41_250
    heartbeat_tolerance: float = 0.25
    """A beat may come this fraction of the interval late ..."""
    heartbeat_grace_s: float = 0.25
    """... and this much more, so that a busy machine with a short interval is no violation."""
    late_beat_code: int = CloseCode.UNKNOWN_ERROR
    compressions: frozenset[str] = frozenset({"zlib-stream", "zstd-stream"})
    """Transport compressions a client may ask for; none is always allowed."""
    split_zlib: bool = False
    """Spread each zlib-stream payload over several websocket messages, some within the 00 00 ff ff suffix."""

    ready_delay_s: float = 0.0
    """From an accepted IDENTIFY to READY."""
    invalid_session_delay_s: float = 0.0
    """From a refused IDENTIFY or RESUME to op 9; Discord takes 0 to 5."""
    reconnect_close_after_s: float = 3.0
    """From op 7 to the server's own close 1001."""
    session_ttl_s: float = 180.0
    """How long a session outlives its connection."""
    buffer_events: int | None = None
    """Replay buffer in dispatches; None: max(100, min(3500, 75 x guilds of the shard))."""
    wrong_host_close_after_s: float | None = 60.0
    """A session resumed on the REST host is asked to reconnect (op 7) after this; None: never."""
    send_limit: int = 120
    send_window_s: float = 60.0
    ending_codes: frozenset[int] = field(
        default=frozenset({4004, 4006, 4007, 4009, 4010, 4011, 4012, 4013, 4014})
    )
    """Close codes sent by the server that also end the session; after any other it can be resumed."""
    guild_members: int = 3
    """Members written out in each GUILD_CREATE, ~530 bytes each."""
    guild_channels: int = 4
    """Channels written out in each GUILD_CREATE, ~400 bytes each."""

    keep_dispatches: int = 1_000_000
    """Dispatch records kept in memory, the newest."""
    keep_payload_bytes: int = 256 * 1024 * 1024
    """Payload bytes kept with them; beyond that records carry the digest only."""

    def __post_init__(self) -> None:
        """Refuse what can't be simulated.

        Raises:
            ValueError: naming the setting and the value.
        """
        for name in ("shards", "max_concurrency", "heartbeat_interval_ms", "shard_multiple"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in (
            "guilds",
            "rate",
            "identify_window_s",
            "daily_limit",
            "identifies_used",
            "ready_delay_s",
        ):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, not {getattr(self, name)}")
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port must be 0 to 65535, not {self.port}")
        if self.mix not in MIXES:
            raise ValueError(f"mix must be one of {', '.join(MIXES)}, not {self.mix!r:.80}")
        if self.token is not None and not self.token:
            raise ValueError("token must not be empty; None accepts any")
