from __future__ import annotations

import contextlib
import dataclasses
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gwcluster.errors import WireError
from gwcluster.wire.codec import pack
from gwcluster.wire.control import (
    AskPermit,
    Command,
    CommandDone,
    Conditions,
    Exited,
    Fork,
    Forked,
    HostFailed,
    IdentifyRefused,
    Leased,
    Message,
    Permit,
    PermitUnused,
    PermitUsed,
    PresenceChanged,
    Pulse,
    Refused,
    SentAway,
    Signal,
    StateChanged,
    Unframer,
    WithdrawPermit,
    encode,
)
from support.jobs import TOKEN, job

MESSAGES: list[Message] = [
    job(presence={"status": "idle", "activities": []}, include=["READY"], exclude=["TYPING_START"]),
    Permit(10_020.0),
    AskPermit(),
    WithdrawPermit(),
    PermitUsed(0.25),
    PermitUnused(),
    IdentifyRefused(),
    StateChanged("backoff", "no “network”", None),
    Pulse(7, 1, 2, 3, 8, None, 1.5, None, 4, 5, 6, 2**40, "disk full"),
    Pulse(7, 1, 2, 3, 8, 0.1, 1.5, 2.5, 4, 5, 6, 2**40, None, 41.25, 2500, 1e9),
    Leased(123_456.75),
    PresenceChanged(None),
    PresenceChanged({"since": None, "activities": [], "status": "idle", "afk": False}),
    Refused(cluster=True, code=4004, reason="Authentication failed."),
    HostFailed("wss://gateway-us-east1-b.discord.gg"),
    SentAway(),
    Conditions(
        {"wss://gateway-us-east1-b.discord.gg": 10_600.0}, 10_060.0, float("-inf"), "wss://discord.gg"
    ),
    Command(8, 4, {"guild_id": "2909267986263572999", "channel_id": None}, None),
    CommandDone(8, "rate_limited", "once in 30 s", 12.5, None),
    Fork(3),
    Signal(4711, 15),
    Forked(3, 4711),
    Exited(3, 4711, -9),
]
ALL = b"".join(encode(message) for message in MESSAGES)


def framed(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


def read(data: bytes) -> list[Message]:
    return list(Unframer().feed(data))


def test_a_message_is_its_length_and_a_map_with_its_kind() -> None:
    assert encode(Fork(3)) == b"\x00\x00\x00\x12\x82\xa4kind\xa4Fork\xa5shard\x03"


def test_every_kind_is_among_these_examples() -> None:
    assert {type(message) for message in MESSAGES} == set(Message.__args__)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_is_read_as_it_was_sent(message: Message) -> None:
    assert read(encode(message)) == [message]


def test_messages_come_whole_wherever_the_stream_is_cut() -> None:
    for cut in range(len(ALL) + 1):
        unframer = Unframer()
        first, second = list(unframer.feed(ALL[:cut])), list(unframer.feed(ALL[cut:]))
        assert first + second == MESSAGES
        assert b"".join(map(encode, first)) == ALL[: sum(len(encode(message)) for message in first)]


def test_a_message_is_there_with_its_last_byte() -> None:
    unframer, *ends = Unframer(), 0
    counts = [len(list(unframer.feed(ALL[at : at + 1]))) for at in range(len(ALL))]
    for message in MESSAGES:
        ends.append(ends[-1] + len(encode(message)))
    assert [at for at, count in enumerate(counts, start=1) if count] == ends[1:]
    assert sum(counts) == 23


@pytest.mark.parametrize("length", [(1 << 20) + 1, 0xFFFFFFFF])
def test_a_length_beyond_a_mebibyte_is_refused_before_its_body_is_there(length: int) -> None:
    with pytest.raises(WireError, match=f"{length} bytes; at most 1048576"):
        read(struct.pack(">I", length))


def test_a_message_of_a_mebibyte_is_taken() -> None:
    room = (1 << 20) - len(encode(StateChanged("live", "x" * 100_000, None))) + 4 + 100_000
    message = StateChanged("live", "x" * room, None)
    assert len(encode(message)) == 4 + (1 << 20)
    assert read(encode(message)) == [message]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"kind": None},
        {"kind": "Message"},
        {"kind": "fork", "shard": 1},
        {"kind": ["Fork"], "shard": 1},
        {"shard": 1},
    ],
)
def test_an_unknown_kind_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(WireError, match="no known kind"):
        read(framed(pack(fields)))


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "Fork"},
        {"kind": "Fork", "shards": 1},
    ],
)
def test_missing_fields_are_refused_and_the_kind_is_named(fields: dict[str, object]) -> None:
    with pytest.raises(WireError, match=f"a {fields['kind']} message with wrong fields"):
        read(framed(pack(fields)))


def test_what_only_a_newer_worker_knows_is_ignored_so_that_it_can_work_for_an_older_coordinator() -> None:
    assert read(framed(pack({"kind": "Fork", "shard": 1, "later": 2}))) == [Fork(1)]
    assert read(framed(pack({"kind": "AskPermit", "self": 1}))) == [AskPermit()]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": "Fork", "shard": "3"}, "a Fork message whose shard is a str"),
        ({"kind": "Fork", "shard": True}, "whose shard is a bool"),
        ({"kind": "Fork", "shard": 3.0}, "whose shard is a float"),
        ({"kind": "Signal", "pid": None, "signal": 15}, "a Signal message whose pid is a NoneType"),
        ({"kind": "Permit", "until": "now"}, "a Permit message whose until is a str"),
        ({"kind": "Permit", "until": float("nan")}, "a Permit message whose until is a float"),
        ({"kind": "StateChanged", "state": "live", "reason": "", "degraded": 1}, "whose degraded is a int"),
    ],
)
def test_a_field_of_another_type_is_refused_where_it_came_in(fields: dict[str, object], said: str) -> None:
    with pytest.raises(WireError, match=said):
        read(framed(pack(fields)))


def test_a_whole_number_of_seconds_is_a_moment_too() -> None:
    assert read(framed(pack({"kind": "Permit", "until": 10_020}))) == [Permit(10_020)]


@pytest.mark.parametrize(
    "body", [b"", b"\xc0", b"\x81", b"\x91" * 1000 + b"\xc0", b"\x81\xa4kind" + b"\x91" * 1000 + b"\xc0"]
)
def test_a_body_that_is_no_map_is_refused_however_deep_it_is(body: bytes) -> None:
    with pytest.raises(WireError):
        read(framed(body))


def test_the_token_is_in_the_job_and_in_nothing_that_is_said_about_it() -> None:
    sent = encode(job())
    assert TOKEN.encode() in sent
    assert TOKEN not in repr(job())
    fields = dataclasses.asdict(job())
    for body in (sent[4:-1], pack({"kind": "Job", "token": TOKEN}), pack({"token": TOKEN}), pack([fields])):
        with pytest.raises(WireError) as caught:
            read(framed(body))
        assert TOKEN not in str(caught.value)
    assert TOKEN.encode() in sent[4:84]  # within what a message may quote


@given(st.binary(max_size=80), st.integers(0, 80))
@example(b"\x00\x00\x00\x00", 0)
@example(b"\x00\x00\x00\x01\x80", 3)
def test_noise_is_messages_or_a_wire_error_and_nothing_else(noise: bytes, cut: int) -> None:
    for data in (noise, framed(noise), framed(b"\x82\xa4kind" + noise), ALL + noise):
        unframer = Unframer()
        with contextlib.suppress(WireError):
            for part in (data[:cut], data[cut:]):
                assert all(isinstance(message, Message) for message in unframer.feed(part))


@given(st.integers(0, len(ALL) - 1), st.integers(0, 255))
def test_one_wrong_byte_is_another_message_or_a_wire_error(at: int, byte: int) -> None:
    damaged = bytearray(ALL)
    damaged[at] = byte
    with contextlib.suppress(WireError):
        assert all(isinstance(message, Message) for message in read(bytes(damaged)))
