"""Reads a configuration file and the files that it names (does)."""

from __future__ import annotations

import os.path
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from gwcluster.config.checks import clashes, socket_clash
from gwcluster.config.endpoints import webhook_url
from gwcluster.config.environment import Document, fill
from gwcluster.config.files import first_line, read_text, reason
from gwcluster.config.hosts import HostsReader, installed
from gwcluster.config.model import ClusterFile, Curve, Notify, Security
from gwcluster.config.problems import ConfigError, UnfitError
from gwcluster.config.settings import Config
from gwcluster.config.several import host_clashes, unreachable
from gwcluster.config.units import MAX_HTTP_TOKEN, MIN_HTTP_TOKEN, bot_token, http_token
from gwcluster.config.validate import note, validate
from gwcluster.config.yaml_source import read_tree
from gwcluster.curve.clients import Clients
from gwcluster.curve.key_files import KeyFileError, read_secret

_WEBHOOK: Final = ("notify", "webhook")
_WEBHOOK_FILE: Final = ("notify", "webhook_file")
_TEXTS: Final = (("name",), ("token",), ("token_file",), ("state",), ("hosts", "name"), ("hosts", "user"))
_SIMULATED: Final = (("token",), ("token_file",), ("gateway", "api"), _WEBHOOK, _WEBHOOK_FILE)
_OF_A_HOST: Final = (("hosts", "name"), ("hosts", "addresses"))


def load(
    path: Path,
    *,
    environ: Mapping[str, str],
    simulate: bool = False,
    client: bool = False,
    installed: Callable[[str], bool] = installed,
    hostname: Callable[[], str] = socket.gethostname,
) -> Config:
    """Read, check and resolve a `cluster.yaml`.

    Relative paths in it begin at its own folder, and `~/` at `HOME`. Without `state`, the state folder is
    `gwcluster/<name>` in `XDG_STATE_HOME`, by default `~/.local/state`.

    Args:
        path: The file.
        environ: Where `${NAME}`, `HOME` and `XDG_STATE_HOME` are looked up.
        simulate: Take no interest in what the file says about token, API and webhook: for a run against a
            stand-in (`Config.simulated` sets the first two).
        client: Take no interest in those, in the files of keys and logins, and in what a host is called and
            reached by: for those who only need to know where the sockets are, and may be on another machine.
        installed: Says whether a Python package is there; asked only if there is `hosts`.
        hostname: Gives this machine's, for `hosts` without `name`.

    Raises:
        ConfigError: The file can't be used; print it, and end with `Exit.BAD_CONFIG`.

    Sources:
        https://specifications.freedesktop.org/basedir-spec/latest/
    """
    root, problems = read_tree(read_text(path), str(path))
    if root is None:
        raise ConfigError.at(str(path), "the file is empty; it needs at least token and intents")
    omit = (*(_SIMULATED if simulate or client else ()), *(_OF_A_HOST if client else ()))
    document = fill(root, str(path), environ, text_keys=_TEXTS, omit=omit)
    document.problems[:0] = problems
    file = validate(document)
    paths = _Paths(document, path.absolute().parent, environ)
    token = SecretStr("") if simulate or client else paths.token(file)
    state = paths.state(file)
    notify = paths.notify(file.notify)
    http_token = None if simulate or client else paths.http_token(file)
    security = paths.security(file.security, look=not client)
    reader = HostsReader(document, paths.located, look=not client, installed=installed, hostname=hostname)
    hosts = reader.read(file, client=client)
    note(document, [*clashes(file), *socket_clash(state), *host_clashes(file)])
    note(document, [] if client else unreachable(file))
    if document.problems:
        raise ConfigError(document.problems)
    return Config(
        name=file.name,
        token=token,
        intents=sum(set(file.intents)),
        shards=file.shards,
        presence=None if file.presence is None else file.presence.complete(),
        gateway=file.gateway,
        events=file.events,
        requests=file.requests,
        http=file.http,
        http_token=http_token,
        state=state,
        log=file.log,
        identify=file.identify,
        supervision=file.supervision,
        notify=notify,
        security=security,
        hosts=hosts,
    )


@dataclass(frozen=True, slots=True)
class _Paths:
    """What a file says of other files, resolved."""

    document: Document
    folder: Path
    environ: Mapping[str, str]

    def token(self, file: ClusterFile) -> SecretStr:
        document = self.document
        given = [key for key in ("token", "token_file") if (key,) in document.lines]
        if len(given) > 1:
            document.complain(("token_file",), "there is a token as well; keep one of the two")
        elif given and not document.is_broken((given[0],)):
            return self._token(file, given[0])
        elif not given and not document.is_broken(()):
            ways = "write token: ${DISCORD_TOKEN}, or token_file with the path of a file that holds it"
            document.complain(("token",), f"is missing; {ways}")
        return SecretStr("")

    def _token(self, file: ClusterFile, key: str) -> SecretStr:
        subject = self.document.subject((key,), file.token, secret=True)
        try:
            if file.token_file is None:
                return SecretStr(bot_token(file.token or ""))
            subject = "the first line of this file"
            return SecretStr(bot_token(first_line(self.located(file.token_file, (key,)), "the bot's token")))
        except UnfitError as error:
            self.document.complain((key,), f"{subject} {error}")
        except OSError as error:
            self.document.complain((key,), f"this file can't be read: {reason(error)}")
        return SecretStr("")

    def http_token(self, file: ClusterFile) -> SecretStr | None:
        if file.http.token_file is None:
            return None
        at = ("http", "token_file")
        try:
            return SecretStr(http_token(first_line(self.located(file.http.token_file, at), "the token")))
        except UnfitError:
            ways = (
                f"write one of {MIN_HTTP_TOKEN} to {MAX_HTTP_TOKEN} characters, as openssl rand -hex 32 gives"
            )
            self.document.complain(at, f"the first line of this file is no token; {ways}")
        except OSError as error:
            self.document.complain(at, f"this file can't be read: {reason(error)}")
        return None

    def state(self, file: ClusterFile) -> Path:
        at = ("state",)
        if file.state is not None:
            state = self.located(file.state, at)
        else:
            base = self.environ.get("XDG_STATE_HOME", "")
            if not base.startswith("/"):  # the specification has relative ones ignored
                base = f"{self._home(at)}/.local/state"
            state = Path(base, "gwcluster", file.name)
        return state

    def notify(self, notify: Notify) -> Notify:
        if notify.webhook_file is None:
            return notify
        if notify.webhook is not None:
            self.document.complain(_WEBHOOK_FILE, "there is a webhook as well; keep one of the two")
            return notify
        try:
            line = first_line(self.located(notify.webhook_file, _WEBHOOK_FILE), "the webhook's address")
            return notify.model_copy(update={"webhook": SecretStr(webhook_url(line))})
        except UnfitError as error:
            self.document.complain(_WEBHOOK_FILE, f"the first line of this file {error}")
        except OSError as error:
            self.document.complain(_WEBHOOK_FILE, f"this file can't be read: {reason(error)}")
        return notify

    def security(self, security: Security, *, look: bool) -> Security:
        if security.curve is None:
            return security
        key_at, clients_at = ("security", "curve", "secret_key_file"), ("security", "curve", "clients_dir")
        key_file = self.located(security.curve.secret_key_file, key_at)
        clients_dir = self.located(security.curve.clients_dir, clients_at)
        if look:
            for at, read in (
                (key_at, lambda: read_secret(key_file)),
                (clients_at, lambda: Clients(clients_dir)),
            ):
                try:
                    read()
                except KeyFileError as error:
                    self.document.complain(at, str(error))
        return Security.model_construct(
            curve=Curve.model_construct(secret_key_file=key_file, clients_dir=clients_dir)
        )

    def located(self, path: Path, at: tuple[str, ...]) -> Path:
        """Return the path that is meant by one that stands at a key."""
        if path.parts[:1] == ("~",):
            path = Path(self._home(at), *path.parts[1:])
        return Path(os.path.normpath(self.folder / path))

    def _home(self, at: tuple[str, ...]) -> str:
        home = self.environ.get("HOME", "")
        if home.startswith("/"):
            return home
        if not self.document.is_broken(at):
            message = "HOME is not set, so there is no folder; write one from /, such as /var/lib/gwcluster"
            self.document.complain(at, message)
        return "/"
