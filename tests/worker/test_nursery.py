"""The nursery and its workers as real processes; the coordinator is this test."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from gwcluster.wire.control import Exited, Fork, Forked, Job, Message, Signal, StateChanged, Unframer, encode
from gwworker.nursery import client_tls
from support.cluster import environment_of
from support.jobs import TOKEN, job

T = TypeVar("T")


def until(look: Callable[[], T], seconds: float) -> T:
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.01)
    return found


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def status_of(pid: int, key: str) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(f"{key}:"))


def open_files(pid: int) -> set[Path]:
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed while we looked
            found.add(entry.readlink())
    return found


def own_kb(pid: int) -> int:
    """Return what no other process shares, in KiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean", "Private_Dirty")))


class Line:
    """Our end of a socket pair."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self.end.settimeout(3.0)
        self._unframer = Unframer()
        self._heard: list[Message] = []

    def tell(self, message: Message) -> None:
        self.end.sendall(encode(message))

    def hear(self, kind: type[T]) -> T:
        """Return the next message of a kind; others are left out."""
        while True:
            while self._heard:
                message = self._heard.pop(0)
                if isinstance(message, kind):
                    return message
            data = self.end.recv(65_536)
            assert data, "the other side hung up"
            self._heard += self._unframer.feed(data)


class Nursery:
    """A nursery, and the workers that it forked for us."""

    def __init__(self, folder: Path, *, code: str | None = None) -> None:
        self.folder = folder
        ours, theirs = socket.socketpair()
        self.descriptor = theirs.fileno()
        run = ["-m", "gwworker"] if code is None else ["-c", code]
        command = [sys.executable, "-P", *run, str(self.descriptor)]
        self.stderr = (folder / "stderr").open("wb")
        self.process = subprocess.Popen(
            command, pass_fds=[self.descriptor], stdin=subprocess.DEVNULL, stderr=self.stderr
        )
        theirs.close()
        self.line = Line(ours)
        self.pids: list[int] = []
        self.controls: list[Line] = []

    def fork(self, shard: int) -> tuple[int, Line]:
        ours, theirs = socket.socketpair()
        socket.send_fds(self.line.end, [encode(Fork(shard))], [theirs.fileno()])
        theirs.close()
        forked = self.line.hear(Forked)
        assert forked.shard == shard
        control = Line(ours)
        self.pids.append(forked.pid)
        self.controls.append(control)
        return forked.pid, control

    def job(self, shard: int) -> Job:
        """A job whose gateway refuses every connection."""
        return job(shard=shard, folder=str(self.folder / str(shard)))

    def at_work(self, shard: int) -> tuple[int, Line]:
        """Fork a worker, give it a job, and wait until it dials."""
        pid, control = self.fork(shard)
        control.tell(self.job(shard))
        control.hear(StateChanged)
        return pid, control

    def said(self) -> str:
        return (self.folder / "stderr").read_text()

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        for line in (self.line, *self.controls):
            line.end.close()
        self.stderr.close()


@pytest.fixture
def nursery(tmp_path: Path) -> Iterator[Nursery]:
    nursery = Nursery(tmp_path)
    yield nursery
    nursery.close()
    until(lambda: not any(map(is_alive, nursery.pids)), 2.0)


def test_a_worker_is_forked_told_its_job_and_dials(nursery: Nursery) -> None:
    pid, control = nursery.fork(3)
    control.tell(nursery.job(3))
    assert control.hear(StateChanged).state == "connecting"
    assert control.hear(StateChanged).state == "backoff"
    assert status_of(pid, "PPid") == str(nursery.process.pid)
    assert Path(f"/proc/{pid}/comm").read_text() == "gwworker 3\n"


def test_a_killed_nursery_takes_its_workers_with_it(nursery: Nursery) -> None:
    pids = [nursery.at_work(shard)[0] for shard in (0, 1)]
    assert all(map(is_alive, pids))
    nursery.process.kill()
    until(lambda: not any(map(is_alive, pids)), 2.0)


def test_a_nursery_whose_coordinator_hangs_up_ends_with_its_workers(nursery: Nursery) -> None:
    pids = [nursery.at_work(shard)[0] for shard in (0, 1)]
    nursery.line.end.close()
    assert nursery.process.wait(2.0) == 0
    until(lambda: not any(map(is_alive, pids)), 2.0)


def test_a_worker_whose_coordinator_hangs_up_leaves_and_the_others_stay(nursery: Nursery) -> None:
    pid, control = nursery.at_work(0)
    other, _ = nursery.at_work(1)
    control.end.close()
    assert nursery.line.hear(Exited) == Exited(0, pid, 76)
    assert is_alive(other)


def test_a_worker_without_a_job_leaves_when_its_coordinator_does(nursery: Nursery) -> None:
    pid, control = nursery.fork(0)
    control.end.close()
    assert nursery.line.hear(Exited) == Exited(0, pid, 76)


def test_a_worker_that_is_asked_to_stop_says_so_and_exits_with_0(nursery: Nursery) -> None:
    pid, control = nursery.at_work(0)
    nursery.line.tell(Signal(pid, signal.SIGTERM))
    while control.hear(StateChanged).state != "stopped":
        pass
    assert nursery.line.hear(Exited) == Exited(0, pid, 0)


def test_a_killed_worker_is_reported_with_its_signal_and_its_log_is_free(nursery: Nursery) -> None:
    pid, _ = nursery.at_work(0)
    nursery.line.tell(Signal(pid, signal.SIGKILL))
    assert nursery.line.hear(Exited) == Exited(0, pid, -9)
    successor, _ = nursery.at_work(0)
    assert successor != pid


def test_a_second_worker_for_one_log_dials_only_when_the_first_is_gone(nursery: Nursery) -> None:
    first, _ = nursery.at_work(0)
    second, control = nursery.fork(0)
    control.tell(nursery.job(0))
    control.end.settimeout(0.3)
    with pytest.raises(TimeoutError):
        control.hear(StateChanged)
    nursery.line.tell(Signal(first, signal.SIGKILL))
    control.end.settimeout(3.0)
    assert control.hear(StateChanged).state == "connecting"
    assert is_alive(second)


def test_a_signal_for_a_process_that_is_not_its_child_is_not_sent(nursery: Nursery) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        nursery.line.tell(Signal(stranger.pid, signal.SIGKILL))
        nursery.fork(0)  # the message before was obeyed by now
        assert stranger.poll() is None
        stranger.kill()


def test_the_nursery_has_one_thread_and_dumps_no_core(nursery: Nursery) -> None:
    pid, _ = nursery.at_work(0)
    assert len(list(Path(f"/proc/{nursery.process.pid}/task").iterdir())) == 1
    for process in (nursery.process.pid, pid):
        limits = Path(f"/proc/{process}/limits").read_text()
        assert next(line for line in limits.splitlines() if "core file" in line).split()[4:6] == ["0", "0"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root sees what files these processes have open")
def test_a_worker_does_not_hold_the_nurserys_line_open(nursery: Nursery) -> None:
    nursery.at_work(0)
    pid, _ = nursery.at_work(1)
    line = Path(f"/proc/{nursery.process.pid}/fd/{nursery.descriptor}").readlink()
    assert line not in open_files(pid)


def test_the_token_is_in_no_command_line_environment_or_log(nursery: Nursery) -> None:
    pid, control = nursery.at_work(0)
    while control.hear(StateChanged).state != "backoff":
        pass
    for process in (nursery.process.pid, pid):
        assert TOKEN.encode() not in environment_of(process)
    assert TOKEN not in nursery.said()
    assert "no connection" in nursery.said()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root sees what these processes have in memory")
def test_workers_share_most_of_their_memory(nursery: Nursery) -> None:
    pids = [nursery.at_work(shard)[0] for shard in range(4)]
    time.sleep(1.5)  # a round of housekeeping, too
    # Without a heap laid out for it, it is 6.5 MiB; 5.3 with one.
    assert statistics.median(own_kb(pid) for pid in pids) < 5.8 * 1024


def test_a_worker_imports_these_packages_and_no_others() -> None:
    # Each import costs memory and time; what comes along should be wanted.
    script = "import sys, gwworker.nursery; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)
    packages = {name for name in done.stdout.split() if not name.startswith("_")}
    ours = {"gwcluster", "gwworker", "backports", "msgpack", "uvloop", "websockets"}
    brought_along = {"cython_runtime"}
    assert packages - sys.stdlib_module_names - {"sitecustomize"} <= ours | brought_along
    assert "unittest" not in packages
    assert "multiprocessing" not in packages


def test_what_a_worker_runs_lies_together_in_the_nursery() -> None:
    script = """
from gwworker.ran import noted
from gwworker.nursery import _lay_out
from gwworker.rehearsal import rehearse
kept = _lay_out()
with noted() as ran:
    rehearse(1)
print(len(ran), len({id(code) // 4096 for code in ran}))
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    functions, pages = map(int, done.stdout.split())
    assert functions > 600
    assert pages < functions / 4, "twice as many pages, if they lie where they were loaded"


def test_the_collector_leaves_alone_what_workers_share() -> None:
    script = """
import gc, socket
from gwworker.nursery import main
ours, theirs = socket.socketpair()
ours.close()
main(theirs.detach())
print(gc.get_freeze_count(), len(gc.get_objects()))
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    frozen, others = map(int, done.stdout.split())
    assert frozen > 20_000
    assert others < 2_000, "those of its last steps"


def test_what_only_a_fork_and_its_threads_run_is_moved_too() -> None:
    script = """
import threading
from gwworker.nursery import _lay_out
functions = threading._after_fork, threading.Thread.run, threading.Timer.run
before = [function.__code__ for function in functions]
kept = _lay_out()
print(*(function.__code__ is not code for function, code in zip(functions, before)))
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["True", "True", "False"]


def test_interrupts_are_left_to_the_coordinator(nursery: Nursery) -> None:
    pid, _ = nursery.at_work(0)
    os.kill(pid, signal.SIGINT)
    nursery.process.send_signal(signal.SIGINT)
    nursery.process.send_signal(signal.SIGTERM)
    nursery.fork(1)
    assert is_alive(pid)


@pytest.mark.parametrize("arguments", [[], ["x"], ["-1"], ["3", "4"], ["--help"]])
def test_started_by_hand_it_says_who_starts_it(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "gwworker", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "gwcluster run" in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_older_than_tls_1_2_is_spoken_and_certificates_are_verified() -> None:
    # Discord's own services speak TLS 1.2 at least: https://docs.discord.com/developers/reference
    tls = client_tls()
    assert tls.minimum_version is ssl.TLSVersion.TLSv1_2
    assert tls.check_hostname
    assert tls.verify_mode is ssl.CERT_REQUIRED


NO_ROOM = """
import errno, os, sys
from gwworker import nursery

fork, asked = os.fork, []

def refuse_the_third():  # the first is for a rehearsal
    asked.append(1)
    if len(asked) == 3:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return fork()

os.fork = refuse_the_third
nursery.main(int(sys.argv[1]))
"""


def test_a_fork_that_is_refused_ends_nobody_else(tmp_path: Path) -> None:
    nursery = Nursery(tmp_path, code=NO_ROOM)
    try:
        first, _ = nursery.fork(0)
        refused, line = nursery.fork(1)
        assert refused == 0
        assert nursery.line.hear(Exited) == Exited(1, 0, 1)
        assert line.end.recv(1) == b"", "nobody has the other end"
        again, _ = nursery.fork(1)
        assert is_alive(first)
        assert is_alive(again)
        assert "shard 1: no worker can be forked: [Errno 11] Resource" in nursery.said()
    finally:
        nursery.close()


@pytest.mark.parametrize(("more", "loaded"), [([], False), (["jetstream"], True)])
def test_what_jetstream_takes_is_loaded_once_for_all_workers_and_only_where_it_is_used(
    more: list[str], loaded: bool
) -> None:
    script = """
import socket, sys
from gwworker.nursery import main
ours, theirs = socket.socketpair()
ours.close()
main(theirs.detach(), jetstream=sys.argv[1:] == ["jetstream"])
print("gwcluster.log.jetstream.opening" in sys.modules, "nats" in sys.modules, "aiohttp" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, *more], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == [str(loaded), str(loaded), "False"]
