"""One connection's worth of work on nothing (does): what every worker will run, run once before the forks.

CPython rewrites a function's code as it first runs, and fills caches. Done in the nursery, the result is
shared by all workers; done in each worker, each has copies of those pages. It saves about a megabyte per
shard, and nothing else depends on it.
"""

from __future__ import annotations

import logging
import tempfile
import zlib
from pathlib import Path

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from gwcluster.discord import gateway_url
from gwcluster.log.session_state import load, save
from gwcluster.log.writer import Writer
from gwcluster.wire.control import Job, Permit, Pulse, StateChanged, Unframer, encode
from gwcluster.wire.logline import LogLine
from gwcluster.wire.logline import encode as encode_line
from gwcluster.wire.notices import ShardState, beacon, shard_state
from gwworker.disk import Disk
from gwworker.effects import Remember
from gwworker.events import Draining, Lost, Opened, Permitted, Resumed, Tick
from gwworker.identity import beat_payload, identify_payload, resumable, resume_payload, saved_session
from gwworker.inflate import inflater
from gwworker.scan import Ack, Hello, parse_ready, read, scan
from gwworker.session import Session

ROUNDS = 12
"""Beyond the eight runs after which CPython rewrites a function."""


def rehearse(compression: str = "zlib-stream") -> None:
    """Run through a worker's code; needs no network and leaves nothing behind."""
    with tempfile.TemporaryDirectory(prefix="gwcluster-") as folder:
        job = _job(folder, compression)
        for _ in range(ROUNDS):
            _session(job)
            _messages(job)
        for _ in range(2):
            _log(job)


def _job(folder: str, compression: str) -> Job:
    return Job(
        shard=0,
        shards=1,
        token="none",  # noqa: S106 - nothing is sent
        gateway_url="wss://gateway.discord.gg",
        plain_ok=False,
        intents=0,
        compression=compression,
        large_threshold=50,
        presence=None,
        identify={},
        include=None,
        exclude=[],
        folder=folder,
        fanin="",
        retention_bytes=1 << 20,
        retention_age_s=60.0,
    )


def _session(job: Job) -> None:
    session = Session(number=0, known=None, seq=None, jitter=lambda: 0.5, now=0.0)
    ready = b'{"t":"READY","s":1,"op":0,"d":{"session_id":"x","resume_gateway_url":"wss://a.discord.gg"}}'
    for now, event in (
        (0.0, Tick()),
        (1.0, Opened()),
        (1.0, Hello(41.25)),
        (2.0, Permitted(9.0)),
        (3.0, parse_ready(ready, 1)),
        (22.0, Tick()),
        (22.1, Ack()),
        (70.0, Lost(None)),
        (71.0, Tick()),
        (71.1, Opened()),
        (71.2, Hello(41.25)),
        (71.3, Resumed(2)),
    ):
        session.step(event, now)
    for seq in range(3, 3 + ROUNDS):
        session.standing.accept(seq, 72.0)
    session.step(Draining("rehearsal"), 80.0)
    gateway_url(job.gateway_url, job.compression, plain_ok=job.plain_ok)
    identify_payload(job)
    resume_payload(job, "x", 1)
    beat_payload(1)
    encode_line(LogLine(logging.INFO, 0, "rehearsal"))


def _messages(job: Job) -> None:
    core = ClientProtocol(parse_uri("wss://gateway.discord.gg/"), state=State.OPEN)
    compress, inflate = zlib.compressobj(), inflater("zlib-stream")
    for seq in range(1, ROUNDS):
        payload = b'{"t":"MESSAGE_CREATE","s":%d,"op":0,"d":{"content":"\xc3\xa4"}}' % seq
        data = compress.compress(payload) + compress.flush(zlib.Z_SYNC_FLUSH)
        core.receive_data(Frame(Opcode.BINARY, data).serialize(mask=False))
        for frame in core.events_received():
            assert isinstance(frame, Frame)
            inflated = inflate.feed(bytes(frame.data))
            assert inflated == payload
            scan(inflated, whole=inflate.whole)
            read(b'{"op":11}')
        core.send_text(b"{}")
        core.data_to_send()
    unframer = Unframer()
    state = StateChanged(ShardState.LIVE, "rehearsal", None)
    pulse = Pulse(0, 0, 0, 0, 0, None, None, None, 0, 0, 0, 0, None)
    list(unframer.feed(b"".join(encode(message) for message in (job, Permit(0.0), state, pulse))))


def _log(job: Job) -> None:
    folder = Path(job.folder) / "shard"
    save(folder.parent, saved_session(job, Remember(1, "x", None)))
    saved = load(folder.parent)
    assert saved is not None
    resumable(saved, job, 1)
    writer = Writer.open(
        folder,
        shard=0,
        shards=1,
        retention_bytes=job.retention_bytes,
        retention_age_s=job.retention_age_s,
        new_epoch=lambda: "0" * 16,
        wall=lambda: 0.0,
    )
    disk = Disk(lambda: 0.0)
    for seq in range(1, 4 * ROUNDS):
        writer.append("MESSAGE_CREATE", b"{}", session=1, seq=seq, at=0.0)
        writer.append(
            "GWCLUSTER_SHARD_STATE", shard_state(0, ShardState.LIVE, ""), session=1, seq=None, at=0.0
        )
        with disk:
            writer.flush()
        disk.look()
        beacon(writer.last_offsets, writer.floor)
    writer.sync()
    writer.tidy(0.0)
    writer.close()
