"""A configuration that was found good, with every value resolved (pure)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from gwcluster.config.model import (
    Events,
    Gateway,
    Http,
    Identify,
    Log,
    Notify,
    Requests,
    Security,
    Shards,
    Supervision,
)
from gwcluster.nats_login import NatsLogin


@dataclasses.dataclass(frozen=True, slots=True)
class Addresses:
    """What programs connect to, on any machine: ZeroMQ addresses, and HOST:PORT or None for HTTP."""

    events: str
    requests: str
    http: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class Hosts:
    """`hosts`, resolved.

    Attributes:
        login: Where NATS is, and how to log in there.
        name: This machine's among the hosts, one token of a NATS key; empty for a client, which is no host.
        lease_s: For how long a shard is a host's without a renewal, seconds.
        addresses: What this host tells the others; None for a client.
        secrets: What was in the login's files, for the log's filter alone; empty for a client.
    """

    login: NatsLogin
    name: str
    lease_s: float
    addresses: Addresses | None
    secrets: tuple[SecretStr, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Config:
    """What `load` makes of a file.

    Attributes:
        name: Labels metrics; safe as a folder's name.
        token: The bot's token without `Bot `; `get_secret_value()` gives it, `repr` never does.
        intents: The bits of all intents asked for.
        presence: The complete object for identify, or None.
        http_token: What a POST over HTTP needs, None if there is no `http.token_file`.
        state: Absolute path of the state folder, which may not exist yet.
        hosts: How several machines share the shards; None: there is one.

    The other attributes are the file's sections; see `gwcluster.config.model`. In `notify`, `webhook` is the
    address even if the file named another one that holds it.
    """

    name: str
    token: SecretStr
    intents: int
    shards: Shards
    presence: dict[str, Any] | None
    gateway: Gateway
    events: Events
    requests: Requests
    http: Http
    http_token: SecretStr | None
    state: Path
    log: Log
    identify: Identify
    supervision: Supervision
    notify: Notify
    security: Security
    hosts: Hosts | None

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no log and no environment of another process may have."""
        given = (self.token, self.notify.webhook, *(self.hosts.secrets if self.hosts else ()))
        return tuple(
            value.get_secret_value() for value in given if value is not None and value.get_secret_value()
        )

    def simulated(self, *, api: str, token: str) -> Config:
        """Return the same configuration for a stand-in Discord.

        Args:
            api: Its API address, such as `http://127.0.0.1:8080/api/v10`.
            token: What it takes for a token.
        """
        gateway = self.gateway.model_copy(update={"api": api})
        return dataclasses.replace(self, gateway=gateway, token=SecretStr(token))
