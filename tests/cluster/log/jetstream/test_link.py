from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
import uvloop

from gwcluster.errors import LogError
from gwcluster.log.jetstream import names
from gwcluster.log.jetstream.answers import NoAnswer
from gwcluster.log.jetstream.light import Msg
from gwcluster.log.jetstream.link import ANSWER_S, Link
from gwcluster.log.jetstream.stream import Ends, ends, keep_log, last_of
from gwcluster.nats_login import NatsLogin
from support.nats_servers import NatsServers, nats_servers


class Noting(Link):
    """A connection that notes what is asked, and each how many seconds again."""

    def __init__(self, login: NatsLogin, name: str) -> None:
        super().__init__(login, name)
        self.asked: list[tuple[str, float | None]] = []

    async def gather(
        self,
        subject: str,
        data: bytes = b"",
        *,
        headers: dict[str, str] | None = None,
        timeout_s: float = ANSWER_S,
        one: bool = False,
        again_s: float | None = None,
    ) -> list[Msg]:
        self.asked.append((subject, again_s))
        return await super().gather(
            subject, data, headers=headers, timeout_s=timeout_s, one=one, again_s=again_s
        )


def connected(login: NatsLogin, use: Callable[[Link], Awaitable[None]], kind: type[Link] = Link) -> None:
    async def run() -> None:
        link = await kind.connect(login, name="test", timeout_s=5.0)
        try:
            await use(link)
        finally:
            await link.close()

    uvloop.run(run())


async def works(link: Link) -> None:
    assert await keep_log(link, "works", 0, 1 << 20) == Ends(0, 0)


def refused(login: NatsLogin, timeout_s: float = 1.0) -> str:
    async def run() -> None:
        await Link.connect(login, name="test", timeout_s=timeout_s)

    with pytest.raises(LogError) as caught:
        uvloop.run(run())
    return str(caught.value)


def kept(path: Path, secret: str) -> str:
    path.write_text(f"{secret}\n")
    return str(path)


def test_a_password_is_told_and_a_wrong_one_is_an_error_without_it(tmp_path: Path) -> None:
    right, wrong = kept(tmp_path / "right", "s3cret"), kept(tmp_path / "wrong", "wr0ng")
    with nats_servers(tmp_path / "n", authorization={"user": "gw", "password": "s3cret"}) as servers:
        urls = tuple(servers.urls)
        connected(NatsLogin(urls, user="gw", password_file=right), works)
        said = refused(NatsLogin(urls, user="gw", password_file=wrong))
        assert said.startswith(f"no NATS server takes us at {urls[0]}: ")
        assert "wr0ng" not in said


def test_a_token_is_told(tmp_path: Path) -> None:
    right, wrong = kept(tmp_path / "right", "t0ken"), kept(tmp_path / "wrong", "t0kem")
    with nats_servers(tmp_path / "n", authorization={"token": "t0ken"}) as servers:
        connected(NatsLogin(tuple(servers.urls), token_file=right), works)
        assert "t0kem" not in refused(NatsLogin(tuple(servers.urls), token_file=wrong))


def test_certificates_are_shown_and_verified(tmp_path: Path) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    for who in ("127.0.0.1", "us@example.test"):
        issued = ca.issue_cert(who)
        issued.private_key_pem.write_to_path(tmp_path / f"{who}.key")
        issued.cert_chain_pems[0].write_to_path(tmp_path / f"{who}.pem")
    tls = {
        "cert_file": str(tmp_path / "127.0.0.1.pem"),
        "key_file": str(tmp_path / "127.0.0.1.key"),
        "ca_file": str(tmp_path / "ca.pem"),
        "verify": True,
    }
    cert_file, key_file = str(tmp_path / "us@example.test.pem"), str(tmp_path / "us@example.test.key")
    with nats_servers(tmp_path / "n", tls=tls) as servers:
        ca_file = str(tmp_path / "ca.pem")
        urls = tuple(url.replace("nats://", "tls://") for url in servers.urls)
        connected(NatsLogin(urls, ca_file=ca_file, cert_file=cert_file, key_file=key_file), works)
        assert "no NATS server takes us" in refused(NatsLogin(urls, ca_file=ca_file))
        assert "verify failed" in refused(NatsLogin(urls, cert_file=cert_file, key_file=key_file))


def test_nobody_there_is_an_error_that_names_the_address() -> None:
    said = refused(NatsLogin(("nats://127.0.0.1:1",)), 0.5)
    assert said.startswith("no NATS server takes us at nats://127.0.0.1:1: ")


def test_a_server_that_is_too_old_is_refused_in_words() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        info = {"server_id": "x", "version": "2.10.29", "proto": 1, "headers": True, "max_payload": 1 << 20}
        writer.write(b"INFO " + json.dumps(info).encode() + b"\r\n")
        while line := await reader.readline():
            if line.startswith(b"PING"):
                writer.write(b"PONG\r\n")
        writer.close()

    async def run() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(LogError, match=r"of version 2\.10\.29; 2\.11 or newer is needed: upgrade it"):
                await Link.connect(NatsLogin((f"nats://127.0.0.1:{port}",)), name="test")

    asyncio.run(run())


def test_without_jetstream_it_is_said_that_it_does_not_answer(tmp_path: Path) -> None:
    async def use(link: Link) -> None:
        with pytest.raises(NoAnswer, match="it isn't enabled, or has no leader"):
            await keep_log(link, "none", 0, 1 << 20)

    servers = NatsServers(tmp_path, 1)
    configuration = tmp_path / "0.conf"
    said: dict[str, Any] = json.loads(configuration.read_text())
    del said["jetstream"]
    configuration.write_text(json.dumps(said))
    servers.start()
    try:
        connected(NatsLogin(tuple(servers.urls)), use)
    finally:
        servers.stop()


def test_what_changes_nothing_is_asked_again_until_it_is_answered(nats: NatsServers) -> None:
    async def use(link: Link) -> None:
        asked: list[str] = []

        async def leader(message: Msg) -> None:
            asked.append(message.data.decode())
            if len(asked) == 3:  # those before died with their questions
                await link.client.publish(message.reply, b"here")

        await link.client.subscribe("stream.info", cb=leader)
        got = await link.gather("stream.info", b"where?", one=True, again_s=0.001, timeout_s=20.0)
        assert (got[0].data, asked[:3]) == (b"here", ["where?"] * 3)
        with pytest.raises(NoAnswer):
            await link.gather("stream.info", one=True, timeout_s=0.01)

    connected(NatsLogin(tuple(nats.urls)), use)


def test_a_streams_leader_is_looked_for_each_second(nats: NatsServers) -> None:
    async def use(link: Link) -> None:
        assert isinstance(link, Noting)
        await keep_log(link, "looks", 0, 1 << 20)
        await ends(link, names.stream("looks", 0))
        await last_of(link, names.stream("looks", 0), names.subjects("looks", 0))
        asked = {subject.split(".")[3]: again_s for subject, again_s in link.asked if "STREAM" in subject}
        assert asked == {"INFO": 1.0, "CREATE": None, "MSG": 1.0}

    connected(NatsLogin(tuple(nats.urls)), use, Noting)


def test_what_nats_cannot_carry_is_refused_with_what_it_can() -> None:
    assert names.checked("my-bot_2") == "my-bot_2"
    for name in ("my.bot", "", "a b", "*", "x" * 65):
        with pytest.raises(LogError, match="letters, digits, hyphens and underscores only"):
            names.checked(name)


def test_neither_worker_nor_coordinator_nor_client_imports_nats_on_their_own() -> None:
    script = (
        "import sys, gwworker.nursery, gwworker.rehearsal, gwcluster.client, gwcluster.coordinator;"
        "import gwcluster.cli.run;"
        "print([name for name in sys.modules if name.partition('.')[0] == 'nats' or 'jetstream' in name])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_worker_that_has_its_log_in_jetstream_imports_no_aiohttp_for_it() -> None:
    script = (
        "import sys, gwcluster.log.jetstream.opening;print('nats' in sys.modules, 'aiohttp' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]
