"""What it costs at least to be woken for each event (does): many processes that only read, write and send on.

Each is forked, waits on a socket, reads what comes, appends 1.2 KB to a file and sends as much on: the four
system calls of a worker, with nothing of a worker around them. Events come to each at random moments. Where
many processes share a processor, code and data are in no cache any more when one of them wakes: that is what
is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import heapq
import os
import random
import select
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

import uvloop

from bench.processes import cpu_s

EVENT: Final = os.urandom(1200)
READ_BYTES: Final = 64 << 10
SETTLE_S: Final = 2.0


def bare(ours: socket.socket, onward: socket.socket, file: int) -> None:
    """Wait for it on epoll."""
    poll, buffer = select.epoll(), bytearray(READ_BYTES)
    poll.register(ours.fileno(), select.EPOLLIN)
    while True:
        poll.poll()
        if not ours.recv_into(buffer):
            return
        os.write(file, EVENT)
        onward.send(EVENT)


class _Reader(asyncio.BufferedProtocol):
    def __init__(self, onward: asyncio.WriteTransport, file: int) -> None:
        self._buffer = bytearray(READ_BYTES)
        self._onward = onward
        self._file = file

    def get_buffer(self, sizehint: int) -> bytearray:
        del sizehint
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        del nbytes
        os.write(self._file, EVENT)
        self._onward.write(EVENT)


async def _on_loop(ours: socket.socket, onward: socket.socket, file: int) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_unix_connection(asyncio.Protocol, sock=onward)
    out = cast(asyncio.WriteTransport, transport)
    await loop.create_unix_connection(lambda: _Reader(out, file), sock=ours)
    await loop.create_future()


def on_asyncio(ours: socket.socket, onward: socket.socket, file: int) -> None:
    """Wait for it in asyncio's own loop."""
    asyncio.run(_on_loop(ours, onward, file))


def on_uvloop(ours: socket.socket, onward: socket.socket, file: int) -> None:
    """Wait for it in uvloop."""
    uvloop.run(_on_loop(ours, onward, file))


WAYS: Final[dict[str, Callable[[socket.socket, socket.socket, int], None]]] = {
    "epoll alone": bare,
    "uvloop": on_uvloop,
    "asyncio": on_asyncio,
}


def cost_us(way: str, processes: int, rate: float, seconds: float) -> float:
    """Return microseconds of CPU for an event, of the processes that are woken."""
    to = [socket.socketpair() for _ in range(processes)]
    onward = [socket.socketpair() for _ in range(processes)]
    pids: list[int] = []
    with tempfile.TemporaryDirectory(prefix="gwcluster-bench-") as folder:
        gc.collect()
        gc.freeze()
        try:
            for number in range(processes):
                if (pid := os.fork()) == 0:
                    file = os.open(Path(folder) / str(number), os.O_CREAT | os.O_WRONLY | os.O_APPEND)
                    try:
                        WAYS[way](to[number][1], onward[number][0], file)
                    finally:
                        os._exit(1)
                pids.append(pid)
            ends = [theirs for theirs, _ in to]
            _send(ends, [here for _, here in onward], rate, min(SETTLE_S, seconds))
            before = sum(map(cpu_s, pids))
            sent = _send(ends, [here for _, here in onward], rate, seconds)
            return (sum(map(cpu_s, pids)) - before) / sent * 1e6
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            gc.unfreeze()
            for pair in (*to, *onward):
                for end in pair:
                    end.close()


def _send(ends: list[socket.socket], heres: list[socket.socket], rate: float, seconds: float) -> int:
    """Send 200 bytes to each so many times a second, and read what comes on; return how many were sent."""
    poll = select.epoll()
    readers = {here.fileno(): here for here in heres}
    for descriptor in readers:
        poll.register(descriptor, select.EPOLLIN)
    began = time.monotonic()
    due = [(began + random.random() / rate, number) for number in range(len(ends))]
    heapq.heapify(due)
    sent = 0
    while (now := time.monotonic()) < began + seconds:
        while due[0][0] <= now:
            at, number = due[0]
            ends[number].send(EVENT[:200])
            heapq.heapreplace(due, (at + 1 / rate, number))
            sent += 1
        for descriptor, _ in poll.poll(max(0.0, due[0][0] - time.monotonic())):
            readers[descriptor].recv(READ_BYTES)
    poll.close()
    return sent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=64)
    parser.add_argument("--rate", type=float, default=20.0, help="events a second for each")
    parser.add_argument("--seconds", type=float, default=6.0)
    args = parser.parse_args()
    print(
        f"{args.processes} processes, {args.rate:g} events a second each: \N{MICRO SIGN}s of CPU for an event"
    )
    for way in WAYS:
        print(f"{way:<14}{cost_us(way, args.processes, args.rate, args.seconds):>7.0f}")


if __name__ == "__main__":
    main()
