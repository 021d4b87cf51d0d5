"""F20 to F25 and F29: compressed streams that are cut, glued, broken, ended, or mixed with plain text.

One inflater per connection, never another for the same and never the same for another:
https://docs.discord.com/developers/events/gateway#transport-compression
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from gwsimulator.faults import Mangle
from gwsimulator.streams import BINARY, Stream, frame
from gwsimulator.wire import Wire
from support.scene import Scene, stage

COMPRESSIONS = ["zstd-stream", "zlib-stream", "none"]
EACH = pytest.mark.parametrize("compression", COMPRESSIONS)
COMPRESSED = pytest.mark.parametrize("compression", ["zstd-stream", "zlib-stream"])


def asking_for(compression: str) -> dict[str, Any]:
    return {"gateway": {"compression": compression}}


def emit(scene: Scene, count: int) -> None:
    """Let `count` events of some size happen, no two of them alike."""
    for number in range(count):
        scene.sim.emit("MESSAGE_CREATE", {"id": str(number), "content": f"Grüße {number * 7919} " * 20})


def the_wire(scene: Scene) -> Wire:
    """Return the simulator's side of the one connection."""
    (wire,) = scene.sim._wires.values()
    return wire


def assert_undisturbed(scene: Scene, last: int) -> None:
    """Everything up to a seq came on the first connection."""
    assert scene.seqs() == list(range(1, last + 1))
    assert len(scene.sim.ledger.connections) == 1
    assert scene.sim.ledger.closes == []


async def resumed_from(scene: Scene, seq: int) -> None:
    """Wait for the RESUME; assert that it was the only one, from this seq, and cost nothing else."""
    (resume,) = await scene.until(lambda: scene.sim.ledger.resumes)
    await scene.live()
    assert (resume.seq, resume.outcome) == (seq, "resumed")
    assert [one.code for one in scene.sim.ledger.closes if one.by == "client"] == [4900]
    assert len(scene.sim.ledger.connections) == 2
    assert len(scene.sim.ledger.identifies) == 1


async def resumed_again(scene: Scene, times: int) -> None:
    """Wait until there were so many RESUMEs, and the shard is live."""
    await scene.until(lambda: len(scene.sim.ledger.resumes) == times)
    await scene.live()


# Cut and glued


class Pieces(Stream):
    """Each payload of another stream in so many messages."""

    def __init__(self, whole: Stream, count: int) -> None:
        self._whole = whole
        self._count = count

    def frames(self, payload: bytes) -> bytes:
        made = self._whole.frames(payload)
        data = made[{126: 4, 127: 10}.get(made[1], 2) :]
        inside_the_suffix = len(data) - 2
        cuts = sorted({len(data) * index // self._count for index in range(1, self._count - 1)})
        starts = [0, *cuts, inside_the_suffix]
        ends = [*cuts, inside_the_suffix, len(data)]
        return b"".join(frame(data[a:b], BINARY) for a, b in zip(starts, ends, strict=True))

    def last_frames(self, payload: bytes) -> bytes:
        return self._whole.last_frames(payload)

    def bomb(self, size: int) -> bytes:
        return self._whole.bomb(size)


def test_f20_a_zlib_payload_in_seven_messages_one_split_inside_the_suffix_is_one_dispatch(
    tmp_path: Path,
) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        wire = the_wire(scene)
        wire.stream = Pieces(wire.stream, 7)
        emit(scene, 1)
        await scene.settled()
        assert_undisturbed(scene, 4)
        emit(scene, 50)
        await scene.settled()
        assert_undisturbed(scene, 54)

    stage(tmp_path, play)


@pytest.mark.parametrize("bytes_per_s", [None, 3000.0])
@pytest.mark.parametrize("fragment", [False, True])
def test_f20_messages_cut_anywhere_hello_included_are_put_together_however_slowly_they_come(
    tmp_path: Path, fragment: bool, bytes_per_s: float | None
) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.drip(0, bytes_per_s)
        emit(scene, 100)
        await scene.until(lambda: len(scene.seqs()) == 103)
        await scene.run_for(90.0)
        assert_undisturbed(scene, 103)

    stage(tmp_path, play, split_zlib=True, fragment=fragment)


@EACH
def test_f20_websocket_fragments_and_pings_between_them_are_no_payloads(
    tmp_path: Path, compression: str
) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        emit(scene, 200)
        scene.sim.ping(0, 5)
        emit(scene, 1)
        await scene.settled()
        assert_undisturbed(scene, 204)

    stage(tmp_path, play, config=asking_for(compression), fragment=True)


@EACH
def test_f21_two_payloads_in_one_message_are_two_dispatches(tmp_path: Path, compression: str) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.emit_glued(
            ("MESSAGE_CREATE", {"content": '}{"t":"READY"'}),
            ("TYPING_START", {"user_id": "1"}),
            ("MESSAGE_DELETE", {"id": "7"}),
        )
        emit(scene, 2)
        await scene.settled()
        assert_undisturbed(scene, 8)
        names = [message.name for message in scene.events()[3:6]]
        assert names == ["MESSAGE_CREATE", "TYPING_START", "MESSAGE_DELETE"]

    stage(tmp_path, play, config=asking_for(compression))


# Broken


@EACH
@pytest.mark.parametrize("at", [500, 4])
def test_f22_a_broken_payload_is_not_skipped_but_resumed_from_the_one_before(
    tmp_path: Path, compression: str, at: int
) -> None:
    # Neither stream has a checksum, so some flipped bits give JSON that says something else and can't be
    # told by anybody; this one is in the header of a block, or of a text frame's first byte.
    async def play(scene: Scene) -> None:
        await scene.live()
        emit(scene, at - 4)
        scene.sim.mangle(0, "corrupt")
        emit(scene, 100)
        await resumed_from(scene, at - 1)
        emit(scene, 5)
        await scene.settled()
        assert scene.seqs()[:at] == list(range(1, at + 1))
        assert len(scene.seqs()) == at - 1 + 100 + 1 + 5, "and RESUMED"
        assert "can't be read" in scene.story("WARNING")

    stage(tmp_path, play, config=asking_for(compression), buffer_events=1000)


@EACH
def test_f22_a_heartbeat_does_not_count_what_was_broken(tmp_path: Path, compression: str) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        for number in range(1, 4):
            emit(scene, 10)
            scene.sim.mangle(0, "corrupt")
            emit(scene, 2)
            scene.sim.op1(0)
            await resumed_again(scene, number)
        # 10 came and 2 are replayed each time, and RESUMED takes a number of its own.
        assert [one.seq for one in scene.sim.ledger.resumes] == [13, 26, 39]
        assert scene.sim.ledger.beats == [], "op 1 is read by nobody after that"
        scene.sim.op1(0)
        await scene.settled()
        assert scene.sim.ledger.beats[-1].seq == scene.seqs()[-1] == 42

    stage(tmp_path, play, config=asking_for(compression))


# Streams that don't end, and those that do


@EACH
def test_f23_a_thousand_messages_of_one_unfinished_stream_come_each_at_once(
    tmp_path: Path, compression: str
) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        for last in range(4, 24):
            emit(scene, 1)
            await scene.settled()
            assert scene.seqs()[-1] == last, "without waiting for another one"
        emit(scene, 1000)
        await scene.settled()
        assert_undisturbed(scene, 1023)

    stage(tmp_path, play, config=asking_for(compression))


@COMPRESSED
def test_f24_a_stream_that_ends_before_its_connection_is_a_fault_and_resumed(
    tmp_path: Path, compression: str
) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        emit(scene, 7)
        scene.sim.mangle(0, "end_stream")
        emit(scene, 10)
        await resumed_from(scene, 10)
        await scene.settled()
        assert scene.seqs() == list(range(1, 22))
        assert "stream ended" in scene.story("WARNING")

    stage(tmp_path, play, config=asking_for(compression))


@COMPRESSED
def test_f25_each_connection_begins_its_stream_anew(tmp_path: Path, compression: str) -> None:
    # An inflater that was kept would take the next connection's first bytes for more of the last one's.
    async def play(scene: Scene) -> None:
        await scene.live()
        for number in range(1, 6):
            emit(scene, 20)
            await scene.settled()
            scene.sim.abort(0)
            await resumed_again(scene, number)
        assert len(scene.sim.ledger.connections) == 6, "one for each end"
        assert scene.seqs() == list(range(1, 4 + 5 * 21))
        assert len(scene.sim.ledger.identifies) == 1

    stage(tmp_path, play, config=asking_for(compression))


@COMPRESSED
def test_f25_a_payload_that_was_cut_by_the_end_of_its_connection_is_no_part_of_the_next(
    tmp_path: Path, compression: str
) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.drip(0, 100.0)
        scene.sim.emit("MESSAGE_CREATE", {"content": random.Random(1).randbytes(2000).hex()})
        await scene.run_for(3.0)
        assert scene.seqs() == [1, 2, 3]
        scene.sim.abort(0)
        (resume,) = await scene.until(lambda: scene.sim.ledger.resumes)
        await scene.live()
        assert resume.seq == 3
        assert scene.seqs() == [1, 2, 3, 4, 5]

    stage(tmp_path, play, config=asking_for(compression), split_zlib=True)


# Text beside the compression


@COMPRESSED
def test_f29_text_on_a_compressed_connection_is_read_as_it_is(tmp_path: Path, compression: str) -> None:
    # "Payload compression will be disabled if you use transport compression", so text is plain.
    # https://docs.discord.com/developers/events/gateway#payload-compression
    async def play(scene: Scene) -> None:
        await scene.live()
        for number in range(20):
            scene.sim.mangle(0, "text") if number % 3 else None
            emit(scene, 1)
        await scene.settled()
        assert_undisturbed(scene, 23)
        scene.sim.send_raw(0, '{"op":1}', text=True)
        await scene.settled()
        assert scene.sim.ledger.beats[-1].seq == 23

    stage(tmp_path, play, config=asking_for(compression))


@pytest.mark.parametrize("text", [b"", b"hello", b'{"t":"MESSAGE_CREATE","s":4,"op":0,"d":', b"\xff\xfe"])
@COMPRESSED
def test_f29_text_that_is_no_payload_ends_the_connection_each_time(
    tmp_path: Path, compression: str, text: bytes
) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        for number in (1, 2):
            scene.sim.send_raw(0, text, text=True)
            await resumed_again(scene, number)
        assert [one.seq for one in scene.sim.ledger.resumes] == [3, 4]
        assert len(scene.sim.ledger.identifies) == 1

    stage(tmp_path, play, config=asking_for(compression))


@COMPRESSED
@pytest.mark.parametrize("data", [b'{"op":11}', b"\x78\x9c", b"\x00" * 40], ids=["JSON", "zlib", "zeros"])
def test_f29_binary_that_is_none_of_the_stream_ends_the_connection(
    tmp_path: Path, compression: str, data: bytes
) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        emit(scene, 1)
        await scene.settled()
        scene.sim.send_raw(0, data, text=False)
        emit(scene, 3)
        await resumed_from(scene, 4)
        assert scene.seqs() == list(range(1, 9))

    stage(tmp_path, play, config=asking_for(compression))


def test_f29_binary_on_a_connection_without_compression_is_read_as_it_is(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.send_raw(0, '{"op":1}', text=False)
        emit(scene, 1)
        await scene.settled()
        assert scene.sim.ledger.beats[-1].seq == 3
        assert_undisturbed(scene, 4)

    stage(tmp_path, play, config=asking_for("none"))


UNREADABLE: list[Mangle] = ["truncate", "invalid_utf8"]


@EACH
@pytest.mark.parametrize("how", UNREADABLE)
def test_f28_a_payload_that_is_no_json_or_no_utf8_is_resumed_from_the_one_before(
    tmp_path: Path, compression: str, how: Mangle
) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        emit(scene, 7)
        scene.sim.mangle(0, how)
        emit(scene, 10)
        await resumed_from(scene, 10)
        await scene.settled()
        assert scene.seqs() == list(range(1, 22))

    stage(tmp_path, play, config=asking_for(compression))
