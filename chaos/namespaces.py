"""Machines that are network namespaces of this one (does): a bridge between them, links that can be cut.

Each machine has its own loopback, an address on the bridge and nothing else. The bridge has an address too,
by which whoever made the machines reaches them. A link is cut by what its two ends believe of each other's
hardware address: with one that nobody has, packets vanish, and nobody is told of it. With that of the `wall`,
which takes every address for its own, the end that sends is refused by a TCP reset. Needs root, iproute2 and
nsenter (util-linux), no packet filter and no module of the kernel beyond bridge and veth.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Literal, Self, TypeVar

T = TypeVar("T")

Cut = Literal["vanish", "reset"]

_SLOTS: Final = range(1, 200)
_WALL: Final = "wall"
_IP: Final = shutil.which("ip") or "ip"
_NOBODY: Final = "02:67:77:00:00:fe"
_NAMED: Final = Path("/run/netns")
_CLONE_NEWNET: Final = 0x40000000
_OURS: Final = re.compile(r"gwrig([0-9]+)(?:-.*|v[0-9]+)?")


class NoNamespaces(Exception):  # noqa: N818 - it says what there isn't
    """Machines can't be made here; the text says why and what would help."""


def _ip(*batch: str) -> None:
    """Run commands of `ip`, the first that fails ends it.

    Raises:
        NoNamespaces: the system doesn't let us, or has no such thing.
    """
    done = subprocess.run(
        [_IP, "-batch", "-"], input="\n".join(batch), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise NoNamespaces(f"ip {batch[0]}, and what follows: {done.stderr.strip()[:300]}")


def _keep_quiet() -> None:
    """Answer ARP for the machine's own address alone, and ask in its name: the wall has others' as well."""
    for what, value in (("arp_ignore", "1"), ("arp_announce", "2")):
        Path(f"/proc/sys/net/ipv4/conf/all/{what}").write_text(value)


def _claim(slot: int) -> socket.socket | None:
    """Take a slot until the socket is closed or the process ends, however it does; None: it is taken."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0gwrig-{slot}")
    except OSError as wrong:
        claim.close()
        if wrong.errno == errno.EADDRINUSE:
            return None
        raise
    return claim


def _existing() -> dict[int, set[str]]:
    """Return what there is by slots: namespaces and interfaces."""
    found: dict[int, set[str]] = {}
    for folder in (_NAMED, Path("/sys/class/net")):
        for path in folder.iterdir() if folder.is_dir() else []:
            if match := _OURS.fullmatch(path.name):
                found.setdefault(int(match[1]), set()).add(path.name)
    return found


def pids_in(namespace: str) -> list[int]:
    """Return the processes in a namespace."""
    done = subprocess.run([_IP, "netns", "pids", namespace], capture_output=True, text=True, check=False)
    return [int(pid) for pid in done.stdout.split()]


def _remove(slot: int) -> None:
    """End what runs in a slot's namespaces, and remove them and its interfaces."""
    names = _existing().get(slot, set())
    for name in names:
        if "-" in name:
            for pid in pids_in(name):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
    for name in names:
        what = [_IP, "netns", "del", name] if "-" in name else [_IP, "link", "del", name]
        subprocess.run(
            what, capture_output=True, check=False
        )  # an interface may have gone with its other end


def sweep() -> list[int]:
    """Remove what runs that ended without a chance to do so have left; return their slots."""
    swept: list[int] = []
    for slot in _existing():
        if (claim := _claim(slot)) is not None:
            with claim:
                _remove(slot)
                swept.append(slot)
    return swept


class Network:
    """Machines by their names, as long as the `with` block lasts.

    Raises:
        NoNamespaces: they can't be made here.
    """

    def __init__(self, names: Sequence[str]) -> None:
        if os.geteuid() != 0:
            raise NoNamespaces("namespaces need root; run this as root")
        for program in ("ip", "nsenter"):
            if shutil.which(program) is None:
                raise NoNamespaces(f"there is no {program}; scripts/tools installs it")
        sweep()
        self._numbers = {name: at for at, name in enumerate([_WALL, *names], start=1)}
        self._cut: dict[tuple[str, str], Cut] = {}
        self._lock = threading.Lock()
        for slot in _SLOTS:
            if (claim := _claim(slot)) is not None:
                self.slot, self._claim = slot, claim
                break
        else:
            raise NoNamespaces(f"all {len(_SLOTS)} slots are taken by runs that go on")
        try:
            self._make()
        except BaseException:
            self.close()
            raise

    def _make(self) -> None:
        bridge = f"gwrig{self.slot}"
        _ip(
            f"link add {bridge} type bridge",
            f"addr add {self.gateway}/24 dev {bridge}",
            f"link set {bridge} up",
        )
        for name, number in self._numbers.items():
            space, port = self.namespace(name), f"{bridge}v{number}"
            _ip(
                f"netns add {space}",
                f"link add {port} type veth peer name eth0 netns {space}",
                f"link set {port} master {bridge} up",
            )
            self._within(
                name,
                "link set lo up",
                f"link set eth0 address {self._hardware(name)} up",
                f"addr add {self.address(name)}/24 dev eth0",
            )

        self.on(_WALL, _keep_quiet)

    def _within(self, name: str, *batch: str) -> None:
        done = subprocess.run(
            [_IP, "-n", self.namespace(name), "-batch", "-"],
            input="\n".join(batch),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise NoNamespaces(f"{name}: ip {batch[0]}, and what follows: {done.stderr.strip()[:300]}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End what still runs in the machines, and remove them."""
        _remove(self.slot)
        self._claim.close()

    @property
    def gateway(self) -> str:
        """The address by which machines reach the one that made them."""
        return f"10.213.{self.slot}.254"

    def address(self, name: str) -> str:
        """Return a machine's address on the bridge."""
        return f"10.213.{self.slot}.{self._numbers[name]}"

    def namespace(self, name: str) -> str:
        """Return the name under /run/netns."""
        return f"gwrig{self.slot}-{name}"

    def _hardware(self, name: str) -> str:
        return f"02:67:77:{self.slot:02x}:00:{self._numbers[name]:02x}"

    def inside(self, name: str, arguments: Sequence[str]) -> list[str]:
        """Return the command that runs another one on a machine, as the same process."""
        return ["nsenter", f"--net={_NAMED / self.namespace(name)}", "--", *arguments]

    def pids(self, name: str) -> list[int]:
        """Return the processes that run on a machine."""
        return pids_in(self.namespace(name))

    def on(self, name: str, make: Callable[[], T]) -> T:
        """Call something on a machine, for a process that isn't on it: sockets stay where they were made."""
        made: list[T] = []
        failed: list[OSError] = []

        def call() -> None:
            try:
                with (_NAMED / self.namespace(name)).open("rb") as file:
                    if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), _CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), f"can't enter {name}")
                made.append(make())
            except OSError as wrong:
                failed.append(wrong)

        thread = threading.Thread(target=call)  # a thread of its own, so that none has to find its way back
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return made[0]

    def cut(self, one: str, other: str, how: Cut = "vanish") -> None:
        """Cut the link between two machines.

        Args:
            one, other: their names.
            how: `vanish`: whatever is sent either way is gone, and nobody hears of it. `reset`: whatever
                `one` sends is answered by a TCP reset, while `other` hears nothing.
        """
        with self._lock:
            self._cut[one, other] = how
            self._apply(one, other)

    def mend(self, one: str, other: str) -> None:
        """Undo `cut`; a link that is cut from its other side too stays cut."""
        with self._lock:
            if self._cut.pop((one, other), None) is not None:
                self._apply(one, other)

    def _apply(self, one: str, other: str) -> None:
        """Let each end believe what it should."""
        is_cut = bool({(one, other), (other, one)} & self._cut.keys())
        for end, peer in ((one, other), (other, one)):
            if self._cut.get((end, peer)) == "reset":
                self._within(_WALL, f"route replace local {self.address(peer)}/32 dev lo")
                self._believe(end, peer, self._hardware(_WALL))
            else:
                self._believe(end, peer, _NOBODY if is_cut else self._hardware(peer))

    def _believe(self, name: str, peer: str, hardware: str) -> None:
        self._within(name, f"neigh replace {self.address(peer)} lladdr {hardware} nud permanent dev eth0")
