"""The files of the dashboard (does): read once, and nothing else is ever served from a disk."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parent / "static"

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def pages() -> dict[str, tuple[bytes, str]]:
    """Return path → content and its type."""
    found = {f"/static/{file.name}": (file.read_bytes(), _TYPES[file.suffix]) for file in _FOLDER.iterdir()}
    found["/"] = found.pop("/static/index.html")
    return found
