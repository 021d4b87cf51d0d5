"""The alerts and the Grafana dashboard that we ship, against what is really exported."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from gwcluster.web.metrics import ALL, INFO, SHARD, STATE, STATES, SUMS, Counter
from support.shown_cluster import served
from support.statuses import hosts, neighbour

ROOT: Final = Path(__file__).parents[2]
ALERTS: Final = ROOT / "deploy" / "prometheus" / "alerts.yml"
GRAFANA: Final = ROOT / "deploy" / "grafana" / "gwcluster.json"
PAGE: Final = ROOT / "docs" / "http.md"

NAME: Final = re.compile(r"\b(?:gwcluster|process)_[a-z_]+\b")


@pytest.fixture(scope="module")
def exported() -> Iterator[set[str]]:
    """Names of all samples that one of several hosts exports which restarts shard by shard."""
    with served() as server:
        others = hosts("a", neighbour("a", range(4)), neighbour("b", []))
        server.cluster.changes = {
            "rolling": {"done": 1, "total": 4},
            "reloaded_at": 1_790_000_000.0,
            "hosts": others,
        }
        _, body, _ = server.ask("/metrics")
        families = text_string_to_metric_families(body.decode())
        yield {sample.name for family in families for sample in family.samples}


def expressions(value: Any) -> Iterator[str]:
    """Yield every expression and query in a document."""
    if isinstance(value, dict):
        for key, each in value.items():
            if key in {"expr", "query", "definition"} and isinstance(each, str):
                yield each
            else:
                yield from expressions(each)
    elif isinstance(value, list):
        for each in value:
            yield from expressions(each)


def test_alerts_look_at_metrics_that_there_are(exported: set[str]) -> None:
    found = list(expressions(YAML(typ="safe").load(ALERTS.read_text())))
    used = {name for text in found for name in NAME.findall(text)}
    assert len(found) == 13
    assert len(used) >= 10
    assert used <= exported


def test_the_tests_of_the_alerts_feed_metrics_that_there_are(exported: set[str]) -> None:
    text = (ALERTS.parent / "alerts_test.yml").read_text()
    used = {name for line in text.splitlines() if "series:" in line for name in NAME.findall(line)}
    assert len(used) >= 10
    assert used <= exported


def test_the_grafana_dashboard_looks_at_metrics_that_there_are(exported: set[str]) -> None:
    board = json.loads(GRAFANA.read_text())
    used = {name for text in expressions(board) for name in NAME.findall(text)}
    assert len(used) >= 20
    assert used <= exported
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids) > 10
    assert all(panel["targets"] and panel["title"] for panel in board["panels"])


def test_every_panel_asks_the_chosen_source_for_the_chosen_instances() -> None:
    for panel in json.loads(GRAFANA.read_text())["panels"]:
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}"
            selectors = re.findall(r"\{[^}]*\}", target["expr"])
            assert len(selectors) == len(NAME.findall(target["expr"]))
            assert all('instance=~"$instance"' in selector for selector in selectors)


def test_the_page_has_exactly_the_metrics_that_are_exported(exported: set[str]) -> None:
    rows = re.findall(r"^\| `(gwcluster_\w+)` \| (\w+) \| (.*?) ?\| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    told = {name: (kind, labels, meaning) for name, kind, labels, meaning in rows}
    assert len(told) == len(rows)
    assert told.keys() == {metric.name for metric in ALL}
    assert told.keys() == {name for name in exported if name.startswith("gwcluster_")}
    for metric in ALL:
        labels = {
            INFO: "`name`, `version`",
            STATES: "`state`",
            STATE: "`shard`, `state`",
            **dict.fromkeys((*SHARD, *SUMS), "`shard`"),
        }.get(metric, "")
        kind = "counter" if isinstance(metric, Counter) else "gauge"
        assert told[metric.name] == (kind, labels, metric.meaning)
    processes = set(re.findall(r"`(process_[a-z_]+)`", PAGE.read_text()))
    assert processes == {name for name in exported if name.startswith("process_")}


def test_the_page_has_exactly_the_paths_that_there_are() -> None:
    told = set(re.findall(r"^\| `((?:GET|POST) \S+)` \|", PAGE.read_text(), re.MULTILINE))
    with served() as server:
        served_paths = {f"GET {path}" for path in server.web._get if not path.startswith("/static/")}
        assert told == served_paths | {f"POST {path}" for path in server.web._post}


@pytest.mark.parametrize("what", [("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml")])
def test_promtool_is_content(what: tuple[str, ...]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("there is no promtool here; on Debian: apt-get install prometheus")
    done = subprocess.run([promtool, *what], cwd=ALERTS.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_can_read_every_panels_expression(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("there is no promtool here; on Debian: apt-get install prometheus")
    texts = [
        target["expr"] for panel in json.loads(GRAFANA.read_text())["panels"] for target in panel["targets"]
    ]
    texts = [text.replace("$__rate_interval", "1m") for text in texts]
    rules = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(texts)]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(texts)} rules found" in done.stdout


def test_each_alert_is_tested_to_fire() -> None:
    rules = YAML(typ="safe").load(ALERTS.read_text())["groups"][0]["rules"]
    text = (ALERTS.parent / "alerts_test.yml").read_text()
    for rule in rules:
        fires = rf"alertname: {rule['alert']}\n\s+exp_alerts:\n|alertname=\"{rule['alert']}\"}}', value: 1"
        assert re.search(fires, text), rule["alert"]
        assert rule["annotations"].keys() == {"summary", "description"}
