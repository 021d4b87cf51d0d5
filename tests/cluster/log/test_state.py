from __future__ import annotations

import json

import pytest

from gwcluster.errors import LogError
from gwcluster.log.record import EVENT, MARKER, START, Scan, encode, encode_hole
from gwcluster.log.state import State, decode_start, encode_start

STATE = State("0123456789abcdef", 3, 16, "boot-1", 7, 2, 40, {"READY": 0, "RESUMED": 6}, 5)


def decode(data: bytes) -> State | None:
    return decode_start(next(iter(Scan(data))), data)


def apply(state: State, *records: bytes) -> State:
    data = b"".join(records)
    for entry in Scan(data):
        state.apply(entry, data)
    return state


def event(name: bytes, offset: int, seq: int | None) -> bytes:
    return b"".join(encode(EVENT, name, b"", b"", 2, offset, seq, 10_000.0))


def fresh() -> State:
    return State("0123456789abcdef", 3, 16, "boot-1")


def test_a_segment_begins_with_the_whole_state() -> None:
    assert decode(encode_start(STATE, 10_000.0)) == STATE
    assert decode(encode_start(fresh(), 10_000.0)) == fresh()


def test_events_move_the_offset_the_seq_and_their_names_last_offset() -> None:
    state = apply(fresh(), event(b"READY", 0, 1), event(b"TYPING_START", 1, 2), event(b"READY", 2, None))
    assert (state.next_offset, state.session, state.seq) == (3, 2, 2)
    assert state.last_offsets == {"READY": 2, "TYPING_START": 1}


def test_a_marker_moves_the_seq_and_nothing_else() -> None:
    state = apply(fresh(), b"".join(encode(MARKER, b"", b"", b"", 2, 0, 99, 10_000.0)))
    assert (state.next_offset, state.session, state.seq, state.last_offsets) == (0, 2, 99, {})


def test_behind_a_hole_every_chain_hangs_on_the_holes_last_offset() -> None:
    state = apply(fresh(), event(b"READY", 0, 1), encode_hole(1, 9, 10_000.0))
    assert (state.next_offset, state.last_offsets, state.floor) == (10, {"READY": 9}, 9)


def test_of_more_names_than_there_is_room_for_those_that_came_the_longest_ago_count_from_the_floor() -> None:
    state = apply(fresh(), *(event(b"N%d" % number, number, None) for number in range(512)))
    assert (len(state.last_offsets), state.floor) == (512, None)
    apply(state, event(b"N0", 512, None), event(b"ONE_MORE", 513, None))
    assert len(state.last_offsets) == 385
    assert state.floor == 128, "N0 came again, so N1 to N128 are those that came the longest ago"
    assert {"N0": 512, "N129": 129, "ONE_MORE": 513}.items() <= state.last_offsets.items()
    assert decode(encode_start(state, 10_000.0)) == state


def test_the_floor_of_a_hole_is_not_lowered_by_names_that_are_forgotten() -> None:
    state = apply(fresh(), event(b"READY", 0, 1), encode_hole(1, 9, 10_000.0))
    state.last_offsets |= {f"N{number}": 0 for number in range(511)}
    apply(state, event(b"ONE_MORE", 10, None))
    assert state.floor == 9


def test_a_beginning_with_more_names_than_that_is_read_and_cut_when_another_comes() -> None:
    state = fresh()
    state.last_offsets, state.next_offset = {f"N{number}": number for number in range(2000)}, 2000
    found = decode(encode_start(state, 10_000.0))
    assert found is not None
    apply(found, event(b"ONE_MORE", 2000, None))
    assert (len(found.last_offsets), found.floor) == (385, 1615)


@pytest.mark.parametrize(
    "changed",
    [
        {"epoch": "x"},
        {"epoch": None},
        {"shard": "3"},
        {"shard": float("inf")},
        {"shards": True},
        {"boot": 1},
        {"floor": -1},
        {"floor": 7},
        {"names": []},
        {"names": {"READY": 7}},  # the segment begins with offset 7
        {"names": {"READY": 10**30}},
        {"names": {"READY": 0.5}},
        {"names": {"READY": None}},
    ],
)
def test_a_beginning_that_no_writer_writes_is_none(changed: dict[str, object]) -> None:
    begun = next(iter(Scan(encode_start(STATE, 10_000.0))))
    fields = json.loads(encode_start(STATE, 10_000.0)[begun.payload :])
    payload = json.dumps(fields | changed).encode()
    assert decode(b"".join(encode(START, b"", b"", payload, 2, 7, 40, 10_000.0))) is None
    same = json.dumps(fields).encode()
    assert decode(b"".join(encode(START, b"", b"", same, 2, 7, 40, 10_000.0))) == STATE


def test_a_beginning_too_deep_for_python_is_none() -> None:
    assert decode(b"".join(encode(START, b"", b"", b"[" * 100_000, 2, 7, 40, 10_000.0))) is None


def test_a_newer_format_is_refused_and_not_mistaken_for_damage() -> None:
    newer = b"".join(encode(START, b"", b"", b'{"format":2}', 0, 0, None, 10_000.0))
    with pytest.raises(LogError, match="format 2"):
        decode(newer)


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b"{", b"\xff", b"{}", json.dumps({"format": 1, "names": []}).encode()]
)
def test_a_beginning_without_its_fields_is_unreadable(payload: bytes) -> None:
    assert decode(b"".join(encode(START, b"", b"", payload, 0, 0, None, 10_000.0))) is None


def test_an_event_is_no_beginning() -> None:
    assert decode(event(b"READY", 0, 1)) is None
