"""Several hosts and the NATS servers that they share (does), each a machine of its own; what befalls them.

A host can be killed, lost, stopped, and cut off NATS, off one of its servers or off everything; each of these
returns what undoes it. Subscribers are on a machine that nothing happens to.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from chaos.listeners import PYTHON, Listeners, Role, environment
from chaos.machine import LOOK_S, TOKEN
from chaos.namespaces import Cut, Network
from chaos.nats_machines import NatsMachines
from chaos.relays import Relays
from chaos.service import Service, of_cluster, send
from gwsimulator import ThreadedSimulator

Undo = Callable[[], None]
Span = tuple[float, float]

ELSEWHERE: Final = "elsewhere"
STARTS_S: Final = 20.0
REFUSED: Final = {2, 78}
"""With these statuses a program says that it can't be run like this."""

MANY_STARTS: Final = 5
"""Who has ended so often within the first seconds won't run at all."""

WAKES_S: Final = 0.25
"""How long a process may take to run after SIGCONT."""

_CONFIG: Final = """\
name: rig
token: {token}
intents: 53608447
gateway: {{api: '{api}', compression: {compression}}}
shards: {shards}
events: {{bind: 'tcp://{address}:5570', high_water_mark: {high_water_mark}}}
requests: {{bind: 'tcp://{address}:5571'}}
http: {{bind: null}}
state: {folder}/state
log: {{retention: {{bytes: 256MiB, age: 1h}}}}
supervision: {{restarts: 1000000, within: 60s}}
security: {{curve: {{secret_key_file: '{keys}/cluster.key_secret', clients_dir: '{keys}/clients'}}}}
"""


class HostRefused(Exception):  # noqa: N818 - it says what happened
    """A host can't run with the configuration that it was given; the text is what it said."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What there is to be.

    Attributes:
        apart: the hosts know nothing of each other, and each has its own part of the shards: what holds for
            one host has to hold for each of them, so this is how the rig itself is tried.
        lease_s: of the hosts that are not apart.
    """

    hosts: int
    shards: int
    servers: int = 3
    apart: bool = False
    lease_s: float = 15.0
    compression: str = "zlib-stream"
    high_water_mark: int = 2_000

    @property
    def names(self) -> list[str]:
        """The hosts."""
        return [f"h{number}" for number in range(1, self.hosts + 1)]

    @property
    def server_names(self) -> list[str]:
        """The machines of NATS servers."""
        return [] if self.apart else [f"n{number}" for number in range(1, self.servers + 1)]

    def part(self, host: str) -> list[int]:
        """Return the shards that a host has while they are apart."""
        at = self.names.index(host)
        return list(range(self.shards))[at :: self.hosts]


class Hosts:
    """All machines and programs of one run, as long as the `with` block lasts."""

    def __init__(
        self, folder: Path, sim: ThreadedSimulator, layout: Layout, roles: Sequence[tuple[str, Role]]
    ) -> None:
        """Make the machines; `start` starts what runs on them.

        Args:
            folder: for everything that is written.
            roles: subscribers, and by which host's file each finds the cluster.
        """
        self.layout = layout
        self.folder = folder
        self.away: dict[str, list[Span]] = {}
        self._stopped_since: dict[str, float] = {}
        self._ended = threading.Event()
        self._manager = threading.Thread(target=self._manage, daemon=True)
        with contextlib.ExitStack() as stack:
            names = [*layout.names, *layout.server_names, ELSEWHERE]
            self.network = stack.enter_context(Network(names))
            ports = [int(url.rpartition(":")[2]) for url in (sim.gateway_url, sim.resume_url)]
            self.relays = stack.enter_context(Relays(self.network, layout.names, ports))
            self.nats = NatsMachines(self.network, layout.server_names, folder)
            keys = _keys(folder)
            self.services = {name: self._host(name, sim.api, keys) for name in layout.names}
            self.listeners = Listeners(
                folder,
                [role for _, role in roles],
                lambda at: ["--file", str(self.file(roles[at][0]))],
                environment(GWCLUSTER_KEY=str(keys / "clients" / "watcher.key_secret")),
                lambda command: self.network.inside(ELSEWHERE, command),
            )
            stack.callback(self._end)
            self._closing = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def file(self, host: str) -> Path:
        """Return a host's configuration."""
        return self.folder / host / "cluster.yaml"

    def _host(self, name: str, api: str, keys: Path) -> Service:
        layout, folder = self.layout, self.folder / name
        folder.mkdir(exist_ok=True)
        ids = f", ids: {layout.part(name)}" if layout.apart else ""
        text = _CONFIG.format(
            token=TOKEN,
            api=api,
            compression=layout.compression,
            shards=f"{{count: {layout.shards}{ids}}}",
            address=self.network.address(name),
            high_water_mark=layout.high_water_mark,
            folder=folder,
            keys=keys,
        )
        if not layout.apart:
            servers = ", ".join(self.nats.urls)
            text += f"hosts: {{nats: [{servers}], name: {name}, lease: {layout.lease_s:g}s}}\n"
        self.file(name).write_text(text)
        command = self.network.inside(name, [*PYTHON, "gwcluster", "run", str(self.file(name))])
        return Service(command, folder / "cluster.log", environment())

    # ------------------------------------------------------------------ starting and ending

    def start(self) -> None:
        """Start the servers, wait for them, then hosts and subscribers; whatever ends is started again.

        Raises:
            HostRefused: a host's configuration can't be used.
            TimeoutError: a server isn't ready in time.
        """
        for service in self.services.values():
            service.hold()
        self._manager.start()
        self.nats.wait_until_ready()
        for service in self.services.values():
            service.release()
        deadline = time.monotonic() + STARTS_S
        while not all(self.processes(name, "nursery") for name in self.layout.names):
            self._look_for_refusals()
            if time.monotonic() > deadline:
                return  # what is late may come yet
            time.sleep(LOOK_S)
        self._look_for_refusals()

    def _look_for_refusals(self) -> None:
        for name, service in self.services.items():
            if set(service.statuses) & REFUSED or service.starts > MANY_STARTS:
                raise HostRefused(
                    f"{name} ended with {service.statuses[0]}:\n{service.log.read_text()[-800:]}"
                )

    def _manage(self) -> None:
        everything = [*self.nats.services.values(), *self.services.values(), *self.listeners.services]
        while not self._ended.wait(LOOK_S):
            for service in everything:
                service.keep()

    def stop(self, seconds: float) -> list[int | None]:
        """Ask all hosts to end; return their statuses."""
        for service in self.services.values():
            service.hold()
            if service.pid is not None:
                send(service.pid, signal.SIGTERM)
        return [service.stop(0, seconds) for service in self.services.values()]  # a second SIGTERM hurries

    def _end(self) -> None:
        self._ended.set()
        if self._manager.is_alive():
            self._manager.join()
        for name in self.layout.names:
            self._signal(name, signal.SIGKILL)
        for service in (*self.services.values(), *self.listeners.services, *self.nats.services.values()):
            service.stop(signal.SIGKILL, 5.0)

    # ------------------------------------------------------------------ what befalls them

    def _signal(self, name: str, signum: int) -> int:
        return sum(send(pid, signum) for pid in self.network.pids(name))

    def kill_host(self, name: str) -> Undo:
        """Kill all processes of a host at once; the undoing starts it again."""
        service = self.services[name]
        service.hold()
        if service.pid is not None:
            send(service.pid, signal.SIGKILL)  # it may be about to enter its machine
        while self._signal(name, signal.SIGKILL):  # one may have been forked meanwhile
            time.sleep(0.01)
        return service.release

    def lose_host(self, name: str) -> Undo:
        """Cut a host off, then kill it: as nobody is told when a machine's power fails."""
        mend = self.cut_host_from_everything(name)
        start = self.kill_host(name)

        def undo() -> None:
            mend()
            start()

        return undo

    def stop_host(self, name: str) -> Undo:
        """Stop all processes of a host, for a while."""
        self._signal(name, signal.SIGSTOP)
        since = time.monotonic()

        def undo() -> None:
            self._signal(name, signal.SIGCONT)
            spans = self.away.setdefault(self.relays.origin(name), [])
            spans.append((since, time.monotonic() + WAKES_S))

        return undo

    def cut_host_from_nats(
        self, name: str, *, how: Cut = "vanish", servers: Sequence[str] | None = None
    ) -> Undo:
        """Cut a host off NATS servers, all if none are named."""
        chosen = list(self.nats.machines if servers is None else servers)
        for server in chosen:
            self.network.cut(name, server, how)

        def undo() -> None:
            for server in chosen:
                self.network.mend(name, server)

        return undo

    def cut_host_from_discord(self, name: str, *, how: Cut = "vanish") -> Undo:
        """Cut a host's way to the simulator."""
        self.relays.cut(name, how)
        return lambda: self.relays.mend(name)

    def cut_host_from_everything(self, name: str, *, how: Cut = "vanish") -> Undo:
        """Cut a host off NATS, the simulator, other hosts and subscribers."""
        others = [one for one in self.layout.names if one != name] + [ELSEWHERE]
        for other in others:
            self.network.cut(name, other, how)
        mends = [self.cut_host_from_nats(name, how=how), self.cut_host_from_discord(name, how=how)]

        def undo() -> None:
            for other in others:
                self.network.mend(name, other)
            for mend in mends:
                mend()

        return undo

    def kill_server(self, name: str) -> Undo:
        """Kill a NATS server; the undoing starts it again."""
        service = self.nats.services[name]
        service.hold()
        if service.pid is not None:
            send(service.pid, signal.SIGKILL)
        return service.release

    def stop_server(self, name: str) -> Undo:
        """Stop a NATS server for a while."""
        pid = self.nats.services[name].pid
        if pid is None:
            return lambda: None
        send(pid, signal.SIGSTOP)

        def undo() -> None:
            send(pid, signal.SIGCONT)

        return undo

    def processes(self, name: str, what: str) -> list[int]:
        """Return a host's processes of one kind: `coordinator`, `nursery` or `worker`."""
        return of_cluster(what, self.services[name].pid)

    def gone(self, sim: ThreadedSimulator) -> dict[int, float]:
        """Return by the simulator's connections when their clients had let go of them."""
        known = self.relays.gone()
        return {one.link: known[one.peer] for one in sim.ledger.connections if one.peer in known}


def _keys(folder: Path) -> Path:
    """Make the cluster's keys and those of the subscribers, as one who operates it would."""
    keys = folder / "keys"
    if keys.exists():
        return keys
    for options in (
        ["--server", str(keys / "cluster.key_secret")],
        ["--client", "watcher", "--may", "read,operate", "--dir", str(keys / "clients")],
    ):
        (keys / "clients").mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [*PYTHON, "gwcluster", "keygen", *options],
            env=environment(),
            check=True,
            stdout=subprocess.DEVNULL,
        )
    return keys
