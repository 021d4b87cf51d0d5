from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from gwworker.frames import cut, length

MESSAGES = st.lists(st.tuples(st.booleans(), st.binary(max_size=300)), max_size=8)


def serialized(text: bool, data: bytes) -> bytes:
    return Frame(Opcode.TEXT if text else Opcode.BINARY, data).serialize(mask=False)


def cut_all(data: bytes, at: int = 0) -> tuple[list[tuple[bool, bytes]], int]:
    messages: list[tuple[bool, bytes]] = []
    return messages, cut(data, at, messages)


@given(MESSAGES, st.binary(max_size=20))
def test_whole_messages_are_cut_out_as_they_were_framed(
    messages: list[tuple[bool, bytes]], before: bytes
) -> None:
    data = before + b"".join(serialized(*message) for message in messages)
    assert cut_all(data, len(before)) == (messages, len(data))


@given(MESSAGES, st.booleans(), st.binary(max_size=300), st.data())
def test_a_frame_that_is_not_all_there_stays(
    messages: list[tuple[bool, bytes]], text: bool, last: bytes, draw: st.DataObject
) -> None:
    whole = b"".join(serialized(*message) for message in messages)
    frame = serialized(text, last)
    there = draw.draw(st.integers(0, len(frame) - 1))
    assert cut_all(whole + frame[:there]) == (messages, len(whole))
    assert length(frame[:there], 0) in {None, len(frame)}
    assert length(whole + frame, len(whole)) == len(frame)


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_the_length_of_a_frame_is_that_of_its_bytes(size: int) -> None:
    frame = serialized(False, bytes(size))
    assert length(frame, 0) == len(frame)


@pytest.mark.parametrize(
    "frame",
    [
        Frame(Opcode.PING, b"").serialize(mask=False),
        Frame(Opcode.CLOSE, b"").serialize(mask=False),
        Frame(Opcode.TEXT, b"a", fin=False).serialize(mask=False),
        Frame(Opcode.CONT, b"b").serialize(mask=False),
        serialized(False, bytes(65_536)),  # longer than a read
        b"\x82\x81\0\0\0\0a",  # masked, as no server may
        b"\xc2\x01a",  # of an extension that nobody asked for
        b"\x83\x01a",  # an opcode that there isn't
    ],
)
def test_everything_else_is_left_to_the_core(frame: bytes) -> None:
    first = serialized(True, b"first")
    assert cut_all(first + frame) == ([(True, b"first")], len(first))


@pytest.mark.parametrize("refused", [b"\x82\x81", b"\x89\xff", b"\xff\xff"])
def test_a_masked_frame_needs_no_more_than_its_first_two_bytes(refused: bytes) -> None:
    assert length(refused, 0) == 2
    core = ClientProtocol(parse_uri("ws://localhost/"), state=State.OPEN)
    core.receive_data(refused)
    assert core.parser_exc is not None, "two bytes are enough for the core to refuse it"
