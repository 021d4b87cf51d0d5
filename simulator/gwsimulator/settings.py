"""Decides nothing: every knob of the simulator, with Discord-like defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from gwsimulator.vocabulary import CloseCode

MIXES: Final = ("chat", "presence", "guilds")

Counted = Literal["all", "successes"]
WindowOrigin = Literal["attempt", "accept", "ready"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the stand-in Discord behaves. Durations in seconds unless the name says otherwise.

    Where nobody outside Discord knows which of two things it does, there is a setting; a client has to
    survive both.

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
    """IDENTIFYs per 24 h. One more ends every session of the token and revokes it."""
    daily_window: Literal["fixed", "sliding"] = "fixed"
    """Whether those 24 h begin with the first IDENTIFY and end for all of them at once, or end for each."""
    identifies_counted: Counted = "all"
    """Whether an IDENTIFY with a valid token counts whatever it led to, or only when it led to READY."""
    identify_window_from: WindowOrigin = "attempt"
    """What opens a key's window: any IDENTIFY, an accepted one, or its READY."""
    bucket_order: bool = False
    """Whether op 9 answers a shard's first IDENTIFY while one of an earlier bucket never identified."""
    identifies_used: int = 0
    """How many of them are gone at the start."""
    shard_multiple: int = 1
    """A large bot's shard count must be a multiple of this, else 4010."""
    guilds_per_shard_max: int = 2500
    disallowed_intents: int = 0
    """Privileged intents that the bot was not granted: 4014."""
    missing_intents: Literal["close", "second_hello"] = "close"
    """IDENTIFY without intents: 4013, or another HELLO and then nothing."""
    missing_properties_code: int = CloseCode.UNKNOWN_OPCODE
    bad_large_threshold: Literal["clamp", "close"] = "clamp"
    """A large_threshold outside 50 to 250 is forgiven, or 4001."""
    rest_limit: int = 50
    """REST requests per second; more are 429."""
    invalid_answers_max: int = 10_000
    """Answers 401, 403 and 429 within 10 minutes; after more of them everything is 403."""

    heartbeat_interval_ms: int = 41_250
    heartbeat_tolerance: float = 0.25
    """A beat may come this fraction of the interval late ..."""
    heartbeat_grace_s: float = 0.25
    """... and this much more, so that a busy machine with a short interval is no violation."""
    late_beat_code: int | None = CloseCode.UNKNOWN_ERROR
    """None: the connection is reset."""
    compressions: frozenset[str] = frozenset({"zlib-stream", "zstd-stream"})
    """Transport compressions a client may ask for; none is always allowed."""
    unknown_compression: Literal["ignore", "close"] = "ignore"
    """Another one is taken as none, or closed with 4000."""
    max_payload_bytes: int = 4096
    """A client's larger message is 4002. Some have measured 15 KiB."""
    terse: bool = False
    """Leave out the keys that are null in messages that are no dispatches."""
    shuffle_keys: bool = False
    """Write keys in any order, with some more, with whitespace, and letters as \\u escapes."""
    fragment: bool = False
    """Send some websocket messages in fragments, with pings between some of those."""
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
    wrong_host_drops: bool = False
    """It is dropped without being asked."""
    foreign_session_code: int | None = None
    """RESUME of a session of another token, itself valid; None: op 9."""
    takeover_code: int | None = CloseCode.UNKNOWN_ERROR
    """Closes the connection from which a session is resumed away; None: a reset."""
    heartbeat_trims: bool = False
    """Whether a heartbeat's `d` frees the replay buffer up to it."""
    resumed_has_seq: bool = True
    """Whether RESUMED takes a sequence number; otherwise its `s` is null."""
    send_limit: int = 120
    send_window_s: float = 60.0
    ending_codes: frozenset[int] = field(
        default=frozenset({4004, 4006, 4007, 4009, 4010, 4011, 4012, 4013, 4014})
    )
    """Close codes sent by the server that also end the session; after any other it can be resumed."""
    guild_rate: float = 0.0
    """GUILD_CREATEs per second after READY, other events in between; 0: all at once."""
    unavailable_guilds: int = 0
    """So many of a shard's guilds first come as GUILD_DELETE with `unavailable` ..."""
    guild_recovery_s: float | None = 30.0
    """... and are there after this; None: never."""
    stub_guilds: int = 0
    """So many of a shard's guilds, after those, come as a GUILD_CREATE that says only `unavailable`."""
    guild_size: int | None = None
    """Members of each guild, as `member_count` and op 8 tell; None: `guild_members`."""
    members_limit_per: Literal["bot", "session"] = "bot"
    """Whose requests for all members of a guild are limited to one in 30 s."""
    members_without_intent_code: int | None = None
    """Op 8 for more than the intents cover; None: no answer."""
    presence_limit: Literal["ignore", "close"] = "ignore"
    """More than 5 op 3 in 20 s: without effect, or 4008."""
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
            "guild_rate",
            "unavailable_guilds",
            "stub_guilds",
        ):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, not {getattr(self, name)}")
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port must be 0 to 65535, not {self.port}")
        if self.mix not in MIXES:
            raise ValueError(f"mix must be one of {', '.join(MIXES)}, not {self.mix!r:.80}")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} must be one of {', '.join(choices)}, not {getattr(self, name)!r:.80}"
                )
        if self.token is not None and not self.token:
            raise ValueError("token must not be empty; None accepts any")


_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "daily_window": ("fixed", "sliding"),
    "identifies_counted": get_args(Counted),
    "identify_window_from": get_args(WindowOrigin),
    "missing_intents": ("close", "second_hello"),
    "bad_large_threshold": ("clamp", "close"),
    "unknown_compression": ("ignore", "close"),
    "members_limit_per": ("bot", "session"),
    "presence_limit": ("ignore", "close"),
}
