"""What clients that mean no good, or are only slow, can take: bounded memory, and nobody else's answers."""

from __future__ import annotations

import gzip
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.cluster import until
from support.shown_cluster import Served, served

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def server() -> Iterator[Served]:
    with served() as server:
        yield server


def dial(server: Served, receive_buffer: int | None = None) -> socket.socket:
    sock = socket.socket()
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(30)
    sock.connect(("127.0.0.1", server.port))
    return sock


def rest(sock: socket.socket) -> bytes:
    """Read until the server ends the connection."""
    found = b""
    try:
        while piece := sock.recv(65536):
            found += piece
    except ConnectionResetError:
        pass
    return found


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.parametrize(
    "sent", [b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\n", b"POST /api/restart HTTP/1.1\r\n"]
)
def test_who_never_finishes_its_request_is_cut_off(sent: bytes) -> None:
    with served(whole_s=0.3) as server, dial(server) as sock:
        sock.sendall(sent)
        assert rest(sock) == b""
        assert server.json("/healthz")[0] == 200


def test_a_body_that_comes_too_slowly_is_cut_off_too() -> None:
    with served(whole_s=0.5) as server, dial(server) as sock:
        head = b"POST /api/restart HTTP/1.1\r\nHost: localhost\r\nX-Gwcluster: operate\r\n"
        sock.sendall(head + b"Content-Length: 12\r\n\r\n" + b'{"shard":')
        assert rest(sock) == b""
        assert server.cluster.restarted == []


def test_when_all_places_are_taken_by_silent_ones_the_oldest_goes_and_others_are_answered() -> None:
    with served(connections=8, whole_s=600.0) as server, ExitStack() as stack:
        silent = [stack.enter_context(dial(server)) for _ in range(30)]
        for _ in range(20):
            assert server.json("/healthz")[0] == 200
        assert rest(silent[0]) == b""
        _, body, _ = server.ask("/metrics")
        (evicted,) = re.findall(rb"^gwcluster_http_evicted_connections_total (.*)$", body, re.MULTILINE)
        assert float(evicted) >= 22


def test_an_answer_that_nobody_reads_is_thrown_away() -> None:
    with served(shards=1000, whole_s=0.5, write_buffer_bytes=4096) as server, dial(server, 4096) as sock:
        sock.sendall(b"GET /api/status HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(1.0)
        assert len(rest(sock)) < 300_000, "all of it would be more"
        assert server.json("/healthz")[0] == 200


def test_a_reader_of_the_stream_that_takes_nothing_is_dropped_and_others_read_on() -> None:
    with (
        served(shards=1000, write_s=2.0, write_buffer_bytes=4096) as server,
        dial(server, 4096) as slow,
        dial(server) as good,
    ):
        for sock in (slow, good):
            sock.sendall(b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        seen: list[int] = []

        def read_on() -> None:
            seen.extend(len(line) for line in good.makefile("rb") if line.startswith(b"data: "))

        reader = threading.Thread(target=read_on)
        reader.start()
        until(lambda: b"gwcluster_http_slow_streams_total 1.0" in server.ask("/metrics")[1], "one dropped")
        assert len(rest(slow)) < 300_000
        before = len(seen)
        until(lambda: len(seen) > before + 1, "further messages")
        assert b"gwcluster_http_streams 1.0" in server.ask("/metrics")[1]
        good.shutdown(socket.SHUT_RDWR)
        reader.join()


def test_more_readers_of_the_stream_than_there_may_be_are_refused() -> None:
    with served(streams=3) as server, ExitStack() as stack:
        for _ in range(3):
            sock = stack.enter_context(dial(server))
            sock.sendall(b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert sock.recv(12) == b"HTTP/1.1 200"
        code, found = server.json("/api/stream")
        assert (code, found["error"]["code"]) == (503, "too_many")
        assert server.json("/healthz")[0] == 200


def test_streams_take_no_place_of_requests() -> None:
    with served(streams=8, connections=2) as server, ExitStack() as stack:
        for _ in range(8):
            sock = stack.enter_context(dial(server))
            sock.sendall(b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert sock.recv(12) == b"HTTP/1.1 200"
        assert server.json("/healthz")[0] == 200
        assert b"gwcluster_http_streams 8.0" in server.ask("/metrics")[1]


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 50,  # TLS
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nBad Header\r\n\r\n",
        b"POST /api/restart HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/restart HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 20_000 + b"\r\n\r\n",
    ],
)
def test_what_is_no_http_gets_an_error_in_json(server: Served, sent: bytes) -> None:
    with dial(server) as sock:
        sock.sendall(sent)
        head, _, body = rest(sock).partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))
    assert json.loads(body)["error"]["code"] == "bad_request"
    assert server.json("/healthz")[0] == 200


def test_endless_headers_end_the_connection(server: Served) -> None:
    with dial(server) as sock:
        try:
            sock.sendall(b"GET /healthz HTTP/1.1\r\n")
            for number in range(100_000):
                sock.sendall(b"X-%d: y\r\n" % number)
        except (BrokenPipeError, ConnectionResetError):
            pass
        else:
            pytest.fail("it took 100,000 headers")
    assert server.json("/healthz")[0] == 200


def test_who_sends_more_than_anybody_may_is_cut_off() -> None:
    with served(received_bytes=1000) as server, dial(server) as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 2000 + b"\r\n\r\n")
        assert rest(sock) == b""
        assert server.json("/healthz")[0] == 200


def test_a_body_that_is_too_long_is_refused_however_it_comes(server: Served) -> None:
    code, found = server.json("/api/restart", "POST", {"shard": 1, "x": "y" * 5000}, X_Gwcluster="operate")
    assert (code, found["error"]["code"]) == (413, "too_large")
    with dial(server) as sock:
        head = b"POST /api/restart HTTP/1.1\r\nHost: localhost\r\nX-Gwcluster: operate\r\n"
        sock.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n" + b"3e8\r\n" + b" " * 1000 + b"\r\n")
        for _ in range(5):
            sock.sendall(b"3e8\r\n" + b" " * 1000 + b"\r\n")
        assert rest(sock).startswith(b"HTTP/1.1 413")
    assert server.cluster.restarted == []


def test_what_unpacks_to_very_much_is_not_unpacked(server: Served) -> None:
    bomb = gzip.compress(b" " * (3 << 20))
    assert len(bomb) < 4096
    code, body, _ = server.ask("/api/restart", "POST", bomb, Content_Encoding="gzip", X_Gwcluster="operate")
    assert (code, json.loads(body)["error"]["code"]) == (400, "bad_request")
    assert "JSON" in json.loads(body)["error"]["message"]


def test_a_connection_is_good_for_one_request(server: Served) -> None:
    with dial(server) as sock:
        sock.sendall(GET * 3)
        found = rest(sock)
    assert found.count(b"HTTP/1.1 200") == 1
    assert b"Connection: close" in found


def test_a_flood_costs_no_memory_that_stays() -> None:
    with served(shards=100, write_buffer_bytes=4096) as server:
        for _ in range(50):
            server.ask("/api/status")
        before = resident_bytes()
        unread = []
        for _ in range(600):
            sock = dial(server, 4096)
            sock.sendall(b"GET /api/status HTTP/1.1\r\nHost: localhost\r\n\r\n")
            unread.append(sock)
            if len(unread) > 200:
                unread.pop(0).close()
        assert server.json("/healthz")[0] == 200
        assert resident_bytes() - before < 40 << 20, "64 answers of 55 kB are 4 MB"
        for sock in unread:
            sock.close()
        until(lambda: server.json("/healthz")[0] == 200, "an answer")
