"""The processes of one run (does): a cluster under a service manager, and its subscribers under another."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from chaos.listeners import PYTHON, Listeners, Role, environment
from chaos.service import Service, of_cluster

TOKEN: Final = "chaos.token.of-nobody"  # noqa: S105 - as it says
LOOK_S: Final = 0.05
_CONFIG: Final = """\
name: chaos
token: {token}
intents: 53608447
gateway: {{api: '{api}', compression: {compression}}}
events: {{bind: 'ipc://{folder}/events', high_water_mark: {high_water_mark}}}
requests: {{bind: 'ipc://{folder}/requests'}}
http: {{bind: null}}
state: {folder}/state
log: {{retention: {{bytes: 256MiB, age: 1h}}}}
supervision: {{restarts: 1000000, within: 60s}}
"""


class Machine:
    """Everything that is started for one run, in one folder.

    Args:
        high_water_mark: messages that the cluster queues for a subscriber before it drops.
    """

    def __init__(
        self, folder: Path, api: str, roles: Sequence[Role], *, compression: str, high_water_mark: int
    ) -> None:
        self.folder = folder
        config = folder / "cluster.yaml"
        config.write_text(
            _CONFIG.format(
                token=TOKEN, api=api, folder=folder, compression=compression, high_water_mark=high_water_mark
            )
        )
        environ = environment()
        self.cluster = Service([*PYTHON, "gwcluster", "run", str(config)], folder / "cluster.log", environ)
        addresses = ["--events", f"ipc://{folder}/events", "--requests", f"ipc://{folder}/requests"]
        self.listeners = Listeners(folder, roles, lambda _: addresses, environ)
        self._stopped = threading.Event()
        self._manager = threading.Thread(target=self._manage, daemon=True)

    def start(self) -> None:
        """Start everything, and whatever ends from now on again."""
        self._manager.start()

    def _manage(self) -> None:
        while not self._stopped.wait(LOOK_S):
            for service in (*self.listeners.services, self.cluster):
                service.keep()

    def victims(self, what: str) -> list[int]:
        """Return the processes of one kind that run now."""
        return self.listeners.pids() if what == "subscriber" else of_cluster(what, self.cluster.pid)

    def close(self) -> None:
        """End everything that still runs."""
        self._stopped.set()
        if self._manager.is_alive():
            self._manager.join()
        for service in (*self.listeners.services, self.cluster):
            service.stop(signal.SIGKILL, 5.0)
