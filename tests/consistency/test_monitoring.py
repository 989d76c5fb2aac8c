"""infra/monitoring: alerts that fire when they should, and a dashboard of metrics that there are."""

import json
import re
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from repository import ROOT, rows, section, text_of
from scrape import scrape

from keyrail.operations.catalogue import CATALOGUE
from keyrail.operations.rotate_due import COUNTED
from keyrail.triggers.problems import COMMON_CODES

FOLDER = ROOT / "infra/monitoring"
(GROUP,) = yaml.safe_load(text_of("infra/monitoring/alerts.yaml"))["groups"]
ALERTS: dict[str, dict[str, Any]] = {rule["alert"]: rule for rule in GROUP["rules"]}
DASHBOARD: dict[str, Any] = json.loads(text_of("infra/monitoring/dashboard.json"))
PANELS: dict[str, dict[str, Any]] = {panel["title"]: panel for panel in DASHBOARD["panels"]}
QUERIES = [target["expr"] for panel in PANELS.values() for target in panel["targets"]]
OF_PROMETHEUS = {"up", "job", "instance", "le"}
_METRIC = re.compile(r"\b(up|(?:keyrail|process)_\w+)\b")


def promtool(*arguments: str) -> None:
    command = shutil.which("promtool")
    assert command, "promtool is missing: tests/install-debian-packages (or apt-get install prometheus)"
    done = subprocess.run([command, *arguments], cwd=FOLDER, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def exposed() -> dict[str, set[str]]:
    """The labels of each sample that a scrape has."""
    found = defaultdict[str, set[str]](set)
    for family in text_string_to_metric_families(scrape()):
        for sample in family.samples:
            found[sample.name] |= set(sample.labels)
    return found


def queries() -> list[str]:
    return [*QUERIES, *(rule["expr"] for rule in ALERTS.values())]


def metrics_in(query: str) -> set[str]:
    return set(_METRIC.findall(re.sub(r'"[^"]*"', '""', query)))


def labels_in(query: str) -> set[str]:
    matched = re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"', query)
    listed = re.findall(r"\b(?:by|on|ignoring|group_left)\s*\(([^)]*)\)", query)
    return {*matched, *(name.strip() for names in listed for name in names.split(",") if name.strip())}


def test_each_alert_fires_when_it_should_and_none_where_all_is_well() -> None:
    promtool("check", "rules", "alerts.yaml")
    promtool("test", "rules", "alerts-test.yaml")


def test_each_alert_is_seen_to_fire_and_to_keep_quiet() -> None:
    tests = yaml.safe_load(text_of("infra/monitoring/alerts-test.yaml"))["tests"]
    seen = {(each["alertname"], "exp_alerts" in each) for test in tests for each in test["alert_rule_test"]}
    assert seen == {(name, fires) for name in ALERTS for fires in (True, False)}


def test_each_alert_is_on_the_page_with_its_severity() -> None:
    told = {row[0].strip("`"): row[1] for row in rows(section("docs/operations.md", "Alerts"))}
    assert told == {name: rule["labels"]["severity"] for name, rule in ALERTS.items()}


def test_every_query_of_the_dashboard_can_be_read(tmp_path: Path) -> None:
    plain = [query.replace("$__rate_interval", "5m") for query in QUERIES]
    told = [{"record": f"query:{n}", "expr": query} for n, query in enumerate(plain)]
    (file := tmp_path / "queries.yaml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": told}]}))
    promtool("check", "rules", str(file))


@pytest.mark.parametrize("query", queries())
def test_a_query_names_metrics_and_labels_that_there_are(query: str) -> None:
    known = exposed() | {"up": set()}
    assert metrics_in(query) <= set(known)
    assert labels_in(query) <= set().union(*(known[name] for name in metrics_in(query))) | OF_PROMETHEUS


def test_a_query_asks_for_values_that_there_are() -> None:
    known = {
        "operation": {operation.name for operation in CATALOGUE},
        "code": {*COMMON_CODES, "OK"},
        "outcome": {*COUNTED, "hit", "breaker_open"},  # the cache's and Vault's: keyrail/ports.py
    }
    asked = [pair for query in queries() for pair in re.findall(r'(operation|code|outcome)(?:=~|!=|=)"([^"]+)"', query)]
    assert len(asked) > 10
    assert [(label, values) for label, values in asked if set(values.split("|")) - known[label]] == []


def test_every_metric_of_ours_is_on_the_dashboard() -> None:
    shown = {re.sub(r"_(bucket|count|sum)$", "", name) for query in QUERIES for name in metrics_in(query)}
    told = {row[0].strip("`") for row in rows(section("docs/operations.md", "Metrics"))}
    assert told <= shown


def test_panels_stand_side_by_side_and_ask_the_chosen_source() -> None:
    taken = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in PANELS.values()
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24  # Grafana's columns
    assert len({panel["id"] for panel in PANELS.values()}) == len(DASHBOARD["panels"])
    assert {panel["datasource"]["uid"] for panel in PANELS.values()} == {"${source}"}
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    assert set(re.findall(r"\$(\w+)", " ".join(QUERIES))) - {"__rate_interval"} <= variables


def test_the_jobs_are_those_that_compose_scrapes() -> None:
    jobs = {job["job_name"] for job in yaml.safe_load(text_of("infra/compose/prometheus.yaml"))["scrape_configs"]}
    (told,) = re.findall(r'job=~"([^"]+)"', ALERTS["KeyrailIsDown"]["expr"])
    assert set(told.split("|")) == jobs
