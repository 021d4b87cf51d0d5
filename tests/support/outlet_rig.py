"""An outlet on a real log, with a fan-in that only notes what is pushed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gwcluster.log import Writer
from gwcluster.wire.events import Header, decode_header, parse_topic
from gwworker.bus_link import Fanin
from gwworker.disk import Disk
from gwworker.outlet import Outlet
from support.jobs import job
from support.shard_log import AT, open_log, segments

Frames = tuple[bytes, bytes, bytes]


class Pushed(Fanin):
    """A fan-in without a socket; notes what is pushed, and whether the log had it by then."""

    def __init__(self, folder: Path) -> None:
        self.unpushed = 0
        self.events: list[Frames] = []
        self.logged: list[bool] = []
        self._folder = folder

    @property
    def waiting(self) -> int:
        return 0

    def push(self, events: Iterable[Frames]) -> None:
        log = b"".join(path.read_bytes() for path in segments(self._folder))
        for frames in events:
            self.events.append(frames)
            self.logged.append(frames[2] in log)

    @property
    def names(self) -> list[str]:
        return [parse_topic(topic)[0] for topic, _, _ in self.events]


class Rig:
    """One worker's outlet. Another rig on the same folder is its successor."""

    def __init__(self, folder: Path, *, writer: Writer | None = None, **changed: Any) -> None:
        self.writer = open_log(folder) if writer is None else writer
        self.fanin = Pushed(folder)
        self.outlet = Outlet(job(**changed), self.writer, self.fanin, disk=Disk(lambda: AT), wall=lambda: AT)

    def dispatch(self, name: str, seq: int, payload: bytes | None = None) -> None:
        whole = payload or b'{"t":"%s","s":%d,"op":0,"d":{}}' % (name.encode(), seq)
        self.outlet.dispatch(name, whole, 1, seq, AT + seq)

    def beacon(self, session: int = 1) -> tuple[Header, dict[str, Any]]:
        """Have a beacon published; return its header and what it tells."""
        self.outlet.beacon(session)
        _, header, payload = self.fanin.events[-1]
        told: dict[str, Any] = json.loads(payload)["d"]
        return decode_header(header), told

    def killed(self) -> None:
        """Leave the log behind as SIGKILL does."""
        self.writer._output._tail.close()
