"""The process that every program hands its events to (does): notes when each came, and which it was.

It takes a ZeroMQ SUB's messages, or frames from a Unix stream: four bytes of length, then shard (two bytes,
65535: not told), sequence number (four, 0: it is in the payload), the length of the name (one), the name, and
the payload. What the subscriber itself costs is in nobody's figures.
"""

from __future__ import annotations

import json
import re
import select
import socket
import struct
import time
from ctypes import c_longlong
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, Protocol

import msgpack
import zmq

from bench.accounts import NO_SHARD, Received
from bench.spawned import CONTEXT, Spawned

ANSWER_S: Final = 60.0
_HEAD: Final = struct.Struct(">IHIB")
_SEQ: Final = re.compile(rb'"s":\s*(\d+)')
_SAMPLE: Final = 997
"""Of so many events one payload is kept, to be compared with what was sent."""


@dataclass(frozen=True, slots=True)
class Sample:
    """An event as it came."""

    name: str
    seq: int
    data: Any


class _Counter(Protocol):
    value: int


class Subscriber(Spawned):
    """The subscriber process, seen from outside. Use as a context manager."""

    def __init__(self, folder: Path, names: tuple[str, ...]) -> None:
        self.stream = str(folder / "subscriber")
        self._count: Any = CONTEXT.RawValue(c_longlong, 0)
        super().__init__("subscriber", _run, self.stream, names, self._count)
        self._hear(ANSWER_S)

    @property
    def count(self) -> int:
        """Events that have come so far."""
        return int(self._count.value)

    def subscribe(self, address: str) -> None:
        """Take what a ZeroMQ PUB sends."""
        self._pipe.send(address)
        self._hear(ANSWER_S)

    def taken(self) -> tuple[Received, list[Sample]]:
        """Return what came since the last time."""
        self._pipe.send(None)
        found: tuple[Received, list[Sample]] = self._hear(ANSWER_S)
        return found


def _run(stream: str, names: tuple[str, ...], count: _Counter, pipe: Connection) -> None:
    notes = _Notes(names, count)
    with socket.socket(socket.AF_UNIX) as listener, zmq.Context() as context:
        listener.bind(stream)
        listener.listen(64)
        sub = context.socket(zmq.SUB)
        sub.rcvhwm = 0
        pipe.send(None)
        clients: dict[socket.socket, bytearray] = {}
        readers: list[Any] = [listener, pipe]
        subscribed = False
        while True:
            if subscribed:
                _take_messages(sub, notes, pipe)
            ready, _, _ = select.select([*readers, *clients], [], [])
            for one in ready:
                if one is listener:
                    clients[listener.accept()[0]] = bytearray()
                elif one is pipe:
                    match pipe.recv():
                        case str(address):
                            for name in names:
                                sub.subscribe(f"{name}.")
                            sub.connect(address)
                            subscribed = True
                            pipe.send(None)
                        case _:
                            pipe.send(notes.take())
                elif not _take_frames(one, clients[one], notes):
                    del clients[one]


def _take_messages(sub: zmq.Socket[bytes], notes: _Notes, pipe: Connection) -> None:
    """Take messages until the pipe has something to say."""
    sub.rcvtimeo = 50
    add, receive, clock = notes.messages.append, sub.recv_multipart, time.monotonic_ns
    while not pipe.poll():
        try:
            for _ in range(64):
                frames = receive()
                add((clock(), frames[1]))
                notes.last = frames
        except zmq.Again:
            pass
        notes.keep()
        notes.count_messages()


def _take_frames(client: socket.socket, rest: bytearray, notes: _Notes) -> bool:
    """Take what a stream has; say whether it goes on."""
    data = client.recv(1 << 20)
    at = time.monotonic_ns()
    rest += data
    start, end, size = 0, len(rest), _HEAD.size
    while start + size <= end:
        length, shard, seq, name = _HEAD.unpack_from(rest, start)
        if start + 4 + length > end:
            break
        if bytes(rest[start + size : start + size + name]) in notes.names:
            payload = start + size + name
            if not seq:
                found = _SEQ.search(rest, payload, payload + 64)
                seq = int(found[1]) if found else 0
            notes.frames.append((at, shard, seq))
            if not len(notes.frames) % _SAMPLE:
                body = bytes(rest[payload : start + 4 + length])
                notes.samples.append((bytes(rest[start + size : payload]), seq, body))
        start += 4 + length
    del rest[:start]
    notes.count_frames()
    return bool(data)


class _Notes:
    def __init__(self, names: tuple[str, ...], count: _Counter) -> None:
        self.names = {name.encode() for name in names}
        self.messages: list[tuple[int, bytes]] = []
        self.frames: list[tuple[int, int, int]] = []
        self.samples: list[tuple[bytes, int, bytes]] = []
        self.last: list[bytes] = []
        self._count = count
        self._before = 0

    def keep(self) -> None:
        """Keep one of many messages."""
        if self.last and len(self.messages) // _SAMPLE >= len(self.samples):
            topic, head, payload = self.last
            self.samples.append((topic.partition(b".")[0], msgpack.unpackb(head)["seq"] or 0, payload))

    def count_messages(self) -> None:
        self._count.value = self._before + len(self.messages)

    def count_frames(self) -> None:
        self._count.value = self._before + len(self.frames)

    def take(self) -> tuple[Received, list[Sample]]:
        """Return what came since the last time; headers are read now, when nobody is measured."""
        received = Received()
        for at, head in self.messages:
            header = msgpack.unpackb(head)
            received.times.append(at)
            received.shards.append(header["shard"])
            received.seqs.append(header["seq"] or 0)
        for at, shard, seq in self.frames:
            received.times.append(at)
            received.shards.append(shard)
            received.seqs.append(seq)
        samples = [Sample(name.decode(), seq, _data(payload)) for name, seq, payload in self.samples]
        self._before += len(received)
        self.messages, self.frames, self.samples, self.last = [], [], [], []
        return received, samples


def _data(payload: bytes) -> Any:
    """Return the `d` of a payload, which may be the whole dispatch."""
    found = json.loads(payload)
    return found["d"] if isinstance(found, dict) and found.keys() >= {"op", "d", "t"} else found


assert NO_SHARD == 0xFFFF, "two bytes"
