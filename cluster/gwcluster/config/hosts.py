"""Resolves `hosts`: this machine's name, files of logins, packages that are needed (does)."""

from __future__ import annotations

import importlib.util
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from gwcluster.config import model
from gwcluster.config.checks import Clash
from gwcluster.config.environment import Document
from gwcluster.config.files import first_line, reason
from gwcluster.config.problems import UnfitError
from gwcluster.config.says import Section
from gwcluster.config.settings import Addresses, Hosts
from gwcluster.config.several import announced, announced_http
from gwcluster.config.units import host_name
from gwcluster.nats_login import NatsLogin

_SEED: Final = re.compile(r"SU[A-Z2-7]{56}")
"""https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/nkey_auth"""

_MAX_BYTES: Final = 1 << 16
_REMEDY: Final = "install it with pip install 'gwcluster[hosts]'"


def installed(package: str) -> bool:
    """Say whether a package can be imported, without doing so."""
    return importlib.util.find_spec(package) is not None


class HostsReader:
    """Makes `Hosts` of the section, and complains of what it finds.

    Args:
        document: where complaints go.
        located: gives the path that is meant by one in the file, which stands at a key.
        look: read the files too.
        installed: says whether a package is there.
        hostname: of this machine.
    """

    def __init__(
        self,
        document: Document,
        located: Callable[[Path, tuple[str, ...]], Path],
        *,
        look: bool,
        installed: Callable[[str], bool] = installed,
        hostname: Callable[[], str] = socket.gethostname,
    ) -> None:
        self._document = document
        self._located = located
        self._look = look
        self._installed = installed
        self._hostname = hostname

    def read(self, file: model.ClusterFile, *, client: bool) -> Hosts | None:
        """Return the section resolved, None if there is none.

        Args:
            file: validated.
            client: for one who only reads: it has no name among the hosts and announces nothing.
        """
        hosts = file.hosts
        if hosts is None:
            return None
        self._packages(hosts)
        login = self._login(hosts)
        secrets = self._secrets(login) if self._look else ()
        if client:
            return Hosts(login, "", hosts.lease_s, None, secrets)
        return Hosts(login, self._name(hosts), hosts.lease_s, _addresses(file), secrets)

    def _packages(self, hosts: model.Hosts) -> None:
        needed: dict[str, tuple[str, ...]] = {"nats": ("hosts",)}
        for key in ("credentials_file", "nkey_seed_file"):
            if getattr(hosts, key) is not None:
                needed["nkeys"] = ("hosts", key)
        for package, at in needed.items():
            if not self._installed(package):
                self._document.complain(
                    at, f"needs the Python package {package}, which is not here; {_REMEDY}"
                )
                return

    def _name(self, hosts: model.Hosts) -> str:
        if hosts.name is not None:
            return hosts.name
        at = ("hosts", "name")
        try:
            name = host_name(self._hostname())
        except UnfitError:
            name = "localhost"
        if name.startswith("localhost") and not self._document.is_broken(at):
            told = "this machine's hostname is no name that tells it from others"
            self._document.complain(at, f"{told}; write one, or set the hostname (hostnamectl hostname NAME)")
        return name

    def _login(self, hosts: model.Hosts) -> NatsLogin:
        tls = hosts.tls or model.NatsTls()

        def path(section: Section, key: str, *above: str) -> str | None:
            given: Path | None = getattr(section, key)
            return None if given is None else str(self._located(given, ("hosts", *above, key)))

        return NatsLogin(
            servers=hosts.nats,
            credentials_file=path(hosts, "credentials_file"),
            user=hosts.user,
            password_file=path(hosts, "password_file"),
            token_file=path(hosts, "token_file"),
            nkey_seed_file=path(hosts, "nkey_seed_file"),
            ca_file=path(tls, "ca_file", "tls"),
            cert_file=path(tls, "cert_file", "tls"),
            key_file=path(tls, "key_file", "tls"),
            handshake_first=tls.handshake_first,
        )

    def _secrets(self, login: NatsLogin) -> tuple[SecretStr, ...]:
        """Look into each file that there is; return what must not be logged."""
        found = [
            self._line(login.password_file, ("hosts", "password_file"), "the password"),
            self._line(login.token_file, ("hosts", "token_file"), "the token"),
            self._seed(login.nkey_seed_file),
        ]
        self._credentials(login.credentials_file)
        self._certificates(login)
        return tuple(SecretStr(secret) for secret in found if secret)

    def _line(self, path: str | None, at: tuple[str, ...], what: str) -> str:
        if path is None:
            return ""
        try:
            if line := first_line(Path(path), what):
                return line
            self._document.complain(at, f"the first line of this file is empty; write {what} there")
        except UnfitError as error:
            self._document.complain(at, f"the first line of this file {error}")
        except OSError as error:
            self._document.complain(at, f"this file can't be read: {reason(error)}")
        return ""

    def _seed(self, path: str | None) -> str:
        at = ("hosts", "nkey_seed_file")
        seed = self._text(path, at)
        if seed is not None and not _SEED.fullmatch(seed.strip()):
            self._document.complain(
                at, "this file is not one user's seed alone, which begins with SU; make it with nk -gen user"
            )
        return (seed or "").strip()

    def _credentials(self, path: str | None) -> None:
        at = ("hosts", "credentials_file")
        text = self._text(path, at)
        if text is not None and not ("BEGIN NATS USER JWT" in text and "BEGIN USER NKEY SEED" in text):
            self._document.complain(
                at, "this file has no user's JWT and seed; make it with nsc generate creds"
            )

    def _text(self, path: str | None, at: tuple[str, ...]) -> str | None:
        if path is None:
            return None
        try:
            with Path(path).open("rb") as source:
                return source.read(_MAX_BYTES).decode("ascii", errors="replace")
        except OSError as error:
            self._document.complain(at, f"this file can't be read: {reason(error)}")
            return None

    def _certificates(self, login: NatsLogin) -> None:
        files = {"ca_file": login.ca_file, "cert_file": login.cert_file, "key_file": login.key_file}
        given = {("hosts", "tls", key): path for key, path in files.items() if path is not None}
        if any(self._text(path, at) is None for at, path in given.items()):
            return
        try:
            NatsLogin(login.servers, ca_file=login.ca_file).tls()
        except OSError:  # what ssl raises is one
            at = ("hosts", "tls", "ca_file")
            self._document.complain(at, "this file has no certificates in it; write the path of a PEM file")
        if login.cert_file is None or login.key_file is None:
            return
        try:
            NatsLogin(login.servers, cert_file=login.cert_file, key_file=login.key_file).tls()
        except OSError:
            at = ("hosts", "tls", "cert_file")
            told = "this file and key_file are no certificate and its key"
            self._document.complain(at, f"{told}; write the paths of two PEM files that belong together")


def _addresses(file: model.ClusterFile) -> Addresses:
    events, requests = announced(file, "events"), announced(file, "requests")
    return Addresses(
        events="" if isinstance(events, Clash) else events,
        requests="" if isinstance(requests, Clash) else requests,
        http=announced_http(file),
    )
