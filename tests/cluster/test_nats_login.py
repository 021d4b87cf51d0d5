"""Each way to log in, at a real server."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nats.errors
import nkeys  # type: ignore[import-untyped]
import pytest
import trustme
from nats.aio.client import Client

from gwcluster.nats_login import NatsLogin
from support.nats_servers import SERVER

pytestmark = [
    pytest.mark.timeout(60),
    # nats-py leaves the connection open that it was refused on.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"),
]


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """Have what is left open complained of here, not in another test."""
    yield
    gc.collect()


@contextlib.contextmanager
def server(folder: Path, **settings: object) -> Iterator[str]:
    """Run a server with these settings; yield where it listens, without the scheme."""
    said = {"listen": "127.0.0.1:-1", "http": "127.0.0.1:-1", "ports_file_dir": str(folder), **settings}
    (folder / "server.conf").write_text(json.dumps(said))
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen([SERVER, "-c", folder / "server.conf"], stdout=log, stderr=log)
        try:
            yield _listens(folder, process)
        finally:
            process.kill()
            process.wait()


def _listens(folder: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + 20
    while True:
        assert process.poll() is None, (folder / "server.log").read_text()
        assert time.monotonic() < deadline, "the server says nothing"
        for file in folder.glob("nats-server_*.ports"):
            with contextlib.suppress(ValueError, OSError):
                ports = json.loads(file.read_text())
                opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
                opener.open(f"{ports['monitoring'][0]}/healthz", timeout=2).close()
                return str(ports["nats"][0].partition("://")[2])
        time.sleep(0.02)


def speak(login: NatsLogin) -> None:
    """Connect and hear an answer."""

    async def asked() -> None:
        async def told(_: Exception) -> None:
            pass

        client = Client()
        options: dict[str, Any] = login.options()
        await client.connect(**options, error_cb=told, allow_reconnect=False, connect_timeout=5)
        await client.flush(5)
        await client.close()

    asyncio.run(asked())


def test_a_worker_is_told_all_of_it_as_plain_data() -> None:
    least = NatsLogin(("nats://a",))
    most = NatsLogin(("tls://a", "tls://b"), "c", "u", "p", "t", "n", "ca", "cert", "key", True)
    for login in (least, most):
        assert NatsLogin.of(json.loads(json.dumps(login.document()))) == login


def test_nothing_is_needed_where_nothing_is_asked(tmp_path: Path) -> None:
    with server(tmp_path) as address:
        speak(NatsLogin((f"nats://{address}",)))


def test_a_password_is_read_at_each_connection(tmp_path: Path) -> None:
    password = tmp_path / "password"
    with server(tmp_path, authorization={"user": "gwcluster", "password": "secret"}) as address:
        login = NatsLogin((f"nats://{address}",), user="gwcluster", password_file=str(password))
        options = login.options()
        password.write_text(" secret\nnotes\n")
        assert options["password"]() == "secret"
        speak(login)
        password.write_text("another\n")
        with pytest.raises(nats.errors.Error, match="Authorization"):
            speak(login)


def test_a_token_is_read_at_each_connection(tmp_path: Path) -> None:
    token = tmp_path / "token"
    with server(tmp_path, authorization={"token": "secret"}) as address:
        login = NatsLogin((f"nats://{address}",), token_file=str(token))
        token.write_text("secret\n")
        speak(login)
        token.write_text("another\n")
        with pytest.raises(nats.errors.Error, match="Authorization"):
            speak(login)


def test_a_seed_signs(tmp_path: Path) -> None:
    seed = nkeys.encode_seed(b"\x01" * 32, nkeys.PREFIX_BYTE_USER)
    public = nkeys.from_seed(bytearray(seed)).public_key.decode()
    (tmp_path / "seed").write_bytes(bytes(seed) + b"\n")
    with server(tmp_path, authorization={"users": [{"nkey": public}]}) as address:
        speak(NatsLogin((f"nats://{address}",), nkey_seed_file=str(tmp_path / "seed")))


def test_a_file_of_credentials_is_given_as_it_is(tmp_path: Path) -> None:
    # The servers' side of JWTs needs an operator, accounts and a resolver: what is sent is looked at here.
    seed = bytes(nkeys.encode_seed(b"\x01" * 32, nkeys.PREFIX_BYTE_USER)).decode()
    path = tmp_path / "bot.creds"
    path.write_text(
        "-----BEGIN NATS USER JWT-----\na.b.c\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
    options = NatsLogin(("nats://localhost",), credentials_file=str(path)).options()
    assert options == {"servers": ["nats://localhost"], "user_credentials": str(path)}
    client = Client()
    client._user_credentials = options["user_credentials"]
    client._setup_nkeys_jwt_connect()
    assert client._user_jwt_cb is not None
    assert client._user_jwt_cb() == b"a.b.c"
    assert client._signature_cb is not None
    assert len(base64.b64decode(client._signature_cb("nonce"))) == 64


@pytest.mark.parametrize("first", [False, True])
def test_by_tls_both_sides_show_a_certificate(tmp_path: Path, first: bool) -> None:
    authority, mine = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    mine.cert_pem.write_to_path(tmp_path / "mine.pem")
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    mine.issue_cert("gw-1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "client.pem")
    of_server = str(tmp_path / "server.pem")
    tls = {
        "cert_file": of_server,
        "key_file": of_server,
        "ca_file": str(tmp_path / "mine.pem"),
        "verify": True,
        "handshake_first": first,
    }
    with server(tmp_path, tls=tls) as address:
        servers = (f"tls://localhost:{address.rpartition(':')[2]}",)
        certificate = str(tmp_path / "client.pem")
        speak(
            NatsLogin(
                servers,
                None,
                None,
                None,
                None,
                None,
                str(tmp_path / "ca.pem"),
                certificate,
                certificate,
                first,
            )
        )
        with pytest.raises((OSError, nats.errors.Error)):
            speak(NatsLogin(servers, ca_file=str(tmp_path / "mine.pem"), handshake_first=first))


def test_with_tls_first_no_password_goes_to_whoever_speaks_in_the_clear(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("secret")
    heard = bytearray()

    async def impostor(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b'INFO {"server_id":"x","version":"2.15.1","max_payload":1048576,"auth_required":true}\r\n'
        )
        with contextlib.suppress(OSError):
            while said := await reader.read(4096):
                heard.extend(said)
        writer.close()

    async def asked() -> None:
        async def told(_: Exception) -> None:
            pass

        async with await asyncio.start_server(impostor, "127.0.0.1", 0) as listener:
            port = listener.sockets[0].getsockname()[1]
            servers = (f"tls://localhost:{port}",)
            login = NatsLogin(servers, user="u", password_file=str(password), handshake_first=True)
            client = Client()
            with pytest.raises((OSError, TimeoutError)):
                await client.connect(
                    **login.options(), error_cb=told, allow_reconnect=False, connect_timeout=2
                )

    asyncio.run(asked())
    assert heard.startswith(b"\x16\x03")  # a ClientHello
    assert b"secret" not in heard
