"""The section `hosts`: what it means, and what people are told of their mistakes in it."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
import trustme
from ruamel.yaml import YAML

from gwcluster.config import Config, ConfigError, Problem, json_schema, load
from gwcluster.config.model import Addresses as Told
from gwcluster.config.model import Hosts, NatsTls
from gwcluster.config.settings import Addresses
from gwcluster.nats_login import NatsLogin
from support.config_files import ENVIRON, LEAST, written
from support.keys import Keys

SHIPPED = Path(__file__).parents[3] / "cluster.yaml"
HERE = "nats: nats://127.0.0.1:4222"
FAR = "nats: [nats://10.0.0.1:4222, nats://10.0.0.2:4222]"


def read(
    folder: Path,
    text: str,
    *,
    environ: dict[str, str] = ENVIRON,
    client: bool = False,
    hostname: str = "gw-1",
    installed: Callable[[str], bool] = lambda _: True,
) -> Config:
    path = written(folder, LEAST + text)
    return load(path, environ=environ, client=client, hostname=lambda: hostname, installed=installed)


def wrong(folder: Path, text: str, **given: object) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        read(folder, text, **given)  # type: ignore[arg-type]
    return caught.value.problems


def hosts(*lines: str) -> str:
    return "hosts:\n" + "".join(f"  {line}\n" for line in lines)


def open_binds(folder: Path, host: str) -> str:
    """Return sections that bind where other machines may be, with the keys that this needs."""
    keys = Keys(folder / "keys")
    return (
        f"security: {keys.setting}\nevents: {{bind: 'tcp://{host}:7000'}}\n"
        f"requests: {{bind: 'tcp://{host}:7001'}}\nhttp: {{bind: '{host}:7002'}}\n"
    )


def test_without_the_section_there_is_one_host(tmp_path: Path) -> None:
    def asked(package: str) -> bool:
        raise AssertionError(package)

    assert read(tmp_path, "", installed=asked).hosts is None
    assert read(tmp_path, "hosts: null\n", installed=asked).hosts is None


def test_what_it_leaves_out_has_a_default(tmp_path: Path) -> None:
    found = read(tmp_path, hosts(HERE)).hosts
    assert found is not None
    assert found.login == NatsLogin(("nats://127.0.0.1:4222",))
    assert (found.name, found.lease_s, found.secrets) == ("gw-1", 15.0, ())
    assert found.addresses == Addresses("tcp://127.0.0.1:5570", "tcp://127.0.0.1:5571", "127.0.0.1:5572")


def test_everything_can_be_set(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("gw-7")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    (tmp_path / "password").write_text("quite secret\n")
    found = read(
        tmp_path,
        hosts(
            "nats: [tls://nats-0.example.org:4222, 'tls://[fd00::1]']",
            "name: gw-7",
            "lease: 1m",
            "user: gwcluster",
            "password_file: password",
            "tls: {ca_file: ca.pem, cert_file: cert.pem, key_file: ./key.pem, handshake_first: true}",
            "addresses: {events: tcp://gw-7.example.org:1, requests: ipc:///run/gw/requests, http: gw-7:3}",
        ),
    ).hosts
    assert found is not None
    assert found.login == NatsLogin(
        ("tls://nats-0.example.org:4222", "tls://[fd00::1]"),
        user="gwcluster",
        password_file=f"{tmp_path}/password",
        ca_file=f"{tmp_path}/ca.pem",
        cert_file=f"{tmp_path}/cert.pem",
        key_file=f"{tmp_path}/key.pem",
        handshake_first=True,
    )
    assert (found.name, found.lease_s) == ("gw-7", 60.0)
    assert found.addresses == Addresses("tcp://gw-7.example.org:1", "ipc:///run/gw/requests", "gw-7:3")


def test_what_opens_nats_is_among_what_no_log_shows(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("quite-secret\nnotes\n")
    config = read(tmp_path, hosts(HERE, "user: gwcluster", "password_file: password"))
    assert config.secrets == ("not-a-real-token", "quite-secret")
    assert "quite-secret" not in f"{config!r} {dataclasses.asdict(config)}"


@pytest.mark.parametrize(
    ("hostname", "name"), [("gw-1", "gw-1"), ("gw-1.example.org", "gw-1_example_org"), ("x" * 63, "x" * 63)]
)
def test_the_name_is_the_hostname_as_a_nats_key_takes_it(tmp_path: Path, hostname: str, name: str) -> None:
    by_itself = read(tmp_path, hosts(HERE), hostname=hostname).hosts
    by_hand = read(
        tmp_path, hosts(HERE, "name: ${HOSTNAME}"), environ={**ENVIRON, "HOSTNAME": hostname}
    ).hosts
    assert by_itself is not None
    assert by_itself == by_hand
    assert by_itself.name == name


def test_a_name_of_digits_from_the_environment_is_a_name(tmp_path: Path) -> None:
    found = read(tmp_path, hosts(HERE, "name: ${N}"), environ={**ENVIRON, "N": "007"}).hosts
    assert found is not None
    assert found.name == "007"


@pytest.mark.parametrize("hostname", ["localhost", "localhost.localdomain", "", "under way", "x" * 64, "-x"])
def test_a_hostname_that_tells_no_machine_from_others_is_no_name(tmp_path: Path, hostname: str) -> None:
    (problem,) = wrong(tmp_path, hosts(HERE), hostname=hostname)
    assert (problem.line, problem.key) == (3, "hosts.name")
    assert "write one, or set the hostname (hostnamectl hostname NAME)" in problem.message
    assert read(tmp_path, hosts(HERE, "name: gw-1"), hostname=hostname).hosts is not None


def test_the_file_may_name_a_package_that_is_not_installed_only_with_a_remedy(tmp_path: Path) -> None:
    (problem,) = wrong(tmp_path, hosts(HERE), installed=lambda package: package != "nats")
    assert (problem.line, problem.key) == (3, "hosts")
    assert problem.message == (
        "needs the Python package nats, which is not here; install it with pip install 'gwcluster[hosts]'"
    )
    (tmp_path / "seed").write_text("SU" + "A" * 56)
    text = hosts(HERE, "nkey_seed_file: seed")
    (problem,) = wrong(tmp_path, text, installed=lambda package: package != "nkeys")
    assert (problem.line, problem.key) == (5, "hosts.nkey_seed_file")
    assert "the Python package nkeys" in problem.message
    assert read(tmp_path, hosts(HERE), installed=lambda package: package != "nkeys").hosts is not None


def test_the_packages_are_there_where_this_is_tested(tmp_path: Path) -> None:
    (tmp_path / "seed").write_text("SU" + "A" * 56)
    config = load(written(tmp_path, LEAST + hosts(HERE, "name: a", "nkey_seed_file: seed")), environ=ENVIRON)
    assert config.hosts is not None


def test_the_shipped_file_has_the_section_ready_to_be_taken_in(tmp_path: Path) -> None:
    before, _, commented = SHIPPED.read_text().partition("# hosts:")
    text = before + re.sub("^# ", "", f"# hosts:{commented}", flags=re.MULTILINE)
    (tmp_path / "nats-password").write_text("secret")
    trustme.CA().cert_pem.write_to_path(tmp_path / "nats-ca.pem")
    for folder in ("/run/secrets", "/etc/gwcluster"):
        text = text.replace(folder, str(tmp_path))
    path = written(tmp_path, text)
    found = load(path, environ={**ENVIRON, "DISCORD_TOKEN": "x"}).hosts
    assert found is not None
    assert (found.name, found.lease_s) == ("gw-1", 15.0)
    assert found.addresses == Addresses(
        "tcp://gw-1.example.org:5570", "tcp://gw-1.example.org:5571", "gw-1.example.org:5572"
    )
    data = YAML(typ="safe", pure=True).load(text)
    jsonschema.Draft202012Validator(json_schema()).validate(data)
    known = {field.alias or name for name, field in Hosts.model_fields.items()}
    assert all(re.search(rf"\b{key}\b", commented) for key in known)


def test_the_page_about_hosts_has_every_key() -> None:
    page = (SHIPPED.parent / "docs" / "hosts.md").read_text()
    for section in (Hosts, NatsTls, Told):
        for name, field in section.model_fields.items():
            assert f"`{field.alias or name}" in page, name


@pytest.mark.parametrize("text", ["", hosts(HERE, "name: a")])
def test_reading_a_file_imports_no_client_of_nats(tmp_path: Path, text: str) -> None:
    program = (
        "import sys, pathlib, gwcluster.config as c\n"
        "c.load(pathlib.Path(sys.argv[1]), environ={'HOME': '/h'})\n"
        "print({'nats', 'nkeys'} & sys.modules.keys())"
    )
    command = [sys.executable, "-c", program, str(written(tmp_path, LEAST + text))]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "set()\n"


# What other machines connect to


def test_an_address_that_is_bound_is_what_others_connect_to(tmp_path: Path) -> None:
    found = read(tmp_path, open_binds(tmp_path, "10.0.0.5") + hosts(FAR)).hosts
    assert found is not None
    assert found.addresses == Addresses("tcp://10.0.0.5:7000", "tcp://10.0.0.5:7001", "10.0.0.5:7002")


def test_of_several_the_one_that_others_reach_is_told(tmp_path: Path) -> None:
    text = open_binds(tmp_path, "10.0.0.5").replace("'tcp", "['ipc:///run/x', 'tcp").replace("00'}", "00']}")
    found = read(tmp_path, text.replace("01'}", "01']}").replace("run/x", "run/y", 1) + hosts(FAR)).hosts
    assert found is not None
    assert found.addresses is not None
    assert found.addresses.events == "tcp://10.0.0.5:7000"


@pytest.mark.parametrize("host", ["0.0.0.0", "*"])
def test_whoever_binds_all_addresses_has_to_say_which_one_others_reach(tmp_path: Path, host: str) -> None:
    text = open_binds(tmp_path, host)
    found = wrong(tmp_path, text + hosts(FAR))
    assert [(problem.line, problem.key) for problem in found] == [(4, "events.bind"), (5, "requests.bind")]
    assert found[0].message.startswith("write hosts.addresses.events: tcp://HOST:7000, by which others reach")
    said = "addresses: {events: tcp://gw-1.example.org:7000, requests: tcp://gw-1.example.org:7001}"
    good = read(tmp_path, text + hosts(FAR, said)).hosts
    assert good is not None
    assert good.addresses == Addresses(
        "tcp://gw-1.example.org:7000", "tcp://gw-1.example.org:7001", "gw-1.example.org:7002"
    )


def test_a_loopback_address_is_no_way_to_this_host_from_another_one(tmp_path: Path) -> None:
    # A program elsewhere would connect to itself, or to what runs beside it: to another host's socket.
    found = wrong(tmp_path, hosts(FAR))
    assert [(problem.line, problem.key) for problem in found] == [
        (3, "hosts.addresses.events"),
        (3, "hosts.addresses.requests"),
    ]
    assert found[1].message == (
        "other machines can't connect to tcp://127.0.0.1:5571; bind an address that they reach, or write "
        "hosts.addresses.requests: tcp://127.0.0.1:5571 if only programs on this machine subscribe"
    )
    said = "addresses: {events: tcp://127.0.0.1:5570, requests: tcp://127.0.0.1:5571}"
    good = read(tmp_path, hosts(FAR, said)).hosts
    assert good is not None
    assert good.addresses == Addresses("tcp://127.0.0.1:5570", "tcp://127.0.0.1:5571", None)


def test_a_socket_of_the_file_system_is_no_way_from_another_host_either(tmp_path: Path) -> None:
    found = wrong(
        tmp_path, "events:\n  bind: ipc:///run/x\n" + hosts(FAR, "addresses: {requests: tcp://a:1}")
    )
    assert [(problem.line, problem.key) for problem in found] == [(4, "events.bind")]
    assert "or write hosts.addresses.events: ipc:///run/x if only" in found[0].message


def test_where_no_http_is_served_none_is_told(tmp_path: Path) -> None:
    found = read(tmp_path, "http: {bind: null}\n" + hosts(HERE)).hosts
    assert found is not None
    assert found.addresses is not None
    assert found.addresses.http is None


# Clients


def test_a_client_needs_no_name_no_address_and_no_file_at_hand(tmp_path: Path) -> None:
    text = hosts(FAR, "name: ${UNSET}", "user: u", "password_file: nowhere", "addresses: {events: ${UNSET}}")
    found = read(tmp_path, text.replace("{events: ${UNSET}}", "5"), client=True, hostname="localhost").hosts
    assert found is not None
    assert (found.name, found.addresses) == ("", None)
    assert found.login.password_file == f"{tmp_path}/nowhere"


def test_a_client_needs_the_package_too(tmp_path: Path) -> None:
    (problem,) = wrong(tmp_path, hosts(HERE), client=True, installed=lambda _: False)
    assert problem.key == "hosts"


# Mistakes

BROKEN = [
    # (lines under hosts, line, key, message)
    (
        ["lease: 15s"],
        3,
        "hosts.nats",
        "is missing; write the addresses of your NATS servers, such as nats: [",
    ),
    ([HERE, "lese: 15s"], 5, "hosts.lese", "there is no such key; did you mean lease?"),
    (
        ["nats: []"],
        4,
        "hosts.nats",
        "a list is not a NATS server's address; write nats://HOST:4222, or a list",
    ),
    (["nats: 4222"], 4, "hosts.nats", "this value is not a NATS server's address; write nats://HOST:4222"),
    (
        ["nats: 10.0.0.1:4222"],
        4,
        "hosts.nats",
        "has no scheme that is taken; write nats://HOST:4222, or tls://",
    ),
    (["nats: wss://a"], 4, "hosts.nats", "this value has no scheme that is taken; write nats://HOST:4222"),
    (["nats:", "- nats://a", "- nats://b/c"], 6, "hosts.nats[1]", "this value is no address; write nats://"),
    (["nats: nats://a:99999"], 4, "hosts.nats", "is no address; write nats://HOST:4222"),
    (["nats: nats://"], 4, "hosts.nats", "is no address; write nats://HOST:4222"),
    (["nats: 'nats://[fd00'"], 4, "hosts.nats", "is no address; write nats://HOST:4222"),
    (["nats: 'nats://a b'"], 4, "hosts.nats", "is no address; write nats://HOST:4222"),
    (["nats: [nats://localhost, tls://localhost]"], 4, "hosts.nats", "write tls:// for all, or for none"),
    ([HERE, "name: 7"], 5, "hosts.name", "7 is a number; put it in quotes to make it a name"),
    ([HERE, "name: a/b"], 5, "hosts.name", "'a/b' is not a host's name; write 1 to 63 letters, digits, dots"),
    ([HERE, "name: _kv"], 5, "hosts.name", "the first a letter or digit"),
    ([HERE, f"name: {'x' * 64}"], 5, "hosts.name", "is not a host's name; write 1 to 63 letters"),
    ([HERE, "name: null"], 5, "hosts.name", "null is not a host's name"),
    (
        [HERE, "name: ${HOSTNAME}"],
        5,
        "hosts.name",
        "or remove this line, and the name is the machine's hostname",
    ),
    ([HERE, "lease: 15"], 5, "hosts.lease", "15 has no unit; write 15s if seconds are meant"),
    ([HERE, "lease: 4.9s"], 5, "hosts.lease", "is too short to be renewed in time; write 5s or more"),
    (
        [HERE, "lease: 301s"],
        5,
        "hosts.lease",
        "leaves shards without a host for that long when one dies; write 5m",
    ),
    ([HERE, "lease: soon"], 5, "hosts.lease", "is not a lease; write a number with a unit, from 5s to 5m"),
    ([HERE, "user: u"], 5, "hosts.user", "needs password_file beside it"),
    ([HERE, "password_file: p"], 5, "hosts.password_file", "needs user beside it; write the name that"),
    ([HERE, "user: ' '"], 5, "hosts.user", "' ' is not a user; write the name that NATS knows"),
    (
        [HERE, "token_file: p", "credentials_file: c"],
        5,
        "hosts.token_file",
        "there is credentials_file as well; keep one way to log in",
    ),
    (
        [HERE, "token_file: nowhere"],
        5,
        "hosts.token_file",
        "this file can't be read: no such file or directory",
    ),
    (
        [HERE, "token_file: void"],
        5,
        "hosts.token_file",
        "the first line of this file is empty; write the token",
    ),
    (
        [HERE, "token_file: bytes"],
        5,
        "hosts.token_file",
        "the first line of this file is not text; write the token",
    ),
    (
        [HERE, "nkey_seed_file: p"],
        5,
        "hosts.nkey_seed_file",
        "which begins with SU; make it with nk -gen user",
    ),
    ([HERE, "credentials_file: p"], 5, "hosts.credentials_file", "make it with nsc generate creds"),
    ([HERE, "credentials_file: ."], 5, "hosts.credentials_file", "this file can't be read: is a directory"),
    (
        [HERE, "tls: {handshake_first: true}"],
        5,
        "hosts.tls",
        "no server of hosts.nats is spoken to by TLS; write tls://",
    ),
    (
        ["nats: tls://localhost", "tls: {ca_file: p}"],
        5,
        "hosts.tls.ca_file",
        "has no certificates in it; write the path",
    ),
    (
        ["nats: tls://localhost", "tls: {ca_file: nowhere}"],
        5,
        "hosts.tls.ca_file",
        "this file can't be read: no such",
    ),
    (
        ["nats: tls://localhost", "tls: {cert_file: p, key_file: p}"],
        5,
        "hosts.tls.cert_file",
        "are no certificate and its key; write the paths of two PEM",
    ),
    (["nats: tls://localhost", "tls: {key_file: p}"], 5, "hosts.tls.key_file", "needs cert_file beside it"),
    (["nats: tls://localhost", "tls: {cert_file: c}"], 5, "hosts.tls.cert_file", "needs key_file beside it"),
    (
        ["nats: tls://localhost", "tls: yes"],
        5,
        "hosts.tls",
        "is not TLS settings; write null or a mapping such as {ca",
    ),
    (
        [HERE, "addresses: {events: 'tcp://*:1'}"],
        5,
        "hosts.addresses.events",
        "is nothing to connect to; write",
    ),
    ([HERE, "addresses: {events: a:1}"], 5, "hosts.addresses.events", "has no transport; write tcp://a:1"),
    (
        [HERE, "addresses: {events: tcp://a:0}"],
        5,
        "hosts.addresses.events",
        "has the port 0; write one from 1",
    ),
    (
        [HERE, "addresses: {requests: 'tcp://a b:1'}"],
        5,
        "hosts.addresses.requests",
        "write tcp://HOST:PORT, such",
    ),
    ([HERE, "addresses: {http: 'http://a:1'}"], 5, "hosts.addresses.http", "is a URL; write only HOST:PORT"),
    ([HERE, "addresses: {http: a}"], 5, "hosts.addresses.http", "write HOST:PORT, such as 10.0.0.5:5572"),
]


@pytest.mark.parametrize(
    ("lines", "line", "key", "message"), BROKEN, ids=[" ".join(case[0])[:60] for case in BROKEN]
)
def test_a_mistake_is_told_its_line_key_and_remedy(
    tmp_path: Path, lines: list[str], line: int, key: str, message: str
) -> None:
    (tmp_path / "p").write_text("secret\n")
    (tmp_path / "c").write_text("-----BEGIN NATS USER JWT-----\n-----BEGIN USER NKEY SEED-----\n")
    (tmp_path / "void").write_text("")
    (tmp_path / "bytes").write_bytes(b"\xffsecret")
    (problem,) = wrong(tmp_path, hosts(*lines), environ=ENVIRON)
    assert (problem.line, problem.key) == (line, key)
    assert message in problem.message
    assert len(str(problem)) < len(str(tmp_path)) + 260, "an error is one line that a person reads"


@pytest.mark.parametrize(
    "url", ["nats://u:secret@a", "nats://secret@a:4222", "u:secret@a", "nats://[u:secret@"]
)
def test_a_login_in_an_address_is_refused_without_a_word_of_it(tmp_path: Path, url: str) -> None:
    for text in (f"nats: '{url}'", f"nats: [nats://a, '{url}']"):
        (problem,) = wrong(tmp_path, hosts(text))
        assert problem.key.startswith("hosts.nats")
        assert "secret" not in problem.message


def test_a_cluster_s_name_has_no_dot_where_nats_has_to_take_it(tmp_path: Path) -> None:
    assert read(tmp_path, "name: a.b\n").name == "a.b"
    (problem,) = wrong(tmp_path, "name: a.b\n" + hosts(HERE))
    assert (problem.line, problem.key) == (3, "name")
    assert "NATS takes no dot in names" in problem.message


def test_a_broken_way_in_causes_no_second_complaint_about_addresses(tmp_path: Path) -> None:
    assert [problem.key for problem in wrong(tmp_path, hosts("nats: nowhere"))] == ["hosts.nats"]
    text = "events: {bind: nonsense}\nrequests: {bind: 5}\n" + hosts(FAR)
    assert [problem.key for problem in wrong(tmp_path, text)] == ["events.bind", "requests.bind"]
