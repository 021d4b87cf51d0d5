"""What systemd is told, by a socket of ours in its place; the last tests run real clusters."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gwcluster.board import Counts
from gwcluster.sight import Sight
from gwcluster.systemd import Systemd, told
from support import hangups
from support.cluster import until


class Manager:
    """Takes what is sent to NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address[0] == "@" else address)
        self._socket.setblocking(False)
        self.got: list[str] = []

    def take(self) -> list[str]:
        """Return all that came so far."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.got.append(self._socket.recv(4096).decode())
        return self.got

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    with contextlib.closing(Manager(f"{tmp_path}/notify")) as manager:
        yield manager


@contextlib.contextmanager
def systemd(manager: Manager, **environ: str) -> Iterator[Systemd]:
    environ = {"NOTIFY_SOCKET": manager.address, **environ}
    with contextlib.closing(Systemd(environ, pid=7, monotonic=lambda: 10_000.5)) as said:
        yield said


def test_each_message_is_one_datagram_in_systemds_words(manager: Manager) -> None:
    with systemd(manager) as said:
        said.ready()
        said.status("3 of 4 shards live\nREADY=1")
        said.alive()
        said.reloading()
        said.stopping()
    assert manager.take() == [
        "READY=1",
        "STATUS=3 of 4 shards live READY=1",  # a line break would begin another assignment
        "WATCHDOG=1",
        "RELOADING=1\nMONOTONIC_USEC=10000500000",
        "STOPPING=1",
    ]


def test_a_status_is_said_again_only_when_it_changes(manager: Manager) -> None:
    with systemd(manager) as said:
        for text in ("a", "a", "b", "a"):
            said.status(text)
    assert manager.take() == ["STATUS=a", "STATUS=b", "STATUS=a"]


def test_an_abstract_socket_is_found_by_its_at_sign() -> None:
    with contextlib.closing(Manager(f"@gwcluster-test-{os.getpid()}")) as manager:
        with systemd(manager) as said:
            said.ready()
        assert manager.take() == ["READY=1"]


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1234"}])
def test_without_a_socket_that_is_known_nothing_is_sent(environ: dict[str, str]) -> None:
    said = Systemd(environ, pid=7, monotonic=lambda: 10_000.0)
    said.ready()
    said.close()


def test_a_socket_that_nobody_reads_stops_nobody(
    manager: Manager, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with systemd(manager) as said:
        for turn in range(10_000):  # more than any queue of datagrams holds
            said.status(f"turn {turn}")
        manager.close()
        said.ready()
    with systemd(manager, NOTIFY_SOCKET=f"{tmp_path}/nowhere") as said:
        said.ready()
    assert "systemd can't be told anything" in caplog.text


def test_a_status_for_which_there_was_no_room_is_said_again(manager: Manager) -> None:
    with systemd(manager) as said:
        for _ in range(10_000):
            said.alive()
        said.status("3 of 4")
        assert "STATUS=3 of 4" not in manager.take()
        said.status("3 of 4")
    assert manager.take()[-1] == "STATUS=3 of 4"


@pytest.mark.parametrize(
    ("environ", "pulse_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, 20.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "7"}, 20.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "³"}, None),
    ],
)
def test_pulses_come_three_times_as_often_as_systemd_waits(
    environ: dict[str, str], pulse_s: float | None
) -> None:
    assert Systemd(environ, pid=7, monotonic=lambda: 10_000.0).pulse_s == pulse_s


def test_the_order_is_ready_then_how_it_is_then_stopping(manager: Manager) -> None:
    now = Sight(counts=Counts(ready=1, total=2, degraded=0, failed=0))

    async def heard(message: str, times: int) -> None:
        while manager.take().count(message) < times:  # noqa: ASYNC110 - the socket is asked, not waited for
            await asyncio.sleep(0.005)

    async def play() -> None:
        nonlocal now
        with systemd(manager, WATCHDOG_USEC="30000") as said:  # a pulse each 10 ms
            async with told(said, lambda: now):
                await heard("WATCHDOG=1", 3)
                now = Sight(counts=Counts(ready=2, total=2, degraded=0, failed=0))
                await heard("STATUS=2 of 2 shards live", 1)
                now = Sight(counts=now.counts, stopping=True)
                await heard("STOPPING=1", 1)

    asyncio.run(asyncio.wait_for(play(), 20))
    got = [message for message in manager.take() if message != "WATCHDOG=1"]
    assert got == [
        "READY=1",
        "STATUS=1 of 2 shards live",
        "STATUS=2 of 2 shards live",
        "STATUS=stopping; 2 of 2 shards live",
        "STOPPING=1",
        "STOPPING=1",
    ]


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for the sockets of a state folder within it."""
    with tempfile.TemporaryDirectory(prefix="gw-") as folder:
        yield Path(folder)


@contextlib.contextmanager
def simulated(folder: Path, manager: Manager) -> Iterator[subprocess.Popen[bytes]]:
    """A real `gwcluster run --simulate` of one shard with a watchdog of 1.5 s."""
    file = folder / "cluster.yaml"
    file.write_text(
        f"intents: [GUILDS]\nshards: {{count: 1}}\nevents: {{bind: 'ipc://{folder}/events'}}\n"
        f"requests: {{bind: 'ipc://{folder}/requests'}}\nhttp: {{bind: null}}\n"
    )
    environ = {
        **os.environ,
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "NOTIFY_SOCKET": manager.address,
        "WATCHDOG_USEC": "1500000",
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "gwcluster", "run", str(file), "--simulate"],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield process
        process.terminate()  # in order, so that no worker makes its folder anew behind us
        process.wait(20)
    finally:
        process.kill()
        process.wait()


@pytest.mark.e2e
def test_a_real_cluster_is_ready_before_its_shards_are_and_pulses_until_it_stops(
    short_folder: Path, manager: Manager
) -> None:
    with simulated(short_folder, manager) as process:
        until(lambda: "READY=1" in manager.take(), "READY=1", 60)
        assert manager.take()[0] == "READY=1"
        assert not any("1 of 1" in message for message in manager.got)
        until(lambda: "STATUS=1 of 1 shards live" in manager.take(), "all shards", 60)
        pulses = manager.take().count("WATCHDOG=1")
        until(lambda: manager.take().count("WATCHDOG=1") >= pulses + 3, "pulses")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert manager.take()[-1] == "STOPPING=1"


@pytest.mark.e2e
def test_a_reload_is_told_from_its_beginning_to_its_end(short_folder: Path, manager: Manager) -> None:
    with hangups.heard(), simulated(short_folder, manager) as process:
        until(lambda: "STATUS=1 of 1 shards live" in manager.take(), "all shards", 60)
        manager.got.clear()
        process.send_signal(signal.SIGHUP)
        until(lambda: "READY=1" in manager.take(), "the end of the reload")
        said = [message.partition("=")[0] for message in manager.take() if message != "WATCHDOG=1"]
        assert said == ["RELOADING", "READY"]


@pytest.mark.e2e
def test_a_control_loop_that_stands_still_sends_no_pulse(short_folder: Path, manager: Manager) -> None:
    with simulated(short_folder, manager) as process:
        until(lambda: "WATCHDOG=1" in manager.take(), "a pulse", 60)
        process.send_signal(signal.SIGSTOP)
        state = Path(f"/proc/{process.pid}/stat")
        until(lambda: state.read_text().rsplit(")", 1)[1].split()[0] == "T", "it to stand still")
        manager.take()
        manager.got.clear()
        time.sleep(2.0)  # four pulses would come in that time; systemd would wait 1.5 s
        assert manager.take() == []
        process.send_signal(signal.SIGCONT)
        until(lambda: "WATCHDOG=1" in manager.take(), "a pulse again")
