"""What a bot's own type checker sees of the library, and what importing it costs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
STRICT = ["--strict", "--enable-error-code=unused-awaitable", "--no-incremental", "--config-file="]


def checked(bot: Path, folder: Path) -> str:
    """Run mypy as a bot's author does: elsewhere, with gwcluster installed."""
    run = subprocess.run(
        [sys.executable, "-m", "mypy", *STRICT, str(bot)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    return run.stdout + run.stderr


def test_a_bot_as_people_write_it_passes_strictly(tmp_path: Path) -> None:
    assert "Success: no issues found in 1 source file" in checked(HERE / "good_bot.py", tmp_path)


def test_each_mistake_of_a_bot_is_found_where_it_is(tmp_path: Path) -> None:
    said = checked(HERE / "bad_bot.py", tmp_path)
    found = {
        (int(line), code) for line, code in re.findall(r":(\d+): error: .*\[([a-z-]+)\]$", said, re.MULTILINE)
    }
    lines = (HERE / "bad_bot.py").read_text().splitlines()
    marked = {
        (number, line.partition("# wrong: ")[2])
        for number, line in enumerate(lines, 1)
        if "# wrong: " in line
    }
    assert found == marked


HEAVY = ("click", "ruamel", "pydantic", "aiohttp", "rich", "websockets", "yaml", "gwworker", "sqlite3")


def imported_by(program: str) -> list[str]:
    run = subprocess.run(
        [sys.executable, "-c", f"{program}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in run.stdout.split() if name.partition(".")[0] in HEAVY]


def test_importing_the_library_and_connecting_needs_pyzmq_and_msgpack_alone() -> None:
    assert imported_by("import gwcluster") == []
    assert imported_by("import gwcluster; gwcluster.connect(events='ipc:///e', requests='ipc:///r')") == []
