"""The files in `deploy/` fit together, and their queries name metrics and labels that the server has."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics_core import Metric

from app.settings import ENV_PREFIX, Settings
from tests.app.metrics.traffic import labels_by_name

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana/dashboards/manifold.json").read_text())
ALERTS = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
PROMETHEUS = ("prometheus.yml", "prometheus.keys.yml")
OF_PROMETHEUS = {"up": set[str]()}
"""A metric that Prometheus makes itself."""
TARGET_LABELS = {"instance", "job", "le"}
"""Labels that Prometheus adds to every sample, and the one of buckets, which it can always aggregate by."""


def alerts() -> list[dict[str, Any]]:
    return [rule for group in ALERTS["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def queries() -> Iterator[str]:
    for rule in alerts():
        yield rule["expr"]
    for panel in panels():
        for target in panel["targets"]:
            yield target["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["definition"]).groups()  # type: ignore[union-attr]
        yield f"sum by ({label}) ({metric})"


def parse(query: str) -> tuple[dict[str, set[str]], set[str]]:
    """The labels that each metric of a PromQL query is matched by, and those that results are grouped by."""
    grouped: set[str] = set()
    matched: dict[str, set[str]] = {}
    query = re.sub(r"\[[^\]]*\]", "", query)

    def group(match: re.Match[str]) -> str:
        grouped.update(re.findall(r"\w+", match[2]))
        return " "

    query = re.sub(r"\b(by|without|on|ignoring|group_left|group_right) *\(([^)]*)\)", group, query)

    def selector(match: re.Match[str]) -> str:
        matched.setdefault(match[1], set()).update(re.findall(r'(\w+) *(?:=~|!~|!=|=) *"', match[2]))
        return " "

    query = re.sub(r"\b([a-zA-Z_:]\w*) *\{([^}]*)\}", selector, query)
    for name in re.findall(r"\b[a-zA-Z_:]\w*\b(?! *\()", query):
        matched.setdefault(name, set())
    return matched, grouped


def test_the_parser_finds_the_metrics_and_labels_of_a_query() -> None:
    query = 'histogram_quantile(0.9, sum by (le) (rate(a_bucket{b=~"x|y"}[5m]))) / on (c) group_left () d > 0.5'
    assert parse(query) == ({"a_bucket": {"b"}, "d": set()}, {"le", "c"})


@pytest.mark.parametrize("query", sorted(set(queries())))
def test_queries_name_metrics_and_labels_that_the_server_has(exposed: list[Metric], query: str) -> None:
    known = labels_by_name(exposed) | OF_PROMETHEUS
    matched, grouped = parse(query)
    assert matched
    for name, labels in matched.items():
        assert name in known
        assert labels <= known[name] | TARGET_LABELS
        assert grouped <= known[name] | TARGET_LABELS


def test_the_dashboard_shows_every_metric_of_the_server(exposed: list[Metric]) -> None:
    names = {family.name for family in exposed if family.name.startswith("manifold_")}
    shown = {name for query in queries() for name in parse(query)[0]}
    suffixes = ("", "_total", "_bucket", "_sum")
    assert {name for name in names if not any(name + suffix in shown for suffix in suffixes)} == set()


def test_legends_and_summaries_use_labels_of_their_queries() -> None:
    for rule in alerts():
        _, grouped = parse(rule["expr"])
        used = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        if "by (" in rule["expr"]:
            assert used <= grouped
    for panel in panels():
        for target in panel["targets"]:
            used = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            assert used <= parse(target["expr"])[1] or " by " not in target["expr"]


def test_alerts_have_what_prometheus_demands() -> None:
    names = [rule["alert"] for rule in alerts()]
    assert len(set(names)) == len(names)
    for rule in alerts():
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))
        assert rule["labels"]["severity"] in ("warning", "critical")


def test_panels_have_places_of_their_own() -> None:
    places: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not places & cells, panel["title"]
        assert place["x"] + place["w"] <= 24
        places |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", PROMETHEUS)
def test_prometheus_asks_the_service_of_compose(name: str) -> None:
    config = yaml.safe_load((DEPLOY / "prometheus" / name).read_text())
    (job,) = config["scrape_configs"]
    assert (job["job_name"], job["static_configs"]) == ("manifold", [{"targets": ["manifold:8000"]}])
    assert all((DEPLOY / "prometheus" / rules).is_file() for rules in config["rule_files"])


def test_compose_mounts_what_is_here_and_gives_grafana_its_data() -> None:
    services = COMPOSE["services"]
    assert (DEPLOY / services["manifold"]["build"]["context"] / "Dockerfile").is_file()
    for service in services.values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source in COMPOSE["volumes"] or (DEPLOY / source).is_dir()
    provisioning = DEPLOY / "grafana/provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yaml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert {panel["datasource"]["uid"] for panel in panels()} == {source["uid"]}
    (provider,) = yaml.safe_load((provisioning / "dashboards/manifold.yaml").read_text())["providers"]
    mounts = [volume.split(":")[1] for volume in services["grafana"]["volumes"]]
    assert provider["options"]["path"] in mounts


def test_keys_are_mounted_where_the_server_and_prometheus_read_them() -> None:
    keys = yaml.safe_load((DEPLOY / "compose.keys.yaml").read_text())["services"]
    mounts = {name: [volume.split(":")[1] for volume in service["volumes"]] for name, service in keys.items()}
    environment = keys["manifold"]["environment"]
    assert list(environment.values()) == mounts["manifold"]
    assert {name.removeprefix(ENV_PREFIX).lower() for name in environment} <= set(Settings.model_fields)
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.keys.yml").read_text())
    (job,) = config["scrape_configs"]
    assert [job["authorization"]["credentials_file"]] == mounts["prometheus"]
    assert any("prometheus.keys.yml" in argument for argument in keys["prometheus"]["command"])
