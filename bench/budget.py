"""What each step of an event's way costs a worker, beside the least that it can cost (does).

One thread runs the worker's own parts over the same bytes. Each step is timed alone, in CPU time of the
thread, the smallest of several rounds; "least" is the same work by the library that does it, without a line
of ours around it. What is missing between the sum and a whole worker is the loop, its wake-ups, and caches
that are cold by then.
"""

from __future__ import annotations

import argparse
import os
import socket
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bench import traffic
from bench.encoding import Chapter
from bench.zstd import ZstdDecompressor
from gwcluster.log.writer import Writer
from gwworker import frames, zmtp
from gwworker.gateway_link import READ_BYTES
from gwworker.inflate import inflater
from gwworker.scan import scan

AT: Final = 1_767_225_600.0
ROUNDS: Final = 7
MAKE: Final = "make record and header"
WRITE: Final = "write to the log"

Step = tuple[str, Callable[[], object], Callable[[], object]]
"""What is done, by us and at least."""


def cut(read: bytes) -> list[tuple[bool, bytes]]:
    """Return the messages of a read."""
    found: list[tuple[bool, bytes]] = []
    frames.cut(read, 0, found)
    return found


def steps(compression: str, events: int, together: int, folder: Path) -> list[Step]:
    """Return the steps of `events` events, of which a read takes so many together."""
    chapter = Chapter(compression, first=True)
    framed = [chapter.frame(told) for told in traffic.numbered(traffic.bodies("chat", events), events, 1)]
    reads = [b"".join(framed[at : at + together]) for at in range(0, events, together)]
    received = [message for read in reads for message in cut(read)]
    first = inflater(compression)
    payloads = [first.feed(message) or b"" for _, message in received]
    heads = [head for payload in payloads if (head := scan(payload, whole=True))]
    assert len(heads) == events, "nothing but plain dispatches"

    buffer, view = bytearray(READ_BYTES), memoryview(bytearray(READ_BYTES))
    theirs, ours = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 20)
    there, here = socket.socketpair()
    there.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 20)  # a batch fits: nobody reads meanwhile
    sink = bytearray(4 << 20)
    writers = iter(lambda: _open(Path(tempfile.mkdtemp(dir=folder))), None)

    def read_ours() -> None:
        for read in reads:
            theirs.sendall(read)
            for _ in range(0, len(read), READ_BYTES):
                bytes(view[: ours.recv_into(view)])

    def read_least() -> None:
        for read in reads:
            theirs.sendall(read)
            for _ in range(0, len(read), READ_BYTES):
                ours.recv_into(buffer)

    def inflate_ours() -> None:
        stream = inflater(compression)
        for _, message in received:
            stream.feed(message)

    def inflate_least() -> None:
        if compression == "none":
            return
        stream: Any = zlib.decompressobj() if compression == "zlib-stream" else ZstdDecompressor()
        inflate = stream.decompress
        for _, message in received:
            inflate(message)

    def scan_ours() -> None:
        for payload in payloads:
            scan(payload, whole=compression != "none")

    def append(writer: Writer) -> list[tuple[bytes, bytes, bytes]]:
        return [
            writer.append(name, payload, session=1, seq=seq, at=AT)
            for (name, seq), payload in zip(heads, payloads, strict=True)
        ]

    told = append(next(writers))
    batches = [told[at : at + together] for at in range(0, events, together)]
    records = [b"".join(map(b"".join, batch)) for batch in batches]
    wire = [zmtp.encode(batch) for batch in batches]
    file = os.open(folder / "least", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write_ours() -> None:
        writer = next(writers)
        for (name, seq), payload, number in zip(heads, payloads, range(1, events + 1), strict=True):
            writer.append(name, payload, session=1, seq=seq, at=AT)
            if number % together == 0:
                writer.flush()

    def write_least() -> None:
        os.ftruncate(file, 0)
        for record in records:
            os.write(file, record)

    def push(encode: bool) -> None:
        for batch, ready in zip(batches, wire, strict=True):
            there.sendall(zmtp.encode(batch) if encode else ready)
            here.recv_into(sink)

    return [
        ("read the socket", read_ours, read_least),
        ("cut out messages", lambda: [cut(read) for read in reads], lambda: None),
        ("inflate", inflate_ours, inflate_least),
        (
            "find name and seq, check",
            lambda: [scan(p, whole=compression != "none") for p in payloads],
            lambda: None,
        ),
        (MAKE, lambda: append(next(writers)), lambda: [zlib.crc32(p) for p in payloads]),
        (WRITE, write_ours, write_least),
        ("push", lambda: push(encode=True), lambda: push(encode=False)),
    ]


def _open(folder: Path) -> Writer:
    return Writer.open(
        folder / "shard",
        shard=3,
        shards=64,
        retention_bytes=1 << 28,
        retention_age_s=3600.0,
        new_epoch=lambda: "0" * 16,
        wall=lambda: AT,
    )


def cost_us(work: Callable[[], object], events: int) -> float:
    """Return microseconds of CPU per event, the least of several rounds."""
    least = float("inf")
    for _ in range(ROUNDS):
        began = time.thread_time()
        work()
        least = min(least, time.thread_time() - began)
    return least / events * 1e6


def show(compression: str, events: int, together: int) -> None:
    """Print one table."""
    with tempfile.TemporaryDirectory(prefix="gwcluster-bench-") as folder:
        rows = {
            step: (cost_us(ours, events), cost_us(least, events))
            for step, ours, least in steps(compression, events, together, Path(folder))
        }
    rows[WRITE] = (rows[WRITE][0] - rows[MAKE][0], rows[WRITE][1])  # nothing can be written that wasn't made
    print(f"\n{compression}, {together} events of 1 KB in each read: \N{MICRO SIGN}s per event")
    print(f"{'':<28}{'ours':>8}{'least':>8}")
    rows["together"] = (sum(ours for ours, _ in rows.values()), sum(least for _, least in rows.values()))
    for step, (ours, least) in rows.items():
        print(f"{step:<28}{ours:>8.2f}{least:>8.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=6_000)
    args = parser.parse_args()
    for compression in ("zlib-stream", "zstd-stream", "none"):
        for together in (100, 10, 1):
            show(compression, args.events, together)


if __name__ == "__main__":
    main()
