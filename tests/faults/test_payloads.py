"""F26, F27 and F30: payloads that are large, that would be, and that nobody has heard of.

Discord states no bound for what it sends; a GUILD_CREATE of 5.6 MB was seen.
https://docs.discord.com/developers/events/gateway#transport-compression
"""

from __future__ import annotations

import random
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from gwworker.gateway_link import MAX_MESSAGE_BYTES
from gwworker.inflate import ZlibStream, ZstdStream
from support.scene import Scene, stage

MIB = 1 << 20
EACH = pytest.mark.parametrize("compression", ["zstd-stream", "zlib-stream", "none"])
COMPRESSED = pytest.mark.parametrize("compression", ["zstd-stream", "zlib-stream"])


def asking_for(compression: str) -> dict[str, Any]:
    return {"gateway": {"compression": compression}}


# Large


@EACH
@pytest.mark.parametrize("size", [MIB + 1, 6_000_000])
def test_f26_a_guild_of_6_mb_arrives_whole_and_on_the_same_connection(
    tmp_path: Path, compression: str, size: int
) -> None:
    # The defaults of websocket libraries stop at 1 or 4 MiB, and close with 1009. What can't be
    # compressed is as large on the wire: hex digits halve at best.
    body = random.Random(1).randbytes(size if compression != "none" else size // 2).hex()

    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.emit("GUILD_CREATE", b'{"id":"1","members":"' + body.encode() + b'"}')
        scene.sim.emit("TYPING_START", {"user_id": "1"})
        await scene.until(lambda: len(scene.seqs()) == 5)
        (guild,) = [one for one in scene.events("GUILD_CREATE") if len(one.payload) > MIB]
        assert len(guild.payload) > size
        assert scene.seqs() == [1, 2, 3, 4, 5]
        assert len(scene.sim.ledger.connections) == 1
        assert scene.sim.ledger.closes == []

    stage(tmp_path, play, config=asking_for(compression))


def test_f26_a_message_may_have_64_mib() -> None:
    assert MAX_MESSAGE_BYTES == 64 * MIB


def test_f26_a_message_beyond_the_bound_is_refused_by_its_header_and_the_session_kept(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.send_frames(0, b"\x82\x7f" + (64 * MIB + 1).to_bytes(8, "big") + bytes(100))
        (resume,) = await scene.until(lambda: scene.sim.ledger.resumes, within_s=5.0)
        await scene.live()
        assert (resume.seq, resume.outcome) == (3, "resumed")
        assert "more than 64 MiB" in scene.story("WARNING")
        assert len(scene.sim.ledger.identifies) == 1

    stage(tmp_path, play)


# Small, and large when inflated


@COMPRESSED
def test_f27_a_bomb_is_not_inflated_beyond_the_bound_and_the_session_kept(
    tmp_path: Path, compression: str
) -> None:
    # DEFLATE reaches 1,027:1 and zstd more: a gibibyte fits well into a message that may come.
    async def play(scene: Scene) -> None:
        await scene.live()
        drive = scene.worker(0).drive
        assert drive is not None
        inflater = drive._line.inflater
        assert isinstance(inflater, ZlibStream | ZstdStream)
        assert inflater._max == 256 * MIB
        inflater._max = 8 * MIB  # the same, sooner
        tracemalloc.start()
        scene.sim.bomb(0, 100 * MIB)
        (resume,) = await scene.until(lambda: scene.sim.ledger.resumes)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        await scene.live()
        assert peak < 20 * MIB, "the blocks of the bound, and what they are joined to"
        assert (resume.seq, resume.outcome) == (3, "resumed")
        assert [one.code for one in scene.sim.ledger.closes if one.by == "client"] == [4900]
        assert "more than 8388608 bytes" in scene.story("WARNING")
        assert len(scene.sim.ledger.identifies) == 1

    stage(tmp_path, play, config=asking_for(compression))


# Unheard of


@EACH
def test_f30_an_opcode_that_nobody_knows_is_ignored_and_said(tmp_path: Path, compression: str) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        for op, d in ((99, None), (12, {}), (-1, []), (2**70, "x"), (2, None), (6, {}), (5, 0)):
            scene.sim.send_op(0, op, d)
        scene.sim.emit("TYPING_START", {"user_id": "1"})
        await scene.settled()
        assert scene.seqs() == [1, 2, 3, 4]
        assert len(scene.sim.ledger.connections) == 1
        assert len(scene.sim.ledger.frames) <= 2, "and nothing is answered"
        assert scene.story("WARNING").count("unknown opcode") == 7
        scene.sim.send_op(0, 99)
        await scene.run_for(5.0)
        assert scene.story("WARNING").count("unknown opcode") == 7, "said once for each, and counted"
        pulse = scene.crew.board.views[0].pulse
        assert pulse is not None
        assert pulse.unknown_ops == 8

    stage(tmp_path, play, config=asking_for(compression))


@EACH
@pytest.mark.parametrize("name", ["SOMETHING_NEW", "GUILD_CREATE_2", "X", "lower_case"])
def test_f30_an_event_that_nobody_knows_is_handed_out_like_any_other(
    tmp_path: Path, compression: str, name: str
) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.emit(name, {"shape": [None, 1.5, {"of": "anything"}]})
        scene.sim.emit(name, None)
        scene.sim.emit(name, b'"text"')
        await scene.settled()
        assert [message.header["seq"] for message in scene.events(name)] == [4, 5, 6]
        assert len(scene.sim.ledger.connections) == 1

    stage(tmp_path, play, config=asking_for(compression))


NO_PAYLOAD = [
    "[]",
    "null",
    "7",
    '"text"',
    "{}",
    '{"op":null}',
    '{"op":"0"}',
    '{"op":0,"t":null,"s":1,"d":{}}',
]


@EACH
@pytest.mark.parametrize("said", NO_PAYLOAD)
def test_f28_json_that_is_no_payload_ends_the_connection_but_not_the_session(
    tmp_path: Path, compression: str, said: str
) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.send_raw(0, said)
        (resume,) = await scene.until(lambda: scene.sim.ledger.resumes)
        await scene.live()
        assert (resume.seq, resume.outcome) == (3, "resumed")
        assert [one.code for one in scene.sim.ledger.closes if one.by == "client"] == [4900]
        assert len(scene.sim.ledger.identifies) == 1

    stage(tmp_path, play, config=asking_for(compression))


@EACH
def test_f28_text_that_is_no_utf8_ends_the_connection_and_is_not_delivered(
    tmp_path: Path, compression: str
) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.send_raw(0, b'{"t":"MESSAGE_CREATE","s":4,"op":0,"d":{"content":"\xc3\x28"}}')
        (resume,) = await scene.until(lambda: scene.sim.ledger.resumes)
        await scene.live()
        assert (resume.seq, resume.outcome) == (3, "resumed")
        assert scene.seqs() == [1, 2, 3, 4]
        assert scene.events("MESSAGE_CREATE") == []

    stage(tmp_path, play, config=asking_for(compression))


def test_f28_a_payload_that_is_broken_in_every_replay_costs_the_session_after_three(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.emit("MESSAGE_CREATE", b'{"content":"\xc3\x28"}')
        await scene.until(lambda: len(scene.sim.ledger.identifies) == 2)
        await scene.live()
        assert [one.seq for one in scene.sim.ledger.resumes] == [3, 3, 3]
        (lost,) = scene.notices("GWCLUSTER_SESSION_LOST")
        assert lost["last_seq"] == 3
        assert "3 RESUMEs without one event" in lost["reason"]

    stage(tmp_path, play)
