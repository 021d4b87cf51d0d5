"""Real NATS servers on loopback, one or three, each a process with a folder of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

SERVER: Final = Path(sys.executable).with_name("nats-server")
READY_S: Final = 30.0


class NatsServers:
    """Servers with JetStream; more than one form a cluster.

    Args:
        folder: for their files; removed by whoever made it.
        count: how many, 1 or 3.
        host: the address that each listens at; default: loopback for all.
        extra: further configuration of each.
    """

    def __init__(self, folder: Path, count: int = 1, *, hosts: list[str] | None = None, **extra: Any) -> None:
        self._extra = extra
        self._hosts = hosts or ["127.0.0.1"] * count
        self._ports = _free_ports(3 * count)
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * count
        for number in range(count):
            (folder / f"{number}.conf").write_text(self._configuration(number))

    @property
    def urls(self) -> list[str]:
        """What clients connect to."""
        return [f"nats://{host}:{self._ports[3 * n]}" for n, host in enumerate(self._hosts)]

    def _configuration(self, number: int) -> str:
        client, route, monitor = self._ports[3 * number : 3 * number + 3]
        host = self._hosts[number]
        said = {
            "server_name": f"n{number}",
            "listen": f"{host}:{client}",
            "http": f"{host}:{monitor}",
            "jetstream": {"store_dir": str(self._folder / f"store{number}"), "sync_interval": "1s"},
        }
        if len(self._hosts) > 1:
            routes = [f"nats://{h}:{self._ports[3 * n + 1]}" for n, h in enumerate(self._hosts)]
            said["cluster"] = {"name": "tests", "listen": f"{host}:{route}", "routes": routes}
        return json.dumps(said | self._extra)

    def start(self) -> None:
        """Start all of them; return when JetStream takes requests."""
        for number in range(len(self._processes)):
            self.start_one(number)
        self.wait_until_ready()

    def start_one(self, number: int) -> None:
        """Start one that isn't running."""
        assert self._processes[number] is None, f"server {number} is running"
        with (self._folder / f"{number}.log").open("ab") as log:
            self._processes[number] = subprocess.Popen(
                [SERVER, "-c", self._folder / f"{number}.conf"], stdout=log, stderr=log
            )

    def wait_until_ready(self) -> None:
        """Return when every server that runs says that it is healthy, JetStream included."""
        deadline = time.monotonic() + READY_S
        for number, process in enumerate(self._processes):
            while process is not None and not self._healthy(number):
                assert time.monotonic() < deadline, (self._folder / f"{number}.log").read_text()[-2000:]
                time.sleep(0.05)

    def _healthy(self, number: int) -> bool:
        with contextlib.suppress(OSError):
            return bool(self._asked(number, "healthz")["status"] == "ok")
        return False

    def _asked(self, number: int, what: str) -> Any:
        url = f"http://{self._hosts[number]}:{self._ports[3 * number + 2]}/{what}"
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2) as answer:
            return json.load(answer)

    def leader(self) -> int | None:
        """Return the number of the server that leads JetStream's own group; None: there is none just now."""
        for number, process in enumerate(self._processes):
            if process is not None:
                with contextlib.suppress(OSError):
                    name = self._asked(number, "jsz").get("meta_cluster", {}).get("leader")
                    if name:
                        return int(name.removeprefix("n"))
        return None

    def kill(self, number: int, how: signal.Signals = signal.SIGKILL) -> None:
        """End one, or stop and continue it with SIGSTOP and SIGCONT."""
        process = self._processes[number]
        assert process is not None, f"server {number} isn't running"
        process.send_signal(how)
        if how in {signal.SIGKILL, signal.SIGTERM}:
            process.wait()
            self._processes[number] = None
        elif how is signal.SIGSTOP:
            os.waitid(os.P_PID, process.pid, os.WSTOPPED)  # it may answer until then

    def stop(self) -> None:
        """End all of them."""
        for number, process in enumerate(self._processes):
            if process is not None:
                process.send_signal(signal.SIGCONT)
                self.kill(number)


@contextlib.contextmanager
def nats_servers(folder: Path, count: int = 1, **extra: Any) -> Iterator[NatsServers]:
    """Run servers as long as the block."""
    folder.mkdir(exist_ok=True)
    servers = NatsServers(folder, count, **extra)
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
