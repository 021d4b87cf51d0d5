"""docs/operations.md knows every way to end, every line that asks for a person, and every alert."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from gwcluster.notify.watch import Kind
from gwcluster.wire.exits import Exit

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "operations.md").read_text()
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
SOURCES = [path for folder in ("cluster", "worker") for path in sorted((ROOT / folder).rglob("*.py"))]
LOUD = {"error", "exception", "critical"}
PLACE = re.compile(r"%[-+ #0]*[0-9.]*[a-zA-Z]")


def errors() -> Iterator[tuple[Path, str]]:
    """Yield every text that is logged as an error, with … for what is filled in."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            match node.func:
                case ast.Attribute(value=ast.Name(id="log" | "_log"), attr=level) if level in LOUD:
                    yield path, written(node.args[0])
                case ast.Attribute(value=ast.Name(id="log" | "_log"), attr="log"):
                    if isinstance(node.args[0], ast.Name | ast.Attribute) and len(node.args) > 1:
                        yield path, written(node.args[1])
                case ast.Name(id="Say") if ast.unparse(node.args[0]) == "logging.ERROR":
                    yield path, written(node.args[1])
                case ast.Name(id="Verdict") if len(node.args) > 1:
                    if "WARNING" not in ast.unparse(node.args[1]):
                        yield path, written(node.args[0])


def written(node: ast.expr) -> str:
    """Return a text as the page writes it."""
    match node:
        case ast.Constant(value=str() as text):
            return PLACE.sub("…", text)
        case ast.JoinedStr(values=parts):
            return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts)
        case _:
            return "…"


FOUND = sorted({(str(path.relative_to(ROOT)), text) for path, text in errors()})


def test_the_texts_are_found() -> None:
    texts = {text for _, text in FOUND}
    assert "the nursery can't be started: …" in texts
    assert "…; this shard is not started again" in texts
    assert len(texts) > 30


@pytest.mark.parametrize(("path", "text"), FOUND)
def test_every_line_of_level_error_has_its_remedy(path: str, text: str) -> None:
    if text == "…":  # somebody else's words: `test_words_that_are_passed_on_have_their_remedy`
        return
    row = re.search(rf"^\| `{re.escape(text)}` \|(.+)\|$", PAGE, re.MULTILINE)
    assert row, f"{path} says {text!r}, and docs/operations.md doesn't say what to do"
    assert len(row[1].strip()) >= 20


def test_words_that_are_passed_on_have_their_remedy() -> None:
    assert {path for path, text in FOUND if text == "…"} <= {
        "cluster/gwcluster/identify/bootstrap.py",  # Refused.reason
        "cluster/gwcluster/identify/permits.py",  # LedgerError
        "cluster/gwcluster/hosts/shared_keys.py",  # HostsError
        "cluster/gwcluster/hosts/shared_ledger.py",  # the same
        "worker/gwworker/performer.py",  # of `Say`, which is found
        "cluster/gwcluster/supervise/crew.py",  # Headcount's, and verdicts, which are found
    }
    for words in ("Discord refuses the token (status 401)", "Discord refuses this client (status 403)"):
        assert f"| `{words}" in PAGE
    assert "| `the identify ledger" in PAGE
    for words in ("shard … can't identify: …", "shard … can't identify, as that can't be counted: …"):
        assert f"| `{words}` |" in PAGE
    assert "| `the ledger of all hosts can't be read (…): …` |" in PAGE


def test_every_exit_status_is_explained() -> None:
    for status in Exit:
        assert re.search(rf"^\| {status.value} \| .{{20,}}", PAGE, re.MULTILINE), status


def test_every_kind_of_message_is_explained() -> None:
    for kind in Kind:
        assert f"| `{kind.value}` |" in PAGE


def test_every_alert_has_its_remedy() -> None:
    if not ALERTS.exists():
        pytest.skip("there are no alerts yet")
    rules = [rule for group in YAML(typ="safe").load(ALERTS)["groups"] for rule in group["rules"]]
    names = {rule["alert"] for rule in rules if "alert" in rule}
    assert names
    missing = sorted(name for name in names if f"| `{name}` |" not in PAGE)
    assert not missing, f"docs/operations.md doesn't say what to do about {missing}"
