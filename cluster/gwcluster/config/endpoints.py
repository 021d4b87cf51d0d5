"""Addresses: what gwcluster may bind, who can reach it, and which API may be asked (pure)."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from gwcluster.config.problems import UnfitError
from gwcluster.discord import API_VERSION, is_loopback

UNIX_PATH_BYTES: Final = 107
"""Longest path of a Unix socket: `sun_path` has 108 bytes, the last of them NUL.
https://man7.org/linux/man-pages/man7/unix.7.html"""

BIND: Final = r"tcp://(.+):([0-9]{1,5})|ipc://(.+)"
HTTP_BIND: Final = r"(.+):([0-9]{1,5})"
NATS_URL: Final = r"(nats|tls)://[^@/]+"
MAX_URL: Final = 2048
_HOSTNAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Address:
    """Where something listens; `port` is 0 for a Unix socket, whose path `host` then is."""

    host: str
    port: int

    @property
    def local(self) -> bool:
        """Whether only this machine can reach it."""
        return self.port == 0 or is_loopback(self.host)

    @property
    def everywhere(self) -> bool:
        """Whether it stands for all addresses of this machine, so that nobody can connect to it as it is."""
        return self.port != 0 and _is_wildcard(self.host)

    def clashes(self, other: Address) -> bool:
        """Say whether both can't be bound at once."""
        if self.port != other.port:
            return False
        if self.port == 0:
            return self.host == other.host
        return any(_is_wildcard(host) for host in (self.host, other.host)) or _same(self.host, other.host)


def _is_wildcard(host: str) -> bool:
    return host in {"*", "0.0.0.0", "::"}  # noqa: S104 - recognised, not bound


def _same(one: str, other: str) -> bool:
    return (one.lower().replace("localhost", "127.0.0.1")) == (
        other.lower().replace("localhost", "127.0.0.1")
    )


def zmq_address(bind: str) -> Address:
    """Return where `tcp://HOST:PORT` or `ipc:///PATH` listens.

    Raises:
        UnfitError: It can't be bound; the message, if any, says why and what to write.
    """
    if not (match := re.fullmatch(BIND, bind)):
        if re.fullmatch(HTTP_BIND, bind) and "://" not in bind:
            raise UnfitError(f"has no transport; write tcp://{bind}")
        raise UnfitError
    if match[3] is not None:
        return Address(_unix_path(match[3]), 0)
    host, port = match[1], _port(match[2])
    if ":" in host:
        raise UnfitError("names an IPv6 address, which is not bound; write an IPv4 address")
    if not (host == "*" or is_loopback(host) or _is_ipv4(host)):
        raise UnfitError(
            "names no address of this machine; write an IPv4 address, such as tcp://127.0.0.1:5570"
        )
    return Address(host, port)


def _unix_path(path: str) -> str:
    if not path.startswith("/"):
        raise UnfitError(
            "has a relative path, which depends on where it is run; write ipc:// and a path from /"
        )
    if not fits_filesystem(path):
        raise UnfitError
    if (length := len(path.encode(errors="surrogateescape"))) > UNIX_PATH_BYTES:
        raise UnfitError(f"has a path of {length} bytes; a Unix socket's has at most {UNIX_PATH_BYTES}")
    return path


def fits_filesystem(path: str) -> bool:
    """Say whether a text can be a path at all: no NUL, nothing that has no bytes."""
    try:
        return b"\0" not in path.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return False


def _port(text: str) -> int:
    if not 1 <= int(text) <= 65535:
        raise UnfitError(f"has the port {text}; write one from 1 to 65535")
    return int(text)


def _is_ipv4(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 4
    except ValueError:
        return False


def http_address(bind: str) -> Address:
    """Return where `HOST:PORT` listens.

    Raises:
        UnfitError: It can't be bound; the message, if any, says why and what to write.
    """
    if re.match(r"https?://", bind):
        raise UnfitError("is a URL; write only HOST:PORT, such as 127.0.0.1:5572")
    if not (match := re.fullmatch(HTTP_BIND, bind)):
        raise UnfitError
    host, port = match[1], _port(match[2])
    if host.startswith("[") and host.endswith("]"):
        host = _ipv6(host[1:-1])
    elif ":" in host:
        raise UnfitError("has an IPv6 address without brackets; write [ADDRESS]:PORT")
    elif not (host == "*" or _HOSTNAME.fullmatch(host)):
        raise UnfitError
    return Address(host, port)


def _ipv6(text: str) -> str:
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        raise UnfitError from None


def announced_zmq(value: str) -> Address:
    """Return where `tcp://HOST:PORT` or `ipc:///PATH` is reached.

    Raises:
        UnfitError: Nobody can connect to it; the message, if any, says why and what to write.
    """
    match = re.fullmatch(BIND, value)
    if match is None or match[3] is not None:
        return zmq_address(value)
    return _announced(match[1], match[2])


def announced_http(value: str) -> Address:
    """Return where `HOST:PORT` is reached.

    Raises:
        UnfitError: Nobody can connect to it; the message, if any, says why and what to write.
    """
    if re.match(r"[a-z]+://", value):
        raise UnfitError("is a URL; write only HOST:PORT, such as 10.0.0.5:5572")
    if not (match := re.fullmatch(HTTP_BIND, value)):
        raise UnfitError
    return _announced(match[1], match[2])


def _announced(host: str, port: str) -> Address:
    address = Address(host, _port(port))
    if address.everywhere:
        raise UnfitError("is nothing to connect to; write a name or an address of this machine")
    if not _HOSTNAME.fullmatch(host):
        raise UnfitError
    return address


def nats_url(value: str) -> str:
    """Return a NATS server's address. It may hold a password by mistake: no message repeats any of it.

    Raises:
        UnfitError: It is none; the message says what to write.
    """
    example = "write nats://HOST:4222, or tls://HOST:4222 for TLS"
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise UnfitError(f"is no address; {example}") from None
    if "@" in value:
        raise UnfitError("has a login in it; write it as user and password_file, or token_file, beside nats")
    if parts.scheme not in {"nats", "tls"}:
        raise UnfitError(f"has no scheme that is taken; {example}")
    rest = parts.path or parts.query or parts.fragment
    if not host or port == 0 or rest or ("[" not in parts.netloc and not _HOSTNAME.fullmatch(host)):
        raise UnfitError(f"is no address; {example}")
    return value


def is_loopback_nats(url: str) -> bool:
    """Say whether a NATS server's address leads to this machine."""
    return is_loopback(urlsplit(url).hostname or "")


def webhook_url(value: str) -> str:
    """Return the address that messages may be posted to. It is a secret: no message repeats any of it.

    Raises:
        UnfitError: It is none; the message says what to write.
    """
    example = "write https:// and the rest, as Discord shows it under a channel's integrations"
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise UnfitError(f"is no address; {example}") from None
    if len(value) > MAX_URL or not re.fullmatch(r"[!-~]+", value):
        raise UnfitError(f"is no address; {example}")
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0 or parts.username is not None:
        raise UnfitError(f"is no address that can be posted to; {example}")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise UnfitError("would go unencrypted; write https://, or a loopback address")
    return value


def api_url(value: str) -> str:
    """Return the API's address without a closing slash.

    Raises:
        UnfitError: The token must not go there; the message, if any, says why.
    """
    url = value.rstrip("/")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UnfitError from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise UnfitError
    if parts.username is not None or parts.query or parts.fragment or not re.fullmatch(r"[!-~]+", url):
        raise UnfitError
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise UnfitError("would send the token unencrypted; write https://, or a loopback address")
    if parts.hostname.lower() == "discordapp.com":  # https://docs.discord.com/developers/change-log#api-v10
        raise UnfitError(
            "is the old domain, which doesn't serve this version; write https://discord.com/api/v10"
        )
    if parts.path != f"/api/v{API_VERSION}":
        raise UnfitError(f"must end in /api/v{API_VERSION}, the API version that gwcluster speaks")
    return url
