"""Holds the pages to what they speak about."""

from __future__ import annotations

import re
import runpy
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").glob("*/README.md")),
]
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)$", re.MULTILINE)


def test_the_page_about_the_session_is_drawn_from_the_tables() -> None:
    drawn = runpy.run_path(str(ROOT / "scripts" / "draw_session.py"))["page"]()
    assert (ROOT / "docs" / "session.md").read_text() == drawn, "run scripts/draw-session"


def test_the_page_about_the_architecture_has_every_wall() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    page = (ROOT / "docs" / "architecture.md").read_text()
    for contract in project["tool"]["importlinter"]["contracts"]:
        assert f"| {contract['name']} |" in page


def test_the_changelog_knows_the_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["version"] in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for found in LINK.finditer(page.read_text()):
        target = found[1] or found[2]
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path) if path else page
        assert file.exists(), f"{page.name} leads to {target}"
        assert not anchor or anchor in anchors(file), f"{page.name} leads to {target}"


def test_each_test_that_the_page_about_security_names_is_one() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "SECURITY.md").read_text())
    assert len(named) > 20
    for file, name in named:
        assert f"def {name}(" in (ROOT / file).read_text(), f"{file} has no {name}"


def test_the_page_about_security_says_the_bounds_that_are_tested() -> None:
    abuses = (ROOT / "tests" / "abuses" / "test_abuses.py").read_text()
    said = {int(found) for found in re.findall(r"\| (\d+) MiB \|", (ROOT / "SECURITY.md").read_text())}
    assert said == {int(found) for found in re.findall(r"bounded\((\d+)\)", abuses)}


def anchors(page: Path) -> set[str]:
    """Return what GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_module_that_says_it_is_pure_is_held_to_it() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    held = {module for one in contracts if "don't wait" in one["name"] for module in one["source_modules"]}
    for source in ("cluster", "worker"):
        for path in sorted((ROOT / source).rglob("*.py")):
            first_line = path.read_text().partition("\n")[0]
            parts = path.relative_to(ROOT / source).with_suffix("").parts
            names = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
            assert "(pure)" not in first_line or names & held, f"{path} is in no contract"
