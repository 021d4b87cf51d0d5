"""NATS servers on machines of their own (does): one JetStream cluster, under a service manager."""

from __future__ import annotations

import contextlib
import json
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from chaos.listeners import environment
from chaos.namespaces import Network
from chaos.service import Service

SERVER: Final = Path(sys.executable).with_name("nats-server")
CLIENTS, ROUTES, MONITOR = 4222, 6222, 8222
READY_S: Final = 30.0


class NatsMachines:
    """One server on each of some machines, more than one form a cluster; somebody has to keep `services`."""

    def __init__(self, network: Network, machines: Sequence[str], folder: Path) -> None:
        self.machines = machines
        self._network = network
        self.services: dict[str, Service] = {}
        for name in machines:
            config = folder / f"{name}.conf"
            config.write_text(self._configuration(name, folder))
            command = network.inside(name, [str(SERVER), "-c", str(config)])
            self.services[name] = Service(command, folder / f"{name}.log", environment())

    @property
    def urls(self) -> list[str]:
        """What clients connect to."""
        return [f"nats://{self._network.address(name)}:{CLIENTS}" for name in self.machines]

    def _configuration(self, name: str, folder: Path) -> str:
        address = self._network.address(name)
        said: dict[str, Any] = {
            "server_name": name,
            "listen": f"{address}:{CLIENTS}",
            "http": f"{address}:{MONITOR}",
            "jetstream": {"store_dir": str(folder / f"{name}-store"), "sync_interval": "1s"},
        }
        if len(self.machines) > 1:
            routes = [f"nats://{self._network.address(other)}:{ROUTES}" for other in self.machines]
            said["cluster"] = {"name": "rig", "listen": f"{address}:{ROUTES}", "routes": routes}
        return json.dumps(said)

    def wait_until_ready(self, seconds: float = READY_S) -> None:
        """Return when every server says that it is healthy, JetStream included.

        Raises:
            TimeoutError: one doesn't; the text is the end of its log.
        """
        deadline = time.monotonic() + seconds
        for name in self.machines:
            while not self._is_healthy(name):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{name} is not ready: {self.services[name].log.read_text()[-1000:]}")
                time.sleep(0.05)

    def _is_healthy(self, name: str) -> bool:
        with contextlib.suppress(OSError):
            return bool(self._asked(name, "healthz")["status"] == "ok")
        return False

    def leaders(self) -> Counter[str]:
        """Return how many streams each server leads; its own group's leader first among equals."""
        found: Counter[str] = Counter()
        for name in self.machines:
            with contextlib.suppress(OSError):
                told = self._asked(name, "jsz?streams=true")
                streams = [
                    one for account in told.get("account_details") or () for one in account["stream_detail"]
                ]
                found.update(one["cluster"]["leader"] for one in streams if one["cluster"].get("leader"))
                if lead := (told.get("meta_cluster") or {}).get("leader"):
                    found[lead] += 1
                break
        return found

    def victim(self, what: str, which: int) -> str | None:
        """Return a server that runs: the `leader` of most streams, or one of the others, a `follower`."""
        running = [name for name, service in self.services.items() if service.pid is not None]
        leads = self.leaders().most_common(1)
        leader = leads[0][0] if leads else None
        if what == "leader":
            return leader if leader in running else None
        others = [name for name in running if name != leader]
        return others[which % len(others)] if others else None

    def _asked(self, name: str, what: str) -> Any:
        url = f"http://{self._network.address(name)}:{MONITOR}/{what}"
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2) as answer:
            return json.load(answer)
