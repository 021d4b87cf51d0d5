from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import signal
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from websockets.client import ClientProtocol
from websockets.frames import Frame
from websockets.uri import parse_uri

from gwworker.ran import noted, noted_in_fork
from gwworker.rehearsal import LIFE_S, rehearse, rehearse_with_threads
from gwworker.stage import Gateway

WORKER = Path(__file__).parents[2] / "worker" / "gwworker"
NOT_IN_A_GOOD_LIFE = {
    "__init__.py": "is empty",
    "__main__.py": "the nursery's",
    "nursery.py": "the nursery's",
    "libc.py": "has no function",
    "ran.py": "the nursery's",
    "rehearsal.py": "the nursery's",
    "stage.py": "the nursery's",
    "effects.py": "has types only",
    "events.py": "has types only",
    "phases.py": "has types only",
    "lease.py": "of several hosts",
    "patiently.py": "of several hosts",
    "closing.py": "Discord closes nothing",
    "all_members.py": "Discord objects to nothing",
}
"""Modules of which a rehearsal need not run anything, and why."""


def descriptors() -> set[str]:
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found.add(f"{entry.name} {entry.readlink()}")
        except FileNotFoundError:  # the one that lists them
            continue
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_nothing_of_it_is_left() -> None:
    rehearse(1)  # libuv makes one pipe for a process's signals, once, and another in each fork
    before = descriptors(), signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    threads = len(list(Path("/proc/self/task").iterdir()))
    rehearse(2)
    assert (descriptors(), signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    assert list(Path("/dev/shm").glob(f"gwcluster-{os.getpid()}-*")) == []
    assert len(list(Path("/proc/self/task").iterdir())) == threads


def test_no_thread_is_started() -> None:
    started: list[object] = []
    threading.setprofile(lambda *_: started.append(threading.current_thread()))
    try:
        rehearse(2)
    finally:
        threading.setprofile(None)
    assert not started


def test_with_threads_it_runs_what_a_workers_threads_run() -> None:
    ran = {code.co_qualname for code in noted_in_fork(rehearse_with_threads, within_s=30.0)}
    assert ran >= {"Disk._watch", "Disk.sync", "Worker.run", "_WorkItem.run"}


def test_it_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    rehearse(2)
    assert capfd.readouterr() == ("", "")


def test_it_runs_something_of_each_module_of_a_worker() -> None:
    with noted() as ran:
        rehearse(2)
    modules = {Path(code.co_filename).name for code in ran if code.co_filename.startswith(str(WORKER))}
    assert {path.name for path in WORKER.glob("*.py")} - modules <= set(NOT_IN_A_GOOD_LIFE)


def test_it_runs_what_each_event_beat_and_second_runs_often_enough() -> None:
    # CPython 3.11 rewrites a function's code after eight runs.
    ran: Counter[str] = Counter()
    sys.setprofile(lambda frame, event, _: ran.update([frame.f_code.co_qualname] * (event == "call")))
    try:
        rehearse()
    finally:
        sys.setprofile(None)
    assert {name for name, times in ran.items() if times >= 8} >= {
        "Worker.run",
        "Housekeeping.step",
        "Drive.received",
        "Drive._special",
        "Drive._tick",
        "Drive.pulse",
        "Outlet.flush",
        "Outlet.beacon",
        "Fanin.push",
        "Control.data_received",
        "GatewayLink.send",
        "Session.step",
        "Heartbeat.heard",
        "Sender.heard",
        "Guilds.heard",
        "Guilds.keep",
        "Writer.flush",
        "Writer.sync",
        "save",
        "resume_payload",
        "identify_payload",
    }


class Wire(asyncio.Transport):
    """Keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data


def test_no_life_waits_for_a_beat() -> None:
    wire, gateway = Wire(), Gateway("none", url="", at_end=lambda: None).connection()
    gateway.connection_made(wire)
    client = ClientProtocol(parse_uri("ws://127.0.0.1/"))
    client.send_request(client.connect())
    gateway.data_received(b"".join(client.data_to_send()))
    client.receive_data(wire.written)
    hello = next(event for event in client.events_received() if isinstance(event, Frame))
    assert json.loads(bytes(hello.data))["d"]["heartbeat_interval"] / 1000 > LIFE_S


def test_a_life_that_goes_wrong_is_told_and_leaves_nothing_either() -> None:
    rehearse(1)
    before = descriptors(), logging.getLogger().handlers
    with pytest.raises(TimeoutError):
        rehearse(1, life_s=0.0)
    assert (descriptors(), logging.getLogger().handlers) == before


def test_what_a_killed_rehearsal_left_is_removed_and_what_a_living_one_uses_is_not() -> None:
    folders = [Path("/dev/shm") / f"gwcluster-{pid}-test" for pid in (1 << 30, os.getpid())]
    for folder in folders:
        (folder / "0").mkdir(parents=True)
    try:
        rehearse(1)
        assert [folder.exists() for folder in folders] == [False, True]
    finally:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
