"""The session that a worker's successor resumes, kept beside the log (does)."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final
from zlib import crc32

from gwcluster.discord import API_VERSION
from gwcluster.errors import LogError

FILE_NAME: Final = "session.json"
FORMAT: Final = 1
_MAX_BYTES: Final = 65_536
_TYPES: Final = {"int": int, "str": str}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SavedSession:
    """What RESUME needs besides the token and the log's seq, and what the session was identified with.

    Attributes:
        session: counts sessions within the log's epoch.
        session_id: Discord's; whoever has it and the token can take the session over, so never log it.
        resume_url: where to resume.
        shard, shards: shard id, from 0, and shard count.
        intents: the bit set.
        token_digest: tells whether the token is another one by now, without telling the token.
        api_version: of the gateway.
    """

    session: int
    session_id: str
    resume_url: str
    shard: int
    shards: int
    intents: int
    token_digest: str
    api_version: int

    def __repr__(self) -> str:
        return f"SavedSession(session={self.session}, shard={self.shard}, shards={self.shards}, …)"

    def fits(self, *, shard: int, shards: int, intents: int, token: str) -> bool:
        """Say whether a shard that is to run like this may resume the session."""
        return (
            (self.shard, self.shards) == (shard, shards)
            and self.intents == intents
            and self.token_digest == token_digest(token)
            and self.api_version == API_VERSION
        )


class FileSessions:
    """Keeps the session in `folder`, beside the log that is there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, saved: SavedSession) -> None:
        """See `save`."""
        save(self._folder, saved)

    def load(self) -> SavedSession | None:
        """See `load`."""
        return load(self._folder)

    def forget(self) -> None:
        """See `forget`."""
        forget(self._folder)


def token_digest(token: str) -> str:
    """Return a fingerprint that tells tokens apart and gives nothing of them away."""
    return hashlib.sha256(b"gwcluster session " + token.encode()).hexdigest()[:16]


def save(folder: Path, saved: SavedSession) -> None:
    """Write `saved`, mode 0600; when this returns it is on the disk, and never was half of it.

    Raises:
        LogError: the disk refuses; what was saved before is still there.
    """
    unfinished = folder / f"{FILE_NAME}.tmp"
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        with os.fdopen(os.open(unfinished, flags, 0o600), "wb") as file:
            file.write(encode_session(saved))
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(folder / FILE_NAME)
        _sync_folder(folder)
    except OSError as error:
        raise LogError(f"can't save the session in {folder}: {error}") from error


def load(folder: Path) -> SavedSession | None:
    """Return what was saved, or None when there is nothing or nothing that can be trusted. Never raises."""
    path = folder / FILE_NAME
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        return decode_session(data)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        # A JSON error's message has positions only; ours have keys only. Neither shows the session id.
        _log.warning("the saved session %s can't be used: %s", path, error)
        return None


def touch(folder: Path, wall: float) -> None:
    """Note that the saved session is alive at Unix second `wall`; that there is none, or no disk, is fine."""
    with contextlib.suppress(OSError):
        os.utime(folder / FILE_NAME, (wall, wall))


def alive_at(folder: Path) -> float | None:
    """Return the Unix second at which the saved session was last known to be alive; None if there is none."""
    try:
        return (folder / FILE_NAME).stat().st_mtime
    except OSError:
        return None


def forget(folder: Path) -> None:
    """Remove what was saved; nothing to remove is fine.

    Raises:
        LogError: the disk refuses.
    """
    try:
        for name in (FILE_NAME, f"{FILE_NAME}.tmp"):
            (folder / name).unlink(missing_ok=True)
        if folder.is_dir():
            _sync_folder(folder)
    except OSError as error:
        raise LogError(f"can't forget the session in {folder}: {error}") from error


def encode_session(saved: SavedSession) -> bytes:
    """Return a session as it is kept."""
    body = asdict(saved)
    return json.dumps({"format": FORMAT, "crc32": _check(body), "session": body}, indent=1).encode()


def decode_session(data: bytes) -> SavedSession:
    """Return a session that was kept.

    Raises:
        ValueError: it can't be trusted; its message shows nothing of the session.
    """
    if len(data) > _MAX_BYTES:
        raise ValueError(f"larger than {_MAX_BYTES} bytes")
    try:
        document = json.loads(data)
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f"not of format {FORMAT}")
    body = document.get("session")
    if not isinstance(body, dict) or document.get("crc32") != _check(body):
        raise ValueError("its content and its checksum differ")
    for field in fields(SavedSession):
        if type(body.get(field.name)) is not _TYPES[str(field.type)]:
            raise ValueError(f"{field.name} is not {field.type}")
    return SavedSession(**{field.name: body[field.name] for field in fields(SavedSession)})


def _check(body: dict[str, Any]) -> int:
    return crc32(json.dumps(body, sort_keys=True).encode())


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
