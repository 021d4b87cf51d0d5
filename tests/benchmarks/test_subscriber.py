"""The subscriber takes frames however they are cut, and notes what it can't be told from the payload."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

import zmq

from bench.accounts import NO_SHARD
from bench.processes import until
from bench.subscriber import Subscriber
from gwcluster.wire.events import Header, encode_header


def frame(shard: int, seq: int, name: bytes, payload: bytes) -> bytes:
    return struct.pack(">IHIB", 7 + len(name) + len(payload), shard, seq, len(name)) + name + payload


def test_frames_come_whole_however_they_are_cut(tmp_path: Path) -> None:
    frames = [
        frame(3, 2, b"MESSAGE_CREATE", b'{"id":"1"}'),
        frame(3, 1, b"READY", b"{}"),
        frame(NO_SHARD, 0, b"MESSAGE_CREATE", b'{"t":"MESSAGE_CREATE","s":77,"op":0,"d":{}}'),
    ]
    with (
        Subscriber(tmp_path, ("MESSAGE_CREATE",)) as subscriber,
        socket.socket(socket.AF_UNIX) as stream,
    ):
        stream.connect(subscriber.stream)
        stream.send(frames[0] + frames[1][:9])
        until(lambda: subscriber.count == 1, "an event", 5.0)
        for byte in frames[1][9:] + frames[2]:
            stream.send(bytes([byte]))
        until(lambda: subscriber.count == 2, "two events", 5.0)
        received, _ = subscriber.taken()
        assert (received.shards, received.seqs) == ([3, NO_SHARD], [2, 77])
        assert received.times == sorted(received.times)
        stream.send(b"".join(frame(1, seq, b"MESSAGE_CREATE", b'{"n":%d}' % seq) for seq in range(2, 2_000)))
        until(lambda: subscriber.count == 2_000, "the rest", 5.0)
        received, samples = subscriber.taken()
        assert received.seqs == list(range(2, 2_000))
        assert [(sample.name, sample.data) for sample in samples] == [
            ("MESSAGE_CREATE", {"n": sample.seq}) for sample in samples
        ]
        assert len(samples) == 2


def test_messages_of_a_pub_are_noted_by_their_headers(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/events"
    with (
        Subscriber(tmp_path, ("MESSAGE_CREATE",)) as subscriber,
        zmq.Context() as context,
        context.socket(zmq.XPUB) as pub,
    ):
        pub.linger = 0
        pub.bind(address)
        subscriber.subscribe(address)
        assert pub.recv() == b"\x01MESSAGE_CREATE."
        for name, seq in (("MESSAGE_CREATE", 2), ("READY", 1), ("MESSAGE_CREATE", 3)):
            head = encode_header(Header(5, 8, "0" * 16, 0, None, 1, seq, 1.0))
            payload = b'{"t":"MESSAGE_CREATE","s":%d,"op":0,"d":{"n":%d}}' % (seq, seq)
            pub.send_multipart([f"{name}.5.".encode(), head, payload])
        until(lambda: subscriber.count == 2, "two events", 5.0)
        received, samples = subscriber.taken()
        assert (received.shards, received.seqs) == ([5, 5], [2, 3])
        assert [(sample.seq, sample.data) for sample in samples] == [(3, {"n": 3})]
