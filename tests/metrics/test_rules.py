"""The shipped rules and alerts, run by Prometheus' own test program, and the dashboard that shows their series."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from freehold.metrics.own import OWN
from freehold.models.scaling import Action
from freehold.settings import load_settings
from freehold.stack.binaries import find_promtool
from freehold.stack.prometheus import rule_files

HERE = Path(__file__).parent
DASHBOARD = HERE.parents[1] / "dashboards" / "freehold.json"
NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


@pytest.fixture(scope="module")
def promtool() -> Path:
    return find_promtool(load_settings(), print)


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """The rules in a folder, as our Prometheus gets them."""
    folder = tmp_path / "rules"
    folder.mkdir()
    for name, text in rule_files().items():
        (folder / name).write_text(text)
    return folder


def run(*command: str | Path) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_rules_are_valid(promtool: Path, rules: Path) -> None:
    assert sorted(rule_files()) == ["freehold.yml", "instances.yml", "object-storage.yml"]
    run(promtool, "check", "rules", *rules.iterdir())


@pytest.mark.parametrize("name", ["object-storage", "freehold"])
def test_rules_do_what_is_said(promtool: Path, rules: Path, name: str) -> None:
    given = rules.parent / f"{name}.test.yml"
    shutil.copy(HERE / given.name, given)
    run(promtool, "test", "rules", given)


def test_a_broken_rule_is_noticed(promtool: Path, rules: Path) -> None:
    """The test program must be able to fail."""
    path = rules / "object-storage.yml"
    text = path.read_text()
    path.write_text(text.replace("seconds < 300", "seconds < 3000"))
    assert path.read_text() != text
    given = rules.parent / "object-storage.test.yml"
    shutil.copy(HERE / given.name, given)
    done = subprocess.run([promtool, "test", "rules", given], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "freehold:instance_stored_bytes" in done.stderr + done.stdout


def test_every_alert_is_seen_to_fire() -> None:
    tested: dict[str, set[bool]] = {}
    for path in HERE.glob("*.test.yml"):
        for test in yaml.safe_load(path.read_text())["tests"]:
            for alert in test.get("alert_rule_test", []):
                tested.setdefault(alert["alertname"], set()).add(bool(alert["exp_alerts"]))
    alerts = [rule["alert"] for text in rule_files().values() for rule in all_rules(text) if "alert" in rule]
    fires = {name for name, ways in tested.items() if True in ways}
    assert fires == set(alerts)


def test_rules_name_decisions_as_they_are_called() -> None:
    text = rule_files()["freehold.yml"]
    named = set(re.findall(r'decision="(\w+)"', text))
    assert named == {Action.REFUSED}


def test_every_alert_says_what_to_do() -> None:
    for text in rule_files().values():
        for rule in all_rules(text):
            if "alert" in rule:
                assert set(rule["annotations"]) == {"summary", "action"}, rule["alert"]
                assert rule["labels"]["severity"] in ("page", "ticket")


def test_every_query_of_the_dashboard_parses(promtool: Path, tmp_path: Path) -> None:
    expressions = queries(json.loads(DASHBOARD.read_text()))
    assert len(expressions) > 10
    made = [{"record": f"query:{n}", "expr": settled(text)} for n, text in enumerate(expressions)]
    (tmp_path / "queries.yml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": made}]}))
    run(promtool, "check", "rules", tmp_path / "queries.yml")


def test_the_dashboard_shows_series_that_there_are() -> None:
    recorded = {rule["record"] for text in rule_files().values() for rule in all_rules(text) if "record" in rule}
    shown = {name for text in queries(json.loads(DASHBOARD.read_text())) for name in series(text)}
    assert shown <= recorded | set(OWN) | {"up", "ALERTS"}
    instances = {name for name in recorded if name.startswith("freehold:instance_")}
    assert instances <= shown, "what is known of an instance is shown"


def all_rules(text: str) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def queries(dashboard: dict[str, Any]) -> list[str]:
    found = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    variables = dashboard["templating"]["list"]
    return found + [v["definition"].split("(", 1)[1].rsplit(",", 1)[0] for v in variables if "definition" in v]


def settled(text: str) -> str:
    """With Grafana's variables in place."""
    return re.sub(r"\$\w+", "acme-1", text.replace("$__rate_interval", "1m"))


def series(text: str) -> set[str]:
    """Names of series in an expression: what stands before a selector or alone, and is no function or label."""
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|\"[^\"]*\"", " ", text)
    bare = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", bare)
    called = set(re.findall(r"([a-z_]+)\s*\(", bare))
    words = {"and", "or", "unless", "bool", "offset"}
    return {name for name in NAME.findall(bare) if name not in called | words and not name.isdigit()}
