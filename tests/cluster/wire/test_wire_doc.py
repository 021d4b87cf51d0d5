"""Decodes and runs what docs/wire.md shows."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import zmq

from gwcluster.board import Board
from gwcluster.hosts.document import document as hosts_document
from gwcluster.hosts.entries import HostEntry
from gwcluster.hosts.snapshot import HostNow, Snapshot
from gwcluster.log import Expired
from gwcluster.requests.status import News, Run, document
from gwcluster.supervise.rolling import Rolled
from gwcluster.wire import notices
from gwcluster.wire.codec import unpack_map
from gwcluster.wire.events import Header, decode_header, encode_header, parse_topic, topic
from gwcluster.wire.refusals import Refusal
from gwcluster.wire.requests import (
    EXPIRED,
    MAX_ITEMS,
    OPS,
    WRONG_EPOCH,
    Replay,
    Send,
    accepted,
    parse,
    refused,
    replayed,
)

PAGE = (Path(__file__).parents[3] / "docs" / "wire.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
EXAMPLES = [
    ([bytes.fromhex(line) for line in shown.splitlines()], json.loads(meant))
    for (kind, shown), (_, meant) in pairwise(BLOCKS)
    if kind == "hex"
]
ASKED, ANSWERED = (
    [
        (bytes.fromhex(shown), json.loads(meant))
        for (kind, shown), (_, meant) in pairwise(BLOCKS)
        if kind == which
    ]
    for which in ("request", "answer")
)
PROGRAMS = [text for kind, text in BLOCKS if kind == "python"]


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
    assert payloads[1] == notices.beacon({"READY": 0, "MESSAGE_CREATE": 41}, None)
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
    program = PROGRAMS[0]
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


def test_the_requests_on_the_page_are_read_as_it_says() -> None:
    assert [meant["op"] for _, meant in ASKED] == ["replay", "send"]
    for body, meant in ASKED:
        assert unpack_map(body, max_bytes=4096) == meant
    names = frozenset({"MESSAGE_CREATE"})
    assert parse(ASKED[0][0]) == Replay(7, 12, "9f86d081884c7d65", 38, names, 1000, 1 << 20)
    assert parse(ASKED[1][0]) == Send(8, ASKED[1][1]["payload"], None, "197038439483310086", None)


def test_the_answers_on_the_page_are_what_we_send() -> None:
    frames = EXAMPLES[0][0]
    ask = parse(ASKED[0][0])
    assert isinstance(ask, Replay)
    event = frames[0], frames[1], frames[2]
    epoch = "9f86d081884c7d65"
    sent = [
        replayed(ask, epoch=epoch, events=[event], holes=[], more=False, last=41, oldest=0, newest=41),
        refused(7, EXPIRED, str(Expired(38, 1000)), oldest=1000),
        accepted(8),
    ]
    assert [body for body, _ in ANSWERED] == sent
    for body, meant in ANSWERED:
        found = unpack_map(body, max_bytes=4096)
        if "events" in found:
            found["events"] = [[frame.hex() for frame in each] for each in found["events"]]
        assert found == meant


def test_every_key_of_a_replay_every_code_and_every_bound_is_on_the_page() -> None:
    for key in ("shard", "epoch", "after", "names", "limit", "max_bytes"):
        assert f"| `{key}` |" in PAGE
    for key in set(ANSWERED[0][1]) - {"v", "id", "ok", "shard", "epoch"}:
        assert f"| `{key}` |" in PAGE
    codes = [*(refusal.value for refusal in Refusal), EXPIRED, WRONG_EPOCH]
    table = PAGE[PAGE.index("## What may go wrong") : PAGE.index("## Requests, byte by byte")]
    assert set(re.findall("`([a-z_]+)`", "".join(re.findall(r"^\| (.+?) \|", table, re.MULTILINE)))) == set(
        codes
    )
    assert f"at most {MAX_ITEMS} members" in PAGE
    assert OPS == ("replay", "send", "status", "restart", "drain")


def test_every_key_of_the_status_is_on_the_page() -> None:
    board, rolling, rolled = Board([0], 0.0, clock=lambda: 0.0), Rolled(1, 2), Rolled(1, 2, "slow", 3.0)
    news = News(None, rolling, rolled)
    told = document(Run("x", "1", 1, 0.0), board, now=0.0, shards=1, identifies=None, news=news)
    section = PAGE[PAGE.index("## status: how the cluster is") : PAGE.index("### hosts")]
    columns = " ".join(re.findall(r"^\| (.+?) \|", section, re.MULTILINE))
    assert set(re.findall("`([a-z_]+)`", columns)) == set(told) | set(told["shard"][0])
    assert {f"`{key}`" for key in told["rolled"]} <= set(re.findall("`[a-z_]+`", section))


def test_every_key_of_hosts_in_the_status_is_on_the_page() -> None:
    entry = HostEntry("a", "1f", "1.2.3", 0.0, 0.0)
    seen = Snapshot("a", False, {}, (HostNow(entry, 0.0, ()),), (), True, None, None, None, None, None)
    told = hosts_document(seen, lease_s=15.0, spare_s=3.0)
    section = PAGE[PAGE.index("### hosts") : PAGE.index("## restart: new workers")]
    columns = re.findall(r"^\| (`[a-z_]+`) \|", section, re.MULTILINE)
    assert columns == [f"`{key}`" for key in (*told, *told["nats"])]
    (row,) = re.findall(r"^\| `hosts` \|.*", section, re.MULTILINE)
    for key in (*told["hosts"][0], *told["hosts"][0]["addresses"]):
        assert f"`{key}`" in row, key


# What the second program does where a log or a disk isn't as it should be. The rest is in tests/e2e.

OLD, NEW = "a" * 16, "b" * 16


def event(offset: int, prev: int | None, epoch: str = OLD) -> tuple[bytes, bytes, bytes]:
    header = encode_header(Header(3, 4, epoch, offset, prev, 1, offset, 0.0))
    return topic("A", 3), header, b'{"d":{}}'


def beacon_of(offset: int, epoch: str = OLD, *, name: str = "A") -> tuple[bytes, bytes, bytes]:
    """Return a beacon that tells of `name`, and of all others the same, as far as they are left out."""
    header = encode_header(Header(3, 4, epoch, offset, None, 1, None, 0.0))
    others = None if name == "A" else offset
    return topic(notices.BEACON, 3), header, notices.beacon({name: offset, "OTHER": 999}, others)


class Log:
    """A shard's log as a test wants it."""

    def __init__(self) -> None:
        self.epoch = OLD
        self.events: dict[int, tuple[bytes, bytes, bytes]] = {}
        self.holes: list[tuple[int, int]] = []
        self.oldest, self.newest = 0, 10

    def answer(self, body: bytes) -> bytes:
        ask = parse(body)
        if not isinstance(ask, Replay):
            return accepted(None, status={"ids": [3]})
        if ask.epoch not in (None, self.epoch):
            return refused(None, WRONG_EPOCH, "anew", epoch=self.epoch)
        if ask.after is not None and ask.after + 1 < self.oldest:
            return refused(None, EXPIRED, "late", oldest=self.oldest)
        after = -1 if ask.after is None else ask.after
        found = [at for at in sorted(self.events) if at > after][: min(2, ask.limit)]
        last = found[-1] if len(found) == 2 else max(after, self.newest)
        return replayed(
            ask,
            epoch=self.epoch,
            events=[self.events[at] for at in found],
            holes=[hole for hole in self.holes if after < hole[1] <= last],
            more=last < self.newest,
            last=last,
            oldest=self.oldest,
            newest=self.newest,
        )


@contextlib.contextmanager
def follower(log: Log) -> Iterator[tuple[Callable[[tuple[bytes, bytes, bytes]], object], Callable[[], str]]]:
    """Run the second program on `log`; yield how to publish to it, and how to read a line of it."""
    over = threading.Event()
    with (
        zmq.Context() as context,
        context.socket(zmq.XPUB) as publisher,
        context.socket(zmq.ROUTER) as router,
    ):
        publisher.linger = router.linger = 0
        binds = [
            f"tcp://127.0.0.1:{each.bind_to_random_port('tcp://127.0.0.1')}" for each in (publisher, router)
        ]

        def serve() -> None:
            while not over.is_set():
                if router.poll(20):
                    *envelope, body = router.recv_multipart()
                    router.send_multipart([*envelope, log.answer(body)])

        serving = threading.Thread(target=serve)
        serving.start()
        program = PROGRAMS[1].replace("PATIENCE_S = 30", "PATIENCE_S = 0")
        command = [sys.executable, "-c", program, *binds, "A"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as follower:
            try:
                assert {publisher.recv(), publisher.recv()} == {b"\x01A.", b"\x01GWCLUSTER_BEACON."}
                assert follower.stdout is not None
                lines = follower.stdout
                yield lambda frames: publisher.send_multipart(frames), lambda: lines.readline()
            finally:
                follower.kill()
                over.set()
                serving.join()


@pytest.mark.timeout(60)
def test_the_follower_on_the_page_repairs_tells_gaps_and_begins_anew() -> None:
    log = Log()
    with follower(log) as (publish, line):
        publish(event(11, 10))
        assert line() == "A 3 11\n"
        # A break in the chain is repaired, page by page, and what comes twice is dropped.
        log.events, log.newest = {at: event(at, None) for at in (12, 14, 15)}, 15
        publish(event(16, 15))
        assert [line() for _ in range(4)] == ["A 3 12\n", "A 3 14\n", "A 3 15\n", "A 3 16\n"]
        publish(event(14, 12))
        # A lost last event is told of by a beacon.
        log.events, log.newest = {17: event(17, 16)}, 17
        publish(beacon_of(17))
        assert line() == "A 3 17\n"
        # Or not by name, since there are too many.
        log.events, log.newest = {18: event(18, 17)}, 20
        publish(beacon_of(20, name="B"))
        assert line() == "A 3 18\n"
        # What the log doesn't have is a gap.
        log.events, log.newest, log.holes = {30: event(30, 29)}, 30, [(21, 29)]
        publish(beacon_of(30))
        assert [line() for _ in range(2)] == ["gap A 3 21 29\n", "A 3 30\n"]
        # So is what has expired.
        log.events, log.newest, log.holes, log.oldest = {50: event(50, 31)}, 50, [], 40
        publish(beacon_of(50))
        assert [line() for _ in range(2)] == ["gap A 3 31 39\n", "A 3 50\n"]
        # A beacon tells of more than the disk took: patience, and then a gap.
        publish(beacon_of(52))
        assert line() == "gap A 3 51 52\n"
        # The log has started anew: known by the answer, or by the epoch of what comes.
        log.epoch, log.oldest, log.newest, log.events = NEW, 0, 1, {1: event(1, 0, NEW)}
        publish(event(60, 55))
        assert line() == f"anew 3 {NEW}\n"
        publish(event(61, 60))  # of the old one, and late
        publish(beacon_of(1, NEW))
        assert line() == "A 3 1\n"
        publish(event(0, None, "c" * 16))
        assert [line() for _ in range(2)] == [f"anew 3 {'c' * 16}\n", "A 3 0\n"]
