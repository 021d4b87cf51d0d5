"""The composed services of several hosts, as far as they can be read; only NATS' own check is started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import nats
import nats.errors
import pytest
from nats.js.api import StreamInfo
from ruamel.yaml import YAML

from gwcluster.config import Config, load
from gwcluster.nats_login import NatsLogin
from support.config_files import ENVIRON
from support.nats_servers import SERVER, _free_ports

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "deploy" / "compose-hosts"
COMPOSE: Final[dict[str, Any]] = YAML(typ="safe").load(FOLDER / "compose.yaml")
SERVICES: Final[dict[str, dict[str, Any]]] = COMPOSE["services"]
HOSTS: Final = ("gw-1", "gw-2", "gw-3")
SERVERS: Final = ("nats-1", "nats-2", "nats-3")
NATS_CONF: Final = (FOLDER / "nats.conf").read_text()


def config_of(folder: Path, name: str, *, client: bool = False) -> Config:
    """Load the file as one of the services does, with secrets where they would be."""
    text = (FOLDER / "cluster.yaml").read_text()
    for secret in ("token", "nats-password"):
        (folder / secret).write_text("a-secret")
    (folder / "cluster.yaml").write_text(text.replace("/run/secrets", str(folder)))
    environ = {**ENVIRON, **SERVICES[name].get("environment", {})}
    return load(folder / "cluster.yaml", environ=environ, client=client)


def mounts() -> Iterator[tuple[str, str, str]]:
    """Yield service, source and target of each mount."""
    for name, service in SERVICES.items():
        for mount in service["volumes"]:
            source, target = mount.split(":")[:2]
            yield name, source, target


def test_there_are_three_of_each() -> None:
    assert set(SERVICES) == {*HOSTS, *SERVERS, "bot"}


def test_each_host_is_called_something_else_and_is_reached_where_it_binds(tmp_path: Path) -> None:
    found = [config_of(tmp_path, name) for name in HOSTS]
    told = [config.hosts for config in found]
    assert [hosts.name for hosts in told if hosts is not None] == list(HOSTS)
    for config in found:
        assert config.hosts is not None
        assert config.hosts.addresses is not None
        addresses = config.hosts.addresses
        assert ((addresses.events,), (addresses.requests,)) == (config.events.bind, config.requests.bind)
    assert len({config.events.bind for config in found} | {config.requests.bind for config in found}) == 6


def test_the_sockets_are_in_a_volume_that_the_bot_mounts_too(tmp_path: Path) -> None:
    folders = {(name, target) for name, source, target in mounts() if source == "sockets"}
    assert {name for name, _ in folders} == {*HOSTS, "bot"}
    (folder,) = {target for _, target in folders}
    assert all(bind.startswith(f"ipc://{folder}/") for bind in config_of(tmp_path, "gw-1").events.bind)


def test_the_bot_reads_the_same_file_without_a_name(tmp_path: Path) -> None:
    config = config_of(tmp_path, "bot", client=True)
    assert config.hosts is not None
    assert config.hosts.login == (config_of(tmp_path, "gw-1").hosts or config.hosts).login
    assert "nats-password" in SERVICES["bot"]["secrets"]


@pytest.mark.parametrize("name", HOSTS)
def test_a_host_asks_for_every_server_and_waits_for_it(tmp_path: Path, name: str) -> None:
    hosts = config_of(tmp_path, name).hosts
    assert hosts is not None
    assert hosts.login.servers == tuple(f"nats://{server}:4222" for server in SERVERS)
    assert SERVICES[name]["depends_on"] == {server: {"condition": "service_healthy"} for server in SERVERS}
    assert set(SERVICES[name]["networks"]) > set(SERVICES["nats-1"]["networks"])


def test_every_secret_is_there_and_named() -> None:
    text = (FOLDER / "cluster.yaml").read_text() + SERVICES["nats-1"]["entrypoint"][-1]
    named = set(re.findall(r"/run/secrets/([\w-]+)", text))
    assert named == set(COMPOSE["secrets"])
    assert set(SERVICES["gw-1"]["secrets"]) == named
    assert {f"/{name}" for name in named} == set((FOLDER / ".gitignore").read_text().split())
    assert all(secret == {"file": f"./{name}"} for name, secret in COMPOSE["secrets"].items())


def test_all_that_is_mounted_is_there_and_no_state_is_shared() -> None:
    volumes = COMPOSE["volumes"].keys()
    for name, source, _ in mounts():
        assert (FOLDER / source).resolve().exists() if source.startswith(".") else source in volumes, name
    for kept, services in (("/data", SERVERS), ("/var/lib/gwcluster", HOSTS)):
        assert len({source for name, source, target in mounts() if name in services and target == kept}) == 3


def test_nothing_is_open_beyond_this_machine() -> None:
    assert all("ports" not in service for service in SERVICES.values())
    assert COMPOSE["networks"]["nats"] == {"internal": True}


def test_no_service_may_write_to_its_root_or_gain_privileges() -> None:
    for name, service in SERVICES.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_each_has_the_time_that_a_stop_takes() -> None:
    assert all(int(SERVICES[name]["stop_grace_period"].removesuffix("s")) > 10 for name in HOSTS)
    (lame_duck,) = re.findall(r"^lame_duck_duration: (\d+)s$", NATS_CONF, re.MULTILINE)
    for name in SERVERS:
        assert SERVICES[name]["stop_signal"] == "SIGUSR2"
        assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) > int(lame_duck)


def test_nats_begins_as_the_services_say(tmp_path: Path) -> None:
    sh, flag, line = SERVICES["nats-1"]["entrypoint"]
    assert (sh, flag) == ("sh", "-c")
    (conf,) = {target for name, source, target in mounts() if source == "./nats.conf"}
    line = line.replace("$$", "$").replace("/run/secrets/nats-password", str(tmp_path / "password"))
    line = line.replace(conf, f"{tmp_path / 'conf'} -t")
    (tmp_path / "conf").write_text(NATS_CONF)

    def status(name: str, password: str) -> tuple[int, str]:
        (tmp_path / "password").write_text(password)
        environ = {**os.environ, **SERVICES[name]["environment"], "PATH": f"{SERVER.parent}:/usr/bin:/bin"}
        command = ["sh", "-c", line]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=20)
        return done.returncode, done.stderr

    for name in SERVERS:
        code, said = status(name, "12345\n")  # without quotes it would be a number
        assert code == 0, said
        assert str(tmp_path / "conf") in said
    assert status("nats-1", "")[0] == 1  # rather than a server that lets everybody in


def test_three_servers_with_this_file_keep_three_replicas_for_who_knows_the_password(tmp_path: Path) -> None:
    ports = _free_ports(9)
    routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in ports[3:6])
    with contextlib.ExitStack() as stack:
        for number, name in enumerate(SERVERS):
            text = re.sub(r"routes: \[.*\]", f"routes: [{routes}]", NATS_CONF)
            for was, port in zip((4222, 6222, 8222), ports[number::3], strict=True):
                text, found = re.subn(rf'"[\d.]+:{was}"', f'"127.0.0.1:{port}"', text)
                assert found == 1
            (tmp_path / name).write_text(text.replace("/data", str(tmp_path / f"{name}.data")))
            environ = {**os.environ, "NATS_NAME": name, "NATS_PASSWORD": '"12345"'}
            log = stack.enter_context((tmp_path / f"{name}.log").open("wb"))
            server = subprocess.Popen([SERVER, "-c", tmp_path / name], env=environ, stdout=log, stderr=log)
            stack.callback(server.wait)
            stack.callback(server.kill)
        (tmp_path / "password").write_text("12345")
        login = NatsLogin(
            tuple(f"nats://127.0.0.1:{port}" for port in ports[:3]),
            user="gwcluster",
            password_file=str(tmp_path / "password"),
        )
        info = asyncio.run(_replicated(login))
    assert info.config.num_replicas == 3
    assert info.cluster is not None
    assert len(info.cluster.replicas or []) == 2


async def _replicated(login: NatsLogin) -> StreamInfo:
    """Make a stream as soon as JetStream does it."""

    async def told(_: Exception) -> None:
        pass

    async with asyncio.timeout(60):
        client = await nats.connect(**login.options(), error_cb=told, reconnect_time_wait=0.2)
        try:
            while True:
                with contextlib.suppress(nats.errors.Error):
                    jetstream = client.jetstream(timeout=5)
                    return await jetstream.add_stream(
                        name="x", subjects=["x"], num_replicas=3, max_bytes=64 << 20
                    )
                await asyncio.sleep(0.1)
        finally:
            await client.close()


def test_nats_has_the_settings_that_it_has_on_kubernetes() -> None:
    (other,) = (
        doc["data"]["nats.conf"]
        for doc in YAML(typ="safe").load_all(ROOT / "deploy" / "kubernetes" / "nats.yaml")
        if doc["kind"] == "ConfigMap"
    )
    here, there = NATS_CONF.splitlines(), other.splitlines()
    differing = {line.split(":")[0].strip() for line in {*here} ^ {*there}}
    assert differing == {"http", "routes"}
    routes = ", ".join(f'"nats://{server}:6222"' for server in SERVERS)
    assert f"routes: [{routes}]" in NATS_CONF


def test_the_health_that_is_asked_for_is_where_nats_serves_it() -> None:
    (address,) = re.findall(r'^http: "(\S+)"$', NATS_CONF, re.MULTILINE)
    for name in SERVERS:
        assert SERVICES[name]["healthcheck"]["test"][-1] == f"http://{address}/healthz?js-server-only=true"
