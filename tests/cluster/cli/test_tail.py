"""`gwcluster tail` as a process of its own, at a publisher that this test is."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import zmq

from gwcluster.wire.events import Header, encode_header, topic

EPOCH = "0123456789abcdef"


class Publisher:
    """An XPUB socket, which hears of each subscription before it publishes."""

    def __init__(self, folder: Path, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        address = f"ipc://{folder}/events"
        self.socket = context.socket(zmq.XPUB)
        self.socket.bind(address)
        self.file = folder / "cluster.yaml"
        self.file.write_text(f"token: ${{NOT_AT_HAND}}\nintents: 0\nevents: {{bind: '{address}'}}\n")

    def send(self, *frames: bytes) -> None:
        self.socket.send_multipart(frames)

    def event(self, name: str, shard: int = 0, payload: bytes = b'{"op":0}', **header: object) -> None:
        fields: dict[str, object] = {
            "shard": shard,
            "shards": 16,
            "epoch": EPOCH,
            "offset": 7,
            "prev": None,
            "session": 1,
            "seq": 42,
            "at": 1_700_000_000.25,
        }
        encoded = encode_header(Header(**{**fields, **header}))  # type: ignore[arg-type]
        self.send(topic(name, shard), encoded, payload)

    @contextlib.contextmanager
    def tailed(self, *arguments: str, subscriptions: int = 1) -> Iterator[subprocess.Popen[str]]:
        """Run the command and wait until it has subscribed."""
        with subprocess.Popen(
            [sys.executable, "-P", "-m", "gwcluster", "tail", str(self.file), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"PATH": os.environ["PATH"], "HOME": "/", "TZ": "UTC"},
        ) as process:
            try:
                for _ in range(subscriptions):
                    assert self.socket.poll(20_000), "nobody subscribed"
                    assert self.socket.recv().startswith(b"\x01")
                yield process
            finally:
                process.kill()


@contextlib.contextmanager
def publisher(folder: Path) -> Iterator[Publisher]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        yield Publisher(folder, context)
    finally:
        context.destroy(linger=0)


def ended(process: subprocess.Popen[str]) -> tuple[int, list[str], list[str]]:
    out, err = process.communicate(timeout=20)
    return process.returncode, out.splitlines(), err.splitlines()


def test_an_event_is_a_line_and_after_so_many_it_ends_by_itself(tmp_path: Path) -> None:
    with publisher(tmp_path) as pub, pub.tailed("--count", "2") as process:
        pub.event("MESSAGE_CREATE", 3)
        pub.event("GWCLUSTER_SHARD_STATE", 12, seq=None)
        pub.event("MESSAGE_CREATE", 3)
        code, out, err = ended(process)
    assert (code, err) == (0, [])
    assert [re.split(r"  +", line) for line in out] == [
        ["22:13:20.250", "shard 3", "MESSAGE_CREATE", "offset 7", "session 1", "seq 42", "8 bytes"],
        ["22:13:20.250", "shard 12", "GWCLUSTER_SHARD_STATE", "offset 7", "session 1", "seq -", "8 bytes"],
    ]


def test_json_is_header_and_dispatch_and_what_is_not_json_stays_a_text(tmp_path: Path) -> None:
    with publisher(tmp_path) as pub, pub.tailed("--json", "--count", "3") as process:
        pub.event("TYPING_START", 3, b'{"op":0,"d":{"x":1}}')
        pub.event("TYPING_START", 3, b"\xff{")
        pub.event("TYPING_START", 3, b"[" * 100_000)
        code, out, err = ended(process)
    assert (code, err) == (0, [])
    first, second, third = (json.loads(line) for line in out)
    assert first == {
        "name": "TYPING_START",
        "shard": 3,
        "shards": 16,
        "epoch": EPOCH,
        "offset": 7,
        "prev": None,
        "session": 1,
        "seq": 42,
        "at": 1_700_000_000.25,
        "dispatch": {"op": 0, "d": {"x": 1}},
    }
    assert second["dispatch"] == "\ufffd{"
    assert third["dispatch"] == "[" * 100_000


def test_names_and_shards_are_chosen_together(tmp_path: Path) -> None:
    chosen = ("--event", "TYPING_START", "--event", "READY", "--shard", "1", "--shard", "2", "--json")
    with publisher(tmp_path) as pub, pub.tailed(*chosen, "--count", "2", subscriptions=4) as process:
        for name, shard in (("TYPING_START", 12), ("READY", 1), ("RESUMED", 1), ("READY", 0)):
            pub.event(name, shard)
        pub.event("TYPING_START", 2)
        _, out, _ = ended(process)
    assert [(one["name"], one["shard"]) for one in map(json.loads, out)] == [
        ("READY", 1),
        ("TYPING_START", 2),
    ]


def test_a_shard_alone_is_every_event_of_that_shard_but_no_beacon(tmp_path: Path) -> None:
    with publisher(tmp_path) as pub, pub.tailed("--shard", "1", "--json", "--count", "2") as process:
        pub.event("GWCLUSTER_BEACON", 1)
        pub.event("READY", 1)
        pub.event("READY", 11)
        pub.event("RESUMED", 1)
        _, out, _ = ended(process)
    assert [json.loads(line)["name"] for line in out] == ["READY", "RESUMED"]


def test_beacons_are_shown_to_whom_asks_for_them(tmp_path: Path) -> None:
    with publisher(tmp_path) as pub, pub.tailed("--event", "GWCLUSTER_BEACON", "--count", "1") as process:
        pub.event("GWCLUSTER_BEACON", 1)
        _, out, _ = ended(process)
    assert "GWCLUSTER_BEACON" in out[0]


def test_what_is_no_event_is_skipped_with_a_word_and_does_not_count(tmp_path: Path) -> None:
    with publisher(tmp_path) as pub, pub.tailed("--count", "1") as process:
        pub.send(b"READY.1.", b"no header")
        pub.send(b"READY.1.", b"\x80", b"{}")
        pub.send(b"no topic", b"\x80", b"{}")
        pub.event("READY", 1)
        code, out, err = ended(process)
    assert (code, len(out)) == (0, 1)
    assert err[0] == "skipped: a message of 2 frames instead of 3"
    assert err[1].startswith("skipped: header without a wire version")
    assert err[2].startswith("skipped: not a topic of the form NAME.SHARD.")


def test_a_moment_that_no_calendar_has_is_printed_as_it_is(tmp_path: Path) -> None:
    with publisher(tmp_path) as pub, pub.tailed("--count", "2") as process:
        pub.event("READY", 1, at=1e300)
        pub.event("READY", 1, at=1e15)
        code, out, err = ended(process)
    assert (code, err) == (0, [])
    assert [line.split()[0] for line in out] == ["1e+300", "1e+15"]


def test_ctrl_c_ends_it_without_a_word(tmp_path: Path) -> None:
    with publisher(tmp_path) as pub, pub.tailed() as process:
        pub.event("READY", 1)
        assert process.stdout is not None
        assert "READY" in process.stdout.readline()
        process.send_signal(2)
        assert ended(process) == (0, [], [])
