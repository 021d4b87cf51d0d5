"""The manifests: by Kubernetes' schemas, by the programs that read them, and against each other."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from gwcluster.cli import main
from gwcluster.config import Config, load
from gwcluster.supervise.crew import DRAIN_S
from support.config_files import ENVIRON
from support.keys import Keys
from support.nats_servers import SERVER

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "deploy" / "kubernetes"
PAGE: Final = (ROOT / "docs" / "hosts.md").read_text()
OLDEST: Final = "1.31"
"""The page names it too."""

SHARDS: Final = 64
"""Of one host at most, as the manifest says where it counts memory and time."""

MOVE_S: Final = 2.0

POD: Final = {"POD_NAME": "gwcluster-1", "NAMESPACE": "bots"}

Doc = dict[str, Any]


def documents() -> Iterator[tuple[str, Doc]]:
    """Yield each manifest with its file's name."""
    for path in sorted(FOLDER.glob("*.yaml")):
        for document in YAML(typ="safe", pure=True).load_all(path):
            yield path.name, document


DOCUMENTS: Final = list(documents())


def one(kind: str, name: str) -> Doc:
    """Return the manifest of this kind and name."""
    (found,) = (doc for _, doc in DOCUMENTS if (doc["kind"], doc["metadata"]["name"]) == (kind, name))
    return found


def pod(name: str) -> Doc:
    spec: Doc = one("StatefulSet", name)["spec"]["template"]["spec"]
    return spec


def container(name: str) -> Doc:
    (found,) = pod(name)["containers"]
    return dict(found)


def ports(name: str) -> dict[str, int]:
    return {port["name"]: port["containerPort"] for port in container(name)["ports"]}


def files(name: str) -> dict[str, tuple[str, str, str]]:
    """Return what a container has at each path out of a volume: the volume's kind, its source, a key."""
    volumes = {volume["name"]: volume for volume in pod(name)["volumes"]}
    found = {}
    for mount in container(name)["volumeMounts"]:
        volume = volumes.get(mount["name"], {})
        if "secret" in volume:
            source = volume["secret"]
            items = source.get("items", [{"key": "..data", "path": "..data"}])
            for item in items:
                found[f"{mount['mountPath']}/{item['path']}"] = "secret", source["secretName"], item["key"]
        if "configMap" in volume:
            source = volume["configMap"]["name"]
            for key in one("ConfigMap", source)["data"]:
                found[f"{mount['mountPath']}/{key}"] = "configMap", source, key
    return found


CLUSTER_YAML: Final[str] = one("ConfigMap", "gwcluster")["data"]["cluster.yaml"]
NATS_CONF: Final[str] = one("ConfigMap", "nats")["data"]["nats.conf"]


def setting(key: str) -> str:
    """Return what nats.conf has for a key."""
    (found,) = re.findall(rf"^\s*{key}: (.+)$", NATS_CONF, re.MULTILINE)
    return str(found)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """cluster.yaml as a host has it; secrets as Kubernetes mounts them: in a folder that all may write to."""
    keys = Keys(tmp_path / "made")
    keys.client("operator", "operate")
    clients = tmp_path / "gwcluster-clients"
    (clients / "..2026").mkdir(parents=True)
    (clients / "..data").symlink_to("..2026")
    for file in keys.clients_dir.iterdir():
        (clients / "..2026" / file.name).write_bytes(file.read_bytes())
        (clients / file.name).symlink_to(f"..data/{file.name}")
    clients.chmod(0o1777)
    secrets = tmp_path / "gwcluster"
    secrets.mkdir()
    (secrets / "token").write_text("a-token")
    (secrets / "nats-password").write_text("a-password")
    keys.secret_file.rename(secrets / "cluster.key_secret")
    path = tmp_path / "cluster.yaml"
    path.write_text(CLUSTER_YAML.replace("/run/secrets", str(tmp_path)))
    return path


@pytest.fixture
def config(written: Path) -> Config:
    return load(written, environ={**ENVIRON, **POD})


@pytest.mark.parametrize("version", [OLDEST, kubernetes_validate.latest_version()])
@pytest.mark.parametrize(
    "document",
    [doc for _, doc in DOCUMENTS],
    ids=[f"{doc['kind']}-{doc['metadata']['name']}" for _, doc in DOCUMENTS],
)
def test_each_manifest_is_what_the_api_takes(document: Doc, version: str) -> None:
    looked_at = kubernetes_validate.validate(document, version, strict=True)
    assert version.startswith(looked_at)  # not an older one for want of this


def test_the_page_says_which_versions_take_them() -> None:
    assert f"Kubernetes {OLDEST} or newer" in PAGE


def test_nothing_is_there_twice() -> None:
    names = [(doc["kind"], doc["metadata"]["name"]) for _, doc in DOCUMENTS]
    assert len(names) == len(set(names))


# cluster.yaml


def test_gwcluster_finds_nothing_wrong_with_its_file(written: Path) -> None:
    environ = {"GWCLUSTER_KEY": None, "HOME": "/tmp", **POD}
    done = CliRunner().invoke(main, ["check", str(written)], env=environ)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "host gwcluster-1 of several at" in done.stdout


def test_every_variable_in_it_is_set_in_the_pod() -> None:
    wanted = set(re.findall(r"\$\{(\w+)", CLUSTER_YAML))
    assert wanted == set(POD)
    fields = {
        env["name"]: env["valueFrom"]["fieldRef"]["fieldPath"]
        for env in container("gwcluster")["env"]
        if "valueFrom" in env
    }
    assert fields == {"POD_NAME": "metadata.name", "NAMESPACE": "metadata.namespace"}


def test_every_file_that_it_names_is_mounted() -> None:
    named = set(re.findall(r"/run/secrets/\S+", CLUSTER_YAML))
    key = {env["name"]: env.get("value") for env in container("gwcluster")["env"]}["GWCLUSTER_KEY"]
    secrets = {path for path, (kind, *_) in files("gwcluster").items() if kind == "secret"}
    assert secrets == {*named, key}


def test_the_file_is_where_the_commands_look_for_it() -> None:
    found = container("gwcluster")
    (path,) = (path for path, (kind, *_) in files("gwcluster").items() if kind == "configMap")
    assert found["args"] == ["run", path]
    assert found["lifecycle"]["preStop"]["exec"]["command"] == ["gwcluster", "drain", path]


def test_each_command_in_it_is_one(config: Config) -> None:
    for command in ("run", "drain"):
        assert CliRunner().invoke(main, [command, "--help"]).exit_code == 0


def test_what_is_bound_is_what_is_open(config: Config) -> None:
    bound = {
        "events": config.events.bind[0].removeprefix("tcp://"),
        "requests": config.requests.bind[0].removeprefix("tcp://"),
        "http": config.http.bind or "",
    }
    assert bound == {name: f"0.0.0.0:{port}" for name, port in ports("gwcluster").items()}


def test_others_are_told_the_name_that_the_service_gives_a_host(config: Config) -> None:
    assert config.hosts is not None
    assert config.hosts.addresses is not None
    service = one("StatefulSet", "gwcluster")["spec"]["serviceName"]
    assert one("Service", service)["spec"]["clusterIP"] == "None"
    host = f"{POD['POD_NAME']}.{service}.{POD['NAMESPACE']}.svc"
    assert config.hosts.name == POD["POD_NAME"]
    told = config.hosts.addresses
    assert told.events == f"tcp://{host}:{ports('gwcluster')['events']}"
    assert told.requests == f"tcp://{host}:{ports('gwcluster')['requests']}"
    assert told.http == f"{host}:{ports('gwcluster')['http']}"


def test_the_state_is_where_something_can_be_written_and_leaves_with_the_pod(config: Config) -> None:
    mounts = {mount["mountPath"]: mount["name"] for mount in container("gwcluster")["volumeMounts"]}
    writable = {volume["name"] for volume in pod("gwcluster")["volumes"] if "emptyDir" in volume}
    (place,) = (path for path in mounts if config.state.is_relative_to(path) and path != str(config.state))
    assert mounts[place] in writable
    assert mounts["/tmp"] in writable  # HOME of the image
    assert "volumeClaimTemplates" not in one("StatefulSet", "gwcluster")["spec"]


def test_nats_is_asked_for_where_it_is(config: Config) -> None:
    assert config.hosts is not None
    spec = one("StatefulSet", "nats")["spec"]
    servers = [f"nats-{number}.{spec['serviceName']}" for number in range(spec["replicas"])]
    assert list(config.hosts.login.servers) == [
        f"nats://{server}:{ports('nats')['client']}" for server in servers
    ]
    assert (
        setting("routes")
        == "[" + ", ".join(f'"nats://{server}:{ports("nats")["cluster"]}"' for server in servers) + "]"
    )


def test_nats_knows_the_user_by_the_same_password(config: Config) -> None:
    assert config.hosts is not None
    assert setting("user") == config.hosts.login.user
    (ours,) = (file for path, file in files("gwcluster").items() if path.endswith("/nats-password"))
    (theirs,) = (file for file in files("nats").values() if file[0] == "secret")
    assert ours == theirs


# Secrets


def test_the_page_makes_every_secret_that_is_mounted() -> None:
    made: dict[str, set[str]] = {}
    for name, arguments in re.findall(r"create secret generic (\S+)((?: *\\?\n? *--from-file=\S+)+)", PAGE):
        made[name] = {re.sub(r"=.*", "", one) for one in re.findall(r"--from-file=(\S+)", arguments)}
    mounted: dict[str, set[str]] = {}
    for name in ("gwcluster", "nats"):
        for kind, source, key in files(name).values():
            if kind == "secret":
                mounted.setdefault(source, set()).add(key)
    assert mounted["gwcluster"] == made["gwcluster"]
    assert mounted["gwcluster-clients"] == {"..data"}
    assert made["gwcluster-clients"] == {"clients/"}
    assert mounted.keys() == {"gwcluster", "gwcluster-clients"}


def test_no_key_may_be_read_by_others_and_no_client_s_be_written() -> None:
    modes = {
        volume["name"]: volume["secret"]["defaultMode"]
        for volume in pod("gwcluster")["volumes"]
        if "secret" in volume
    }
    assert modes == {"secrets": 0o440, "clients": 0o444}
    for name in ("gwcluster", "nats"):
        writable = {volume["name"] for volume in pod(name)["volumes"] if "emptyDir" in volume} | {"data"}
        for mount in container(name)["volumeMounts"]:
            assert mount.get("readOnly", False) is (mount["name"] not in writable), mount


# What Kubernetes does with it


@pytest.mark.parametrize("name", ["gwcluster", "nats"])
def test_everything_selects_the_pods_that_there_are(name: str) -> None:
    label = {"app.kubernetes.io/name": name}
    spec = one("StatefulSet", name)["spec"]
    assert spec["template"]["metadata"]["labels"] == label
    assert spec["selector"] == {"matchLabels": label}
    assert one("PodDisruptionBudget", name)["spec"]["selector"] == {"matchLabels": label}
    assert one("NetworkPolicy", name)["spec"]["podSelector"] == {"matchLabels": label}
    assert all(
        spread["labelSelector"] == {"matchLabels": label} for spread in pod(name)["topologySpreadConstraints"]
    )
    services = [
        doc["spec"] for _, doc in DOCUMENTS if doc["kind"] == "Service" and doc["metadata"]["labels"] == label
    ]
    assert services
    for service in services:
        assert service["selector"] == label
        assert all(ports(name)[port["targetPort"]] == port["port"] for port in service["ports"])


def test_a_host_is_reached_before_it_is_ready_and_its_events_by_no_service_that_chooses() -> None:
    service = one("Service", "gwcluster")["spec"]
    assert service["publishNotReadyAddresses"] is True
    assert {port["name"] for port in service["ports"]} == set(ports("gwcluster"))
    assert {port["name"] for port in one("Service", "gwcluster-any")["spec"]["ports"]} == {"requests", "http"}
    assert one("Service", "nats")["spec"]["publishNotReadyAddresses"] is True


def test_each_probe_asks_for_what_there_is() -> None:
    found = container("gwcluster")
    probes = {kind: found[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
    assert probes == {
        "startup": {"path": "/healthz", "port": "http"},
        "liveness": {"path": "/healthz", "port": "http"},
        "readiness": {"path": "/readyz", "port": "http"},
    }
    served = (ROOT / "cluster" / "gwcluster" / "web" / "server.py").read_text()
    assert all(f'"{probe["path"]}":' in served for probe in probes.values())


def test_a_stop_has_the_time_that_handing_on_takes() -> None:
    stop_s = 10 + DRAIN_S / 2
    assert pod("gwcluster")["terminationGracePeriodSeconds"] >= SHARDS * MOVE_S + stop_s
    lame_duck_s = int(setting("lame_duck_duration").removesuffix("s"))
    assert pod("nats")["terminationGracePeriodSeconds"] > lame_duck_s


def test_memory_is_as_much_as_the_pages_on_sizing_say() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    base, tls = re.findall(r"(\d+) MiB \+ N × [\d.]+ MiB for N shards, over TLS N × ([\d.]+) MiB", page)[0]
    (guilds,) = re.findall(r"guilds on each it is [\d.]+ to ([\d.]+) MiB\s+more for each", page)
    (log,) = re.findall(r"Memory of a host\*\*: (\d+) MiB more for each shard", PAGE)
    resources = container("gwcluster")["resources"]
    assert resources["requests"]["memory"] == "768Mi"
    assert int(base) + SHARDS * (float(tls) + float(guilds) + int(log)) <= 768
    assert "cpu" not in resources["limits"]


@pytest.mark.parametrize("name", ["gwcluster", "nats"])
def test_no_container_has_a_right_that_it_does_not_need(name: str) -> None:
    whole, alone = pod(name)["securityContext"], container(name)["securityContext"]
    assert whole["runAsNonRoot"] is True
    assert whole["runAsUser"] == whole["runAsGroup"] == whole["fsGroup"] >= 10_000
    assert whole["seccompProfile"] == {"type": "RuntimeDefault"}
    assert alone == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "privileged": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod(name)["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod(name).keys()


def test_the_pod_has_the_image_s_user() -> None:
    recipe = (ROOT / "deploy" / "container" / "Containerfile").read_text()
    user = pod("gwcluster")["securityContext"]["runAsUser"]
    assert f"USER {user}:{user}\n" in recipe
    assert "'.[hosts]'" in recipe  # or there is no client of NATS in it


@pytest.mark.parametrize("name", ["gwcluster", "nats"])
def test_one_of_three_may_be_away_and_each_is_on_a_node_of_its_own(name: str) -> None:
    spec = one("StatefulSet", name)["spec"]
    assert spec["replicas"] == 3
    assert spec["podManagementPolicy"] == "Parallel"
    assert one("PodDisruptionBudget", name)["spec"]["maxUnavailable"] == 1
    assert {
        (spread["topologyKey"], spread["whenUnsatisfiable"])
        for spread in pod(name)["topologySpreadConstraints"]
    } == {("kubernetes.io/hostname", "DoNotSchedule"), ("topology.kubernetes.io/zone", "ScheduleAnyway")}


# The network


def allowed(name: str, way: str) -> set[tuple[str, int]]:
    """Return which of the pods here a policy lets in or out, each with a port's number."""
    found = set()
    for rule in one("NetworkPolicy", name)["spec"][way]:
        for peer in rule.get("from" if way == "ingress" else "to", []):
            labels = peer.get("podSelector", {}).get("matchLabels", {})
            who = labels.get("app.kubernetes.io/name") or ",".join(labels)
            for port in rule["ports"]:
                number = port["port"] if isinstance(port["port"], int) else ports(name)[port["port"]]
                found.add((who, number))
    return found


def test_each_gets_to_what_it_needs_and_to_nothing_else() -> None:
    of_hosts, of_nats = ports("gwcluster"), ports("nats")
    sockets = {of_hosts["events"], of_hosts["requests"]}
    assert allowed("gwcluster", "ingress") == {
        *((who, port) for who in ("gwcluster-subscriber", "gwcluster") for port in sockets),
        ("prometheus", of_hosts["http"]),
    }
    assert allowed("gwcluster", "egress") == {
        *(("gwcluster", port) for port in sockets),
        ("nats", of_nats["client"]),
        ("", 443),
    }
    assert allowed("nats", "ingress") == {
        *((who, of_nats["client"]) for who in ("gwcluster-subscriber", "gwcluster")),
        ("nats", of_nats["cluster"]),
        ("prometheus", of_nats["monitor"]),
    }
    assert allowed("nats", "egress") == {("nats", of_nats["cluster"])}
    for name in ("gwcluster", "nats"):
        assert one("NetworkPolicy", name)["spec"]["policyTypes"] == ["Ingress", "Egress"]
        names = [rule["ports"] for rule in one("NetworkPolicy", name)["spec"]["egress"] if "to" not in rule]
        assert names == [[{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]]


# NATS


def judged(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    path = folder / "nats.conf"
    path.write_text(text)
    environ = {**os.environ, "NATS_NAME": "nats-0", "NATS_PASSWORD": '"12345"'}
    return subprocess.run(
        [SERVER, "-t", "-c", path], env=environ, capture_output=True, text=True, check=False, timeout=20
    )


def test_nats_finds_nothing_wrong_with_its_file(tmp_path: Path) -> None:
    done = judged(tmp_path, NATS_CONF)
    assert done.returncode == 0, done.stderr
    assert "is valid" in done.stderr
    assert judged(tmp_path, NATS_CONF.replace("sync_interval", "sync_intervall")).returncode != 0


def test_nats_begins_as_the_manifest_says(tmp_path: Path) -> None:
    # Its shell line, with paths of this machine, and a server that is told to look at its file only.
    sh, flag, line = container("nats")["command"]
    assert (sh, flag) == ("sh", "-c")
    (password,) = (path for path, (kind, *_) in files("nats").items() if kind == "secret")
    (conf,) = (path for path, (kind, *_) in files("nats").items() if kind == "configMap")
    assert password in line
    assert conf in line
    (tmp_path / "password").write_text("12345\n")  # without quotes it would be a number
    (tmp_path / "conf").write_text(NATS_CONF)
    line = line.replace(password, str(tmp_path / "password")).replace(conf, f"{tmp_path / 'conf'} -t")
    (name,) = (env["name"] for env in container("nats")["env"])
    environ = {"PATH": f"{SERVER.parent}:/usr/bin:/bin", name: "nats-0"}
    done = subprocess.run(
        ["sh", "-c", line], env=environ, capture_output=True, text=True, check=False, timeout=20
    )
    assert done.returncode == 0, done.stderr
    (tmp_path / "password").write_text("")
    refused = subprocess.run(["sh", "-c", line], env=environ, capture_output=True, check=False, timeout=20)
    assert refused.returncode == 1  # rather than a server that lets everybody in


def test_nats_listens_where_the_manifest_says() -> None:
    listens = re.findall(r'(?:listen|http): "0\.0\.0\.0:(\d+)"', NATS_CONF)
    assert [int(port) for port in listens] == [
        ports("nats")[name] for name in ("client", "monitor", "cluster")
    ]


def test_what_nats_keeps_fits_and_outlives_its_pod() -> None:
    (claim,) = one("StatefulSet", "nats")["spec"]["volumeClaimTemplates"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container("nats")["volumeMounts"]}
    assert mounts[claim["metadata"]["name"]] == setting("store_dir")
    claimed = int(claim["spec"]["resources"]["requests"]["storage"].removesuffix("Gi"))
    kept = int(setting("max_file_store").removesuffix("GB"))  # NATS's GB has 2^30 bytes
    assert SHARDS * 2 * 64 / 1024 < kept <= claimed * 0.9


def test_nats_takes_the_largest_dispatch_and_is_new_enough() -> None:
    assert setting("max_payload") == "8MB"
    version = re.fullmatch(r"docker\.io/library/nats:(\d+)\.(\d+)\.\d+-alpine", container("nats")["image"])
    assert version is not None
    assert (int(version[1]), int(version[2])) >= (2, 11)


def test_each_probe_of_nats_is_one_that_it_knows() -> None:
    found = container("nats")
    assert {kind: found[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")} == {
        "startup": {"path": "/healthz", "port": "monitor"},
        "liveness": {"path": "/healthz?js-enabled-only=true", "port": "monitor"},
        "readiness": {"path": "/healthz?js-server-only=true", "port": "monitor"},
    }
