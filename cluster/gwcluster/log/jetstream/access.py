"""How to get into NATS (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self
from urllib.parse import urlsplit

from gwcluster.errors import LogError, quoted


@dataclass(frozen=True, slots=True)
class Access:
    """Servers, and what they ask for.

    Attributes:
        urls: of some servers of the cluster; the others are learned from them.
        user, password, token: what the servers' configuration says.
        nkey_seed: file with the seed of an nkey.
        creds: file with a JWT and its nkey, as `nsc` writes it.
        tls_ca: file of certificates to trust instead of the system's.
        tls_cert, tls_key: files of our own certificate and its key.
    """

    urls: tuple[str, ...]
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    nkey_seed: str | None = None
    creds: str | None = None
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Return what a map of the fields above says.

        Raises:
            LogError: a key that isn't one of them, or no address.
        """
        known = {each.name for each in fields(cls)}
        if unknown := sorted(told.keys() - known):
            raise LogError(
                f"not what NATS is accessed with: {quoted(unknown)}; {', '.join(sorted(known))} is"
            )
        if not told.get("urls"):
            raise LogError("no address of a NATS server")
        return cls(**{**told, "urls": tuple(told["urls"])})

    def as_dict(self) -> dict[str, Any]:
        """Return what `of` takes, without what isn't set."""
        told = {each.name: getattr(self, each.name) for each in fields(self)}
        return {key: value for key, value in told.items() if value is not None} | {"urls": list(self.urls)}

    @property
    def wants_tls(self) -> bool:
        """Whether a certificate of ours or theirs is named, or an address says so."""
        return bool(self.tls_ca or self.tls_cert) or any(url.startswith("tls:") for url in self.urls)


def without_secrets(url: str) -> str:
    """Return an address without user and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
