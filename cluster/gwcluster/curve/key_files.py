"""Certificates on disk (does): read with suspicion, written once and never over another."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

import zmq

from gwcluster.curve.certificate import Certificate, CertificateError, parse, written
from gwcluster.errors import GwclusterError

MAX_BYTES: Final = 16 << 10
"""Longest certificate that is read; one has some hundred bytes."""

_ANY_BY_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class KeyFileError(GwclusterError):
    """A certificate can't be used; the message names the file, what is wrong, and what would be right."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: {what}")


def public_file_of(secret_file: Path) -> Path:
    """Return where `gwcluster keygen` puts the public half of a secret certificate."""
    name = secret_file.name
    stem = name.removesuffix("_secret")
    return secret_file.with_name(stem if stem not in {"", name} else f"{name}.pub")


def read_public(path: Path) -> Certificate:
    """Return a client's certificate, or a cluster's, that only its owner can have changed.

    Raises:
        KeyFileError: it can't be read, is none, or others may write it.
    """
    found, status = _read(path)
    _refuse_strange_owner(path, status)
    if status.st_mode & stat.S_IWOTH:
        raise KeyFileError(path, f"everybody may change it (mode {_mode(status)}); chmod o-w it")
    return Certificate(found.public_key, None, found.may)


def read_secret(path: Path) -> Certificate:
    """Return a certificate with its secret key, which nobody else may read.

    Raises:
        KeyFileError: it can't be read, holds no pair of keys, or others may read it.
    """
    found, status = _read(path)
    _refuse_strange_owner(path, status)
    # As PostgreSQL has it for its keys: root may let the group of a service read, the service itself nobody.
    is_roots = status.st_uid == 0 and os.geteuid() != 0
    if status.st_mode & (_ANY_BY_OTHERS & ~stat.S_IRGRP if is_roots else _ANY_BY_OTHERS):
        raise KeyFileError(
            path, f"others may read it (mode {_mode(status)}); chmod 0600 it, and make new keys if others did"
        )
    if found.secret_key is None:
        raise KeyFileError(path, "there is no secret-key in it; is it the public certificate?")
    if zmq.curve_public(found.secret_key) != found.public_key:
        raise KeyFileError(path, "its public-key doesn't belong to its secret-key; make new keys")
    return found


def write_new(path: Path, certificate: Certificate, remarks: list[str]) -> None:
    """Write a certificate into a file that isn't there yet; one with a secret key is its owner's alone.

    Raises:
        KeyFileError: there is such a file, or it can't be written.
    """
    mode = 0o644 if certificate.secret_key is None else 0o600
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(written(certificate, remarks))
    except FileExistsError:
        raise KeyFileError(path, "there is such a file already, and keys are not overwritten") from None
    except OSError as error:
        raise KeyFileError(path, f"it can't be written: {_words(error)}") from error


def _read(path: Path) -> tuple[Certificate, os.stat_result]:
    try:
        # Without O_NONBLOCK, the opening of a pipe would wait for whoever writes to it.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise KeyFileError(path, "it is no file; name a certificate made by gwcluster keygen")
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise KeyFileError(
            path, "there is no such file; make keys with gwcluster keygen, or correct the path"
        ) from None
    except (OSError, ValueError) as error:
        raise KeyFileError(path, f"it can't be read: {_words(error)}") from None
    if len(raw) > MAX_BYTES:
        raise KeyFileError(path, "it is too long for a certificate; is this the right file?")
    try:
        return parse(raw.decode("utf-8")), status
    except CertificateError as error:
        raise KeyFileError(path, str(error)) from None
    except UnicodeDecodeError:
        raise KeyFileError(path, "it is no text; make certificates with gwcluster keygen") from None


def _refuse_strange_owner(path: Path, status: os.stat_result) -> None:
    if status.st_uid not in {0, os.geteuid()}:
        raise KeyFileError(
            path,
            f"it belongs to user {status.st_uid}; chown it to root or to user {os.geteuid()}, who runs this",
        )


def _mode(status: os.stat_result) -> str:
    return f"{stat.S_IMODE(status.st_mode):04o}"


def _words(error: Exception) -> str:
    words = error.strerror if isinstance(error, OSError) else str(error)
    return (words or type(error).__name__).lower()
