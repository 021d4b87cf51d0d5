"""Configuration files for tests, and what is found wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from gwcluster.config import Config, ConfigError, Problem, load

LEAST = "token: not-a-real-token\nintents: [GUILDS]\n"
"""The shortest good file, two lines long."""

ENVIRON = {"HOME": "/home/bot"}


def loaded(
    folder: Path, text: str | bytes, environ: Mapping[str, str] = ENVIRON, *, simulate: bool = False
) -> Config:
    """Load a file with this content."""
    return load(written(folder, text), environ=environ, simulate=simulate)


def problems(folder: Path, text: str | bytes, environ: Mapping[str, str] = ENVIRON) -> tuple[Problem, ...]:
    """Return what is wrong with a file of this content; something has to be."""
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text, environ)
    return caught.value.problems


def written(folder: Path, text: str | bytes) -> Path:
    """Write `cluster.yaml` into a folder."""
    path = folder / "cluster.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path
