"""The image's recipe and the composed services, as far as they can be read; nothing is built here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from gwcluster.config import Config, load
from support.config_files import ENVIRON

ROOT = Path(__file__).parents[2]
RECIPE = (ROOT / "deploy" / "container" / "Containerfile").read_text().replace("\\\n", "")
FOLDER = ROOT / "deploy" / "compose"
OTHERS = {ROOT / "deploy" / "prometheus" / "alerts.yml", ROOT / "deploy" / "grafana" / "gwcluster.json"}
"""Mounted files that a checkout may not have yet."""


def read(name: str) -> dict[str, Any]:
    """Return one of the YAML files."""
    found: dict[str, Any] = YAML(typ="safe").load(FOLDER / name)
    return found


SERVICES: dict[str, dict[str, Any]] = read("compose.yaml")["services"]


def instructions(name: str) -> list[str]:
    """Return what follows an instruction of the recipe, in order."""
    return re.findall(rf"^{name} (.+)$", RECIPE, re.MULTILINE)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """The cluster's settings, with a token where its secret would be."""
    (tmp_path / "token").write_text("a-token")
    text = (FOLDER / "cluster.yaml").read_text()
    (tmp_path / "cluster.yaml").write_text(text.replace("/run/secrets/token", str(tmp_path / "token")))
    return load(tmp_path / "cluster.yaml", environ=ENVIRON)


def mounts() -> Iterator[tuple[str, str, str]]:
    """Yield service, source and target of each mount."""
    for name, service in SERVICES.items():
        for mount in service["volumes"]:
            source, target = mount.split(":")[:2]
            yield name, source, target


def test_the_image_is_not_run_as_root_and_says_how_it_is() -> None:
    assert instructions("USER")[-1] == "10001:10001"
    assert instructions("STOPSIGNAL") == ["SIGTERM"]
    port = load(ROOT / "cluster.yaml", environ={**ENVIRON, "DISCORD_TOKEN": "x"}).http.bind
    assert f"http://{port}/healthz" in instructions("HEALTHCHECK")[0]


def test_the_image_begins_with_a_version_that_is_named() -> None:
    assert re.fullmatch(r"BASE=docker\.io/library/python:3\.\d+-slim-\w+", instructions("ARG")[0])
    assert [one.split()[0] for one in instructions("FROM")] == ["${BASE}", "${BASE}"]


def test_what_goes_into_the_image_is_there_and_is_let_through() -> None:
    ignore = (ROOT / ".containerignore").read_text()
    assert (ROOT / ".dockerignore").read_text() == ignore  # one for each program that builds
    let_through = {line[1:] for line in ignore.splitlines() if line.startswith("!")}
    copied = {part for one in instructions("COPY") if "--from" not in one for part in one.split()[:-1]}
    assert copied == let_through
    assert all((ROOT / part).exists() for part in copied)


def test_all_that_is_mounted_is_there() -> None:
    volumes = read("compose.yaml")["volumes"].keys()
    for name, source, _ in mounts():
        if source.startswith("."):
            path = (FOLDER / source).resolve()
            assert path.exists() or path in OTHERS, f"{name} mounts {source}"
        else:
            assert source in volumes, f"{name} mounts {source}"


def test_nothing_is_open_beyond_this_machine(config: Config) -> None:
    for name, service in SERVICES.items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name} opens {port}"
    binds = (*config.events.bind, *config.requests.bind)
    (folder,) = {target for name, source, target in mounts() if (name, source) == ("cluster", "sockets")}
    assert all(bind.startswith(f"ipc://{folder}/") for bind in binds)
    assert ("bot", "sockets", folder) in list(mounts())


def test_the_state_outlives_the_container(config: Config) -> None:
    (folder,) = {target for name, source, target in mounts() if (name, source) == ("cluster", "state")}
    assert config.state.is_relative_to(folder)


def test_prometheus_looks_where_the_cluster_serves(config: Config) -> None:
    assert SERVICES["prometheus"]["network_mode"] == "service:cluster"
    settings = read("prometheus.yml")
    (job,) = settings["scrape_configs"]
    assert job["static_configs"] == [{"targets": [config.http.bind]}]
    targets = {target for name, _, target in mounts() if name == "prometheus"}
    assert set(settings["rule_files"]) <= targets


def test_no_service_may_write_to_its_root_or_gain_privileges() -> None:
    for name, service in SERVICES.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_the_cluster_has_the_time_that_a_stop_takes() -> None:
    assert int(SERVICES["cluster"]["stop_grace_period"].removesuffix("s")) > 10
    assert SERVICES["cluster"]["init"]
