"""Clients that ask as fast as they can, in a process of their own: only the cluster is in their way."""

from __future__ import annotations

import ctypes
import multiprocessing
import os

import msgpack

from support.asking import Asking, asking

ID = "x" * 1000
"""So that the answer to garbage is more than a kilobyte."""

SERVED, REFUSED, OTHERS, WRONG = range(4)


class Flood:
    """Several such clients as long as the block runs.

    Each has as many replays waiting as it may, and sends questions for the status and garbage besides, as
    fast as these are taken. All but the first read their answers.
    """

    def __init__(self, address: str, clients: int, shards: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._counts = context.RawArray(ctypes.c_ulonglong, 4)
        self._process = context.Process(
            target=_flood, args=(address, clients, shards, self._counts), daemon=True
        )

    def __enter__(self) -> Flood:
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()

    @property
    def served(self) -> int:
        """Replays that were answered with events."""
        return int(self._counts[SERVED])

    @property
    def refused(self) -> int:
        """Requests for which there was no room."""
        return int(self._counts[REFUSED])

    @property
    def others(self) -> int:
        """Answers to garbage and questions for the status."""
        return int(self._counts[OTHERS])

    @property
    def wrong(self) -> int:
        """Answers that should not be."""
        return int(self._counts[WRONG])


def _flood(address: str, clients: int, shards: int, counts: ctypes.Array[ctypes.c_ulonglong]) -> None:
    os.nice(19)  # a busy machine has to have time for what is tested
    with asking(address, clients) as all_of_them:
        _, *others = all_of_them
        while True:
            for client in all_of_them:
                for _ in range(10):
                    client.throw("replay", shard=client.number % shards)
                    client.throw("status")
                    client.throw("none", id=ID)
                    client.throw("replay", id=ID, shard="x")
            for client in others:
                while client.socket.poll(0):
                    counts[_kind(client)] += 1


def _kind(client: Asking) -> int:
    found = msgpack.unpackb(client.socket.recv())
    if found["ok"] and "events" in found:
        return SERVED
    if found["ok"] or found["error"]["code"] == "bad_request":
        return OTHERS
    return REFUSED if found["error"]["code"] == "rate_limited" else WRONG
