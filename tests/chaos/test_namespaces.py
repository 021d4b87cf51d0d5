"""Machines in namespaces: a cut link is cut, a mended one goes on, and nothing of them stays."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from chaos.namespaces import Network, sweep
from support.cluster import is_alive, until
from support.machines import PORT, dialled, listening, machines

ROOT: Final = Path(__file__).parent.parent.parent
SOON_S: Final = 0.4
"""Long enough for what passes at once on one machine, and for a first retransmission."""

AGAIN_S: Final = 15.0
"""TCP waits twice as long before each retransmission: after a short cut it goes on within this."""


@contextlib.contextmanager
def connected(network: Network, one: str, other: str) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Give both ends of a connection from one machine to another."""
    with listening(network, other) as server, dialled(network, one, (network.address(other), PORT)) as client:
        accepted, _ = server.accept()
        with accepted:
            client.settimeout(AGAIN_S)
            accepted.settimeout(AGAIN_S)
            yield client, accepted


def arrives(sender: socket.socket, receiver: socket.socket, seconds: float) -> bool:
    """Send a byte and say whether it comes within a time."""
    sender.send(b"x")
    return comes(receiver, seconds)


def comes(receiver: socket.socket, seconds: float) -> bool:
    receiver.settimeout(seconds)
    try:
        return receiver.recv(1) == b"x"
    except TimeoutError:
        return False


def test_what_is_cut_is_gone_without_a_word_and_comes_when_the_link_is_mended() -> None:
    with machines("a", "b") as network, connected(network, "a", "b") as (a, b):
        assert arrives(a, b, AGAIN_S)
        assert arrives(b, a, AGAIN_S)
        network.cut("a", "b")
        assert not arrives(a, b, SOON_S)
        assert not arrives(b, a, SOON_S)
        network.mend("a", "b")
        assert comes(b, AGAIN_S)
        assert comes(a, AGAIN_S)


def test_a_dial_over_a_cut_link_is_not_answered() -> None:
    with machines("a", "b") as network, listening(network, "b"):
        network.cut("b", "a")
        with pytest.raises(TimeoutError):
            dialled(network, "a", (network.address("b"), PORT), SOON_S)


def test_other_links_stay_when_one_is_cut() -> None:
    with machines("a", "b", "c") as network:
        network.cut("a", "b")
        with connected(network, "a", "c") as (a, c):
            assert arrives(a, c, AGAIN_S)
        with connected(network, "c", "b") as (c, b):
            assert arrives(c, b, AGAIN_S)


def test_a_link_that_is_cut_from_both_sides_has_to_be_mended_from_both() -> None:
    with machines("a", "b") as network, connected(network, "a", "b") as (a, b):
        network.cut("a", "b")
        network.cut("b", "a")
        network.mend("a", "b")
        assert not arrives(a, b, SOON_S)
        network.mend("b", "a")
        assert comes(b, AGAIN_S)


def test_a_reset_is_told_to_the_one_and_not_to_the_other() -> None:
    with machines("a", "b") as network, connected(network, "a", "b") as (a, b):
        network.cut("a", "b", "reset")
        a.send(b"x")
        with pytest.raises(ConnectionResetError):
            a.recv(1)
        assert not comes(b, SOON_S)
        with pytest.raises(ConnectionRefusedError):
            dialled(network, "a", (network.address("b"), PORT))
        network.mend("a", "b")
        dialled(network, "a", (network.address("b"), PORT)).close()


LOCKED_S: Final = 1.1
"""So long Linux believes what it has learned of a neighbour, whatever somebody else says (`locktime`)."""


def test_who_refuses_in_the_place_of_another_is_not_taken_for_it_by_the_rest() -> None:
    with machines("a", "b", "c") as network, connected(network, "c", "b") as (c, b):
        assert arrives(c, b, AGAIN_S)
        time.sleep(LOCKED_S)
        network.cut("a", "b", "reset")
        with pytest.raises(ConnectionRefusedError):
            dialled(network, "a", (network.address("b"), PORT))
        assert arrives(c, b, AGAIN_S)
        assert learned(network, "c", "b") == hardware(network, "b")


def test_nobody_answers_in_the_place_of_a_machine_that_is_gone() -> None:
    with machines("a", "b", "c") as network:
        network.cut("a", "b", "reset")
        ip(network, "b", "link", "set", "eth0", "down")
        with pytest.raises(TimeoutError):
            dialled(network, "c", (network.address("b"), PORT), SOON_S)


def hardware(network: Network, name: str) -> str:
    return ip(network, name, "-br", "link", "show", "eth0").split()[2]


def learned(network: Network, name: str, of: str) -> str:
    """Return the hardware address that a machine takes for that of another."""
    return ip(network, name, "neigh", "show", network.address(of)).split("lladdr ")[1].split()[0]


def ip(network: Network, name: str, *options: str) -> str:
    command = ["ip", "-n", network.namespace(name), *options]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_each_machine_has_a_loopback_of_its_own_and_the_maker_reaches_all() -> None:
    with machines("a", "b") as network, listening(network, "b") as server:
        with pytest.raises(ConnectionRefusedError):
            dialled(network, "a", ("127.0.0.1", PORT))
        with socket.create_connection((network.address("b"), PORT), 5):
            accepted, (peer, _) = server.accept()
            accepted.close()
            assert peer == network.gateway


def left() -> set[str]:
    """Return all that may be left of machines."""
    folders = (Path("/run/netns"), Path("/sys/class/net"))
    names = {one.name for folder in folders if folder.is_dir() for one in folder.iterdir()}
    return {one for one in names if one.startswith("gwrig")}


def of_slot(slot: int) -> set[str]:
    return {
        one for one in left() if one == f"gwrig{slot}" or one.startswith((f"gwrig{slot}-", f"gwrig{slot}v"))
    }


def test_nothing_stays_of_a_network_not_even_what_ran_there() -> None:
    with machines("a", "b") as network:
        process = subprocess.Popen(network.inside("a", ["sleep", "60"]))
        until(lambda: network.pids("a") == [process.pid], "the process itself on its machine")
        assert network.pids("b") == []
        assert len(of_slot(network.slot)) == 1 + 2 * 3  # the bridge; the wall is a machine too
    assert process.wait(5) == -signal.SIGKILL
    assert of_slot(network.slot) == set()


CRASHES: Final = """
import os, subprocess, sys
from chaos.namespaces import Network
network = Network(["a"])
process = subprocess.Popen(network.inside("a", ["sleep", "60"]), stdout=subprocess.DEVNULL)
while not network.pids("a"): pass
print(network.slot, process.pid, flush=True)
sys.stdin.read()
"""


def test_what_a_killed_run_has_left_is_swept_and_what_lives_stays() -> None:
    with machines("a") as living:
        crashing = subprocess.Popen(
            [sys.executable, "-P", "-c", CRASHES],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert crashing.stdout is not None
        slot, left_running = map(int, crashing.stdout.readline().split())
        assert slot != living.slot
        sweep()
        assert of_slot(slot), "it was swept while its run went on"
        crashing.kill()
        crashing.communicate()
        assert of_slot(slot)
        sweep()
        assert of_slot(slot) == set()
        until(lambda: not is_alive(left_running), "the end of what ran there")
        with connected_to_itself(living) as (one, other):
            assert arrives(one, other, AGAIN_S)


@contextlib.contextmanager
def connected_to_itself(network: Network) -> Iterator[tuple[socket.socket, socket.socket]]:
    with connected(network, "a", "a") as ends:
        yield ends


def test_a_cut_takes_effect_at_once() -> None:
    with machines("a", "b") as network, connected(network, "a", "b") as (a, b):
        for _ in range(5):
            network.cut("a", "b")
            a.send(b"y")  # never before the next mend
            assert not comes(b, 0.05)
            network.mend("a", "b")
            b.settimeout(AGAIN_S)
            assert b.recv(1) == b"y"


NOBODY: Final = """
import os
from chaos.namespaces import Network, NoNamespaces
os.setuid(65534)
try:
    Network(["a"])
except NoNamespaces as why:
    print(why)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="there is nobody to become")
def test_who_is_not_root_is_told_so() -> None:
    told = subprocess.run(
        [sys.executable, "-P", "-c", NOBODY],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.stdout == "namespaces need root; run this as root\n", told.stderr
