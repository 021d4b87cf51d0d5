"""Decodes and runs what docs/wire.md shows."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import zmq

from gwcluster.wire import notices
from gwcluster.wire.codec import unpack_map
from gwcluster.wire.events import decode_header, encode_header, parse_topic, topic

PAGE = (Path(__file__).parents[3] / "docs" / "wire.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
EXAMPLES = [
    ([bytes.fromhex(line) for line in shown.splitlines()], json.loads(meant))
    for (kind, shown), (_, meant) in pairwise(BLOCKS)
    if kind == "hex"
]


def test_there_are_three_examples() -> None:
    assert [meant["topic"].split(".")[0] for _, meant in EXAMPLES] == [
        "MESSAGE_CREATE",
        "GWCLUSTER_BEACON",
        "GWCLUSTER_CLUSTER_STATE",
    ]


@pytest.mark.parametrize(("frames", "meant"), EXAMPLES)
def test_the_hex_is_what_the_page_says_and_what_we_send(frames: list[bytes], meant: dict[str, Any]) -> None:
    first, second, third = frames
    assert first.decode() == meant["topic"]
    assert unpack_map(second, max_bytes=4096) == meant["header"]
    assert third.decode() == meant["payload"]
    assert topic(*parse_topic(first)) == first
    assert encode_header(decode_header(second)) == second


def test_the_notices_on_the_page_are_ours() -> None:
    payloads = [frames[2] for frames, _ in EXAMPLES]
    assert payloads[1] == notices.beacon({"READY": 0, "MESSAGE_CREATE": 41})
    assert payloads[2] == notices.cluster_state(15, 16, 1, 0)
    for state in notices.ShardState:
        assert f"`{state}`" in PAGE
    for name in (notices.SHARD_STATE, notices.SESSION_LOST, notices.BEACON, notices.CLUSTER_STATE):
        assert f"| `{name}` |" in PAGE


def test_the_pieces_of_the_header_are_the_header() -> None:
    (pieces,) = (text for kind, text in BLOCKS if kind == "header")
    hexes = [re.match(r"(?:[0-9a-f]{2,} +)+", line) for line in pieces.splitlines()]
    assert b"".join(bytes.fromhex(found[0]) for found in hexes if found) == EXAMPLES[0][0][1]


def test_every_header_key_is_in_the_table() -> None:
    for key in EXAMPLES[0][1]["header"]:
        assert f"| `{key}` |" in PAGE


@pytest.mark.timeout(30)
def test_the_subscriber_on_the_page_prints_the_event() -> None:
    (program,) = (text for kind, text in BLOCKS if kind == "python")
    frames = EXAMPLES[0][0]
    with zmq.Context() as context, context.socket(zmq.XPUB) as publisher:
        publisher.setsockopt(zmq.LINGER, 0)
        port = publisher.bind_to_random_port("tcp://127.0.0.1")
        command = [sys.executable, "-c", program, f"tcp://127.0.0.1:{port}", "MESSAGE_CREATE"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as subscriber:
            try:
                assert publisher.poll(20_000) != 0
                assert publisher.recv() == b"\x01MESSAGE_CREATE."
                publisher.send_multipart(frames)
                assert subscriber.stdout is not None
                assert subscriber.stdout.readline() == "MESSAGE_CREATE 12 41 38 {'content': 'hi'}\n"
            finally:
                subscriber.kill()
