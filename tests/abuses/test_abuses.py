"""What ill-meant clients do to the sockets for events and requests, and how much memory that may cost.

All attack the same cluster, one after the other. While each is at it, another client hears events and has
its requests answered; at the end the simulator says whether a heartbeat was late. Most have no key: on
loopback none is asked for.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest
import zmq

from gwsimulator import Settings
from support.abuse import GREETING, MIB, Target, dialled, frame, free_ports, greet, ready
from support.cluster import running, until
from support.discord import discord
from support.keys import Keys, pair

pytestmark = pytest.mark.e2e

PATIENCE_S = 20.0


def request(op: str = "status", **fields: Any) -> bytes:
    packed: bytes = msgpack.packb({"v": 1, "id": 7, "op": op, **fields})
    return packed


@contextlib.contextmanager
def attacked(tmp_path_factory: pytest.TempPathFactory, *, locked: bool) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("abused")
    ports = free_ports("events", "requests")
    keys = Keys(folder / "keys") if locked else None
    witness = None if keys is None else keys.client("witness", "read,send,operate")
    security = {} if keys is None else {"security": keys.setting}
    # A heartbeat a second, so that the simulator notices one that is late.
    settings = Settings(
        shards=2, guilds=6, rate=60.0, max_concurrency=2, heartbeat_interval_ms=1000, heartbeat_tolerance=1.0
    )
    binds = {name: f"{{bind: 'tcp://127.0.0.1:{port}'}}" for name, port in ports.items()}
    with discord(settings) as sim, running(folder, sim.api, **binds, **security) as cluster:
        target = Target(cluster, ports, keys, witness)
        cluster.wait_ready()
        yield target
        assert cluster.stop() == 0
        assert "bug:" not in cluster.text()
        assert "Traceback" not in cluster.text()


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with attacked(tmp_path_factory, locked=False) as one:
        yield one


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with attacked(tmp_path_factory, locked=True) as one:
        yield one


def is_hung_up(connection: Any) -> bool:
    """Read until the other side ends; False: it doesn't."""
    with contextlib.suppress(ConnectionError, TimeoutError):
        while connection.recv(1 << 16):
            pass
        return True
    return True


def flood(connection: Any, data: bytes, count: int) -> bool:
    """Send something again and again; say whether the other side hung up before the end, or reads no more."""
    try:
        for _ in range(count):
            connection.sendall(data)
    except OSError:
        return True
    return False


def test_00_the_means_of_these_tests_get_as_far_as_they_should(target: Target) -> None:
    with dialled(target.ports["requests"]) as (one,):
        greet(one, b"DEALER")
        one.sendall(frame(request()))
        came = b""
        while b"started_at" not in came:
            came += one.recv(4096)
    with dialled(target.ports["events"]) as (one,):
        greet(one, b"SUB")
        one.sendall(frame(b"\x01MESSAGE_CREATE."))
        assert b"MESSAGE_CREATE.".startswith(one.recv(4096)[2:17])


def test_01_frames_that_are_far_too_large(target: Target) -> None:
    with target.bounded(8):
        for port, kind in ((target.ports["requests"], b"DEALER"), (target.ports["events"], b"SUB")):
            for size in (MIB, 1 << 40, (1 << 63) - 1):
                with dialled(port) as (one,):
                    greet(one, kind)
                    with contextlib.suppress(ConnectionError):
                        one.sendall(b"\x02" + size.to_bytes(8, "big"))
                        one.sendall(bytes(min(size, 4 * MIB)))
                    assert is_hung_up(one)


def test_02_requests_that_are_nested_or_claim_to_be_large(target: Target) -> None:
    bodies = [
        b"\x91" * 60_000,
        b"\x81\xa1x" * 20_000,
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff\xa1v\x01",
        b"\xc6\xff\xff\xff\xff",
        b"\x85\xa1v\x01\xa2id\xdb\xff\xff\xff\xff",
        request(id=[[[[[[]]]]]] * 200),
    ]
    with target.bounded(8), target.client(zmq.DEALER) as dealer:
        for body in bodies * 50:
            dealer.send(body)
        for _ in range(len(bodies) * 50):
            assert dealer.poll(int(1000 * PATIENCE_S))
            found = msgpack.unpackb(dealer.recv())
            assert found["ok"] or found["error"]["code"] in {"bad_request", "rate_limited"}


def test_03_numbers_that_can_not_be(target: Target) -> None:
    numbers: list[Any] = [
        -1,
        -(1 << 63),
        1 << 53,
        (1 << 64) - 1,
        1e308,
        float("nan"),
        float("inf"),
        "1",
        None,
        True,
    ]
    with target.bounded(8), target.client(zmq.DEALER) as dealer:
        asked = 0
        for number in numbers:
            for key in ("v", "shard", "after", "limit", "max_bytes", "guild_id", "ttl"):
                for op in ("replay", "send", "status"):
                    fields = {
                        "v": 1,
                        "id": 7,
                        "op": op,
                        "shard": 0,
                        "payload": {"op": 3, "d": {}},
                        key: number,
                    }
                    dealer.send(msgpack.packb(fields))
                    asked += 1
        for _ in range(asked):
            assert dealer.poll(int(1000 * PATIENCE_S)), "each is answered"
            dealer.recv()


def test_04_a_flood_of_garbage(target: Target) -> None:
    dice = random.Random(4)
    with target.bounded(16), target.client(zmq.DEALER) as dealer:
        for _ in range(20_000):
            dealer.send(dice.randbytes(dice.randrange(64)))
        for _ in range(1000):
            assert dealer.poll(int(1000 * PATIENCE_S))
            dealer.recv()


def test_05_a_flood_of_replays(target: Target) -> None:
    with target.bounded(32), contextlib.ExitStack() as stack:
        for _ in range(8):
            dealer = stack.enter_context(target.client(zmq.DEALER))
            for _ in range(2000):
                dealer.send(request("replay", shard=0))
        time.sleep(1.0)


def test_06_answers_that_nobody_reads(target: Target) -> None:
    with target.bounded(32), dialled(target.ports["requests"], 8) as connections:
        for one in connections:
            greet(one, b"DEALER")
            one.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                for _ in range(300):
                    one.sendall(frame(request("replay", shard=0)) + frame(request()))
        time.sleep(0.5)


def test_07_events_that_nobody_reads(target: Target) -> None:
    with target.bounded(16), dialled(target.ports["events"], 50) as connections:
        for one in connections:
            greet(one, b"SUB")
            one.sendall(frame(b"\x01"))
        time.sleep(1.0)


def test_08_very_many_subscriptions(target: Target) -> None:
    with target.bounded(160), dialled(target.ports["events"], 4) as connections:
        for one in connections:
            greet(one, b"SUB")
        topics = [b"".join(frame(b"\x01" + os.urandom(20)) for _ in range(500)) for _ in range(500)]
        hung_up = [any(flood(one, topic, 1) for topic in topics) for one in connections]
        assert all(hung_up)
        target.said("more than any client needs to")


def test_09_a_subscription_to_a_very_long_topic(target: Target) -> None:
    with target.bounded(8), dialled(target.ports["events"]) as (one,):
        greet(one, b"SUB")
        with contextlib.suppress(ConnectionError):
            one.sendall(frame(b"\x01" + b"A" * 100_000))
        assert is_hung_up(one)


@pytest.mark.parametrize(("name", "kind"), [("requests", b"DEALER"), ("events", b"SUB")])
def test_10_a_message_that_has_no_end(target: Target, name: str, kind: bytes) -> None:
    part = frame(b"x" * 900, more=True) * 64
    with target.bounded(128), dialled(target.ports[name]) as (one,):
        greet(one, kind)
        one.settimeout(2.0)
        assert flood(one, part, 40_000), "2 GiB were taken"


def test_11_connections_that_say_nothing(target: Target) -> None:
    with (
        target.bounded(16),
        dialled(target.ports["events"], 300),
        dialled(target.ports["requests"], 300) as connections,
    ):
        started = time.monotonic()
        assert all(is_hung_up(one) for one in connections)
        assert time.monotonic() - started < PATIENCE_S


def test_12_greetings_a_byte_at_a_time(target: Target) -> None:
    with target.bounded(8), dialled(target.ports["requests"], 100) as connections:
        for byte in (GREETING + ready(b"DEALER"))[:20]:
            for one in connections:
                with contextlib.suppress(ConnectionError):
                    one.sendall(bytes([byte]))
            time.sleep(0.05)


def test_13_what_is_no_zmtp(target: Target) -> None:
    dice = random.Random(13)
    garbage = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01" + dice.randbytes(200),
        b"\x01\x00",
        b"\xff" + bytes(7) + b"\x01\x7f\x00",
        GREETING.replace(b"NULL", b"PLAIN"[:4]),
        GREETING[:12] + b"CURVE" + GREETING[17:],
        GREETING + b"\x04\xff" + dice.randbytes(100),
        GREETING + ready(b"NONSENSE"),
        GREETING + ready(b"PUB"),
        GREETING + ready(b"DEALER")[:-3],
        *(dice.randbytes(dice.randrange(1, 300)) for _ in range(50)),
        *(GREETING + dice.randbytes(dice.randrange(1, 300)) for _ in range(50)),
    ]
    with target.bounded(8):
        for name in ("events", "requests"):
            for data in garbage:
                with dialled(target.ports[name]) as (one,), contextlib.suppress(ConnectionError):
                    one.sendall(data)
            for _ in range(50):
                with dialled(target.ports[name]) as (one,), contextlib.suppress(ConnectionError):
                    greet(one, b"DEALER" if name == "requests" else b"SUB")
                    one.sendall(dice.randbytes(dice.randrange(1, 300)))


def test_14_clients_that_come_and_go(target: Target) -> None:
    with target.bounded(16):
        for _ in range(600):
            with dialled(target.ports["requests"]) as (one,):
                greet(one, b"DEALER")
                one.sendall(frame(request()) + frame(request("replay", shard=0)))
        for _ in range(200):
            with dialled(target.ports["events"]) as (one,):
                greet(one, b"SUB")
                one.sendall(frame(b"\x01"))


def test_who_asks_much_and_is_read_is_no_attacker(target: Target) -> None:
    large = request("send", shard=0, payload={"op": 3, "d": "x" * 60_000})
    before = target.cluster.text().count("was disconnected")
    with target.bounded(16), target.client(zmq.DEALER) as dealer:
        for _ in range(200):
            dealer.send(large)
            assert dealer.poll(int(1000 * PATIENCE_S))
            assert msgpack.unpackb(dealer.recv())["error"]["code"] == "too_large"
    assert target.cluster.text().count("was disconnected") == before


def test_15_a_flood_of_connections_without_a_key(locked: Target) -> None:
    with locked.bounded(16):
        for name, kind in (("requests", b"DEALER"), ("events", b"SUB")):
            with dialled(locked.ports[name], 200) as connections:
                for one in connections:
                    greet(one, kind)
                    with contextlib.suppress(ConnectionError):
                        one.sendall(frame(b"\x01") + frame(request()))
                assert all(is_hung_up(one) for one in connections)


def test_16_a_flood_of_connections_with_keys_that_nobody_knows(locked: Target) -> None:
    keys = locked.keys
    assert keys is not None
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    dialling: list[zmq.Socket[bytes]] = []
    monitors: list[zmq.Socket[bytes]] = []
    try:
        with locked.bounded(16):
            for _ in range(100):
                for kind, address in ((zmq.SUB, locked.events), (zmq.DEALER, locked.requests)):
                    made = context.socket(kind)
                    dialling.append(made)
                    keys.prove(made, pair())
                    monitors.append(made.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_AUTH))
                    made.connect(address)
            for monitor in monitors:
                assert monitor.poll(int(1000 * PATIENCE_S)), "it was refused"
            until(lambda: "which no client has" in locked.cluster.text(), "it to be said")
        assert locked.cluster.text().count("which no client has") < 20, "not said 200 times"
    finally:
        for made in (*monitors, *dialling):
            made.close(0)
        context.destroy(linger=0)
