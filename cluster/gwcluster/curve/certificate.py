"""ZeroMQ certificates (pure): a key pair, or its public half, as text with what it is good for.

Sources:
    https://rfc.zeromq.org/spec/4/ for the format, https://rfc.zeromq.org/spec/32/ for the keys in it
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from gwcluster.errors import GwclusterError, quoted
from gwcluster.wire.permissions import UNSAID, Permission

_Z85: Final = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_KEY_CHARS: Final = 40
_LINE: Final = re.compile(
    r"""(?P<key>[A-Za-z0-9_.-]+) \s* = \s* (?P<quote>["']?) (?P<value>.*) (?P=quote)""", re.VERBOSE
)


class CertificateError(GwclusterError):
    """A text is no certificate; the message says why, and repeats nothing of a key."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """Keys as ZeroMQ takes them, 40 characters of Z85, and what their owner may do.

    Attributes:
        public_key: tells who it is.
        secret_key: proves it; None in a public certificate.
        may: what the owner may do at a cluster.
    """

    public_key: bytes
    secret_key: bytes | None = field(default=None, repr=False)
    may: frozenset[Permission] = UNSAID


def parse(text: str) -> Certificate:
    """Return the certificate that a file holds.

    Raises:
        CertificateError: it holds none.
    """
    found: dict[str, str] = {}
    for line in map(str.strip, text.splitlines()):
        match = _LINE.fullmatch(line)
        if match is not None and not line.startswith("#"):
            found.setdefault(match["key"], match["value"])
    if "public-key" not in found:
        raise CertificateError("there is no public-key in it; make certificates with gwcluster keygen")
    return Certificate(
        _key("public-key", found["public-key"]),
        _key("secret-key", found["secret-key"]) if "secret-key" in found else None,
        permissions(found["may"]) if "may" in found else UNSAID,
    )


def permissions(words: str) -> frozenset[Permission]:
    """Return what `read,send` means.

    Raises:
        CertificateError: one of the words is none.
    """
    given = [word.strip() for word in words.split(",") if word.strip()]
    known = [each.value for each in Permission]
    if unknown := [word for word in given if word not in known]:
        raise CertificateError(f"may names {quoted(unknown[0])}; it should be some of {','.join(known)}")
    return frozenset(map(Permission, given))


def written(certificate: Certificate, remarks: Iterable[str]) -> str:
    """Return a certificate as the text of a file, with remarks before it, one a line."""
    lines = [f"#   {remark}" for remark in remarks]
    may = ",".join(each for each in Permission if each in certificate.may)
    lines += ["", "metadata", f"    may = {may}", "curve"]
    lines.append(f'    public-key = "{certificate.public_key.decode("ascii")}"')
    if certificate.secret_key is not None:
        lines.append(f'    secret-key = "{certificate.secret_key.decode("ascii")}"')
    return "\n".join(lines) + "\n"


def is_key(text: str) -> bool:
    """Say whether a text is 32 bytes in Z85."""
    if len(text) != _KEY_CHARS or not set(text) <= set(_Z85):
        return False
    return all(_number(text[at : at + 5]) < 1 << 32 for at in range(0, _KEY_CHARS, 5))


def _number(five: str) -> int:
    number = 0
    for char in five:
        number = 85 * number + _Z85.index(char)
    return number


def _key(name: str, value: str) -> bytes:
    if not is_key(value):
        raise CertificateError(
            f"its {name} is no key: that has {_KEY_CHARS} characters of Z85; was it cut off?"
        )
    return value.encode("ascii")
