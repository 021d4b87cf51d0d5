"""A subscriber that notes how old each event is when it comes (does), as a process of its own."""

from __future__ import annotations

import mmap
import time
from array import array
from multiprocessing.connection import Connection
from pathlib import Path

import msgpack
import zmq

from bench.crowd import RING


def listen(events: str, moments: Path, asked: Connection) -> None:
    """Receive until told "end"; answer "ages" with the seconds from send to receipt of what came since."""
    with moments.open("r+b") as file:
        sent = memoryview(mmap.mmap(file.fileno(), 0)).cast("d")
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    sub = context.socket(zmq.SUB)
    sub.rcvhwm = 0
    sub.subscribe(b"MESSAGE_CREATE.")
    sub.connect(events)
    poller = zmq.Poller()
    poller.register(sub, zmq.POLLIN)
    poller.register(asked.fileno(), zmq.POLLIN)
    ages = array("d")
    receive, unpack, clock = sub.recv_multipart, msgpack.unpackb, time.monotonic
    while True:
        ready = dict(poller.poll())
        while sub in ready:
            try:
                frames = receive(zmq.DONTWAIT)
            except zmq.Again:
                break
            header = unpack(frames[1])
            ages.append(clock() - sent[header["shard"] * RING + header["seq"] % RING])
        if asked.fileno() in ready:
            if asked.recv() == "end":
                context.destroy(linger=0)
                return
            asked.send(ages)
            ages = array("d")
