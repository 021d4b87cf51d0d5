"""Where NATS is and how to log in there (does): plain texts, so that a worker can be handed them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    import ssl

_MAX_LINE_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class NatsLogin:
    """What nats-py has to know of one NATS cluster; paths are absolute, and nothing here is secret.

    Attributes:
        servers: addresses, nats:// or tls://, all of one kind.
        credentials_file: JWT and seed in one file, as nsc makes it.
        user, password_file: a name, and the file whose first line is the password.
        token_file: the file whose first line is the token.
        nkey_seed_file: a file with the seed of a user's key, and nothing else.
        ca_file: what the servers' certificates are checked by; None: the system's.
        cert_file, key_file: this side's own certificate.
        handshake_first: TLS begins before the server says anything.
    """

    servers: tuple[str, ...]
    credentials_file: str | None = None
    user: str | None = None
    password_file: str | None = None
    token_file: str | None = None
    nkey_seed_file: str | None = None
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    handshake_first: bool = False

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Return what `document` gave, perhaps after it went through msgpack."""
        return cls(**{**told, "servers": tuple(told["servers"])})

    def document(self) -> dict[str, Any]:
        """Return it as a map, to be handed to a worker."""
        return asdict(self) | {"servers": list(self.servers)}

    def options(self) -> dict[str, Any]:
        """Return arguments for `nats.connect`.

        Passwords and tokens are read again at each connection, so a new one in the file is taken.

        Raises:
            OSError: a file can't be read; `ssl.SSLError` if what is in it is no certificate or key.
        """
        options: dict[str, Any] = {"servers": list(self.servers)}
        if self.credentials_file is not None:
            options["user_credentials"] = self.credentials_file
        if self.user is not None and self.password_file is not None:
            password_file = self.password_file
            options |= {"user": self.user, "password": lambda: secret_line(password_file)}
        if self.token_file is not None:
            token_file = self.token_file
            options["token"] = lambda: secret_line(token_file)
        if self.nkey_seed_file is not None:
            options["nkeys_seed"] = self.nkey_seed_file
        if self.servers[0].startswith("tls://"):
            options |= {"tls": self.tls(), "tls_handshake_first": self.handshake_first}
        return options

    def tls(self) -> ssl.SSLContext:
        """Return what checks the servers' certificates and shows one's own.

        Raises:
            OSError: as `options`.
        """
        import ssl  # most have no NATS, and of those most have no TLS on it

        context = ssl.create_default_context(cafile=self.ca_file)
        if self.cert_file is not None:
            context.load_cert_chain(self.cert_file, self.key_file)
        return context


def secret_line(path: str) -> str:
    """Return a file's first line without the space around it.

    Raises:
        OSError: it can't be read. UnicodeDecodeError: it is no text.
    """
    with Path(path).open("rb") as source:
        return source.readline(_MAX_LINE_BYTES).decode("utf-8-sig").strip()
