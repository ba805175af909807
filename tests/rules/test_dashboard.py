"""The dashboard: what it asks is PromQL about figures that there are, and it can be laid out."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from heaptide.budgets import from_options
from heaptide.monitor._figures import FIGURES
from heaptide.rules import Watched, as_yaml, dashboard, matcher
from heaptide.rules._alerts import _FOLLOWED

from .make import check_rules, write_rules

# Words of the language that the expressions are written in.
WORDS = {"sum", "min", "max", "rate", "increase", "and", "or", "vector", "time", "absent"}
WORDS |= {"min_over_time"}
BUDGETS = from_options(["peak_rss=300MB", "idle_pss=200MB", "peak_heap=10MiB", "leaked=0"])


def metrics_of(expr: str) -> set[str]:
    """Names in an expression that are no words of the language, no labels, and no times."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', expr)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", bare)
    bare = re.sub(r"(?:without|ignoring) \([^)]*\)", "", bare)
    bare = re.sub(r"offset \w+", "", bare)
    return set(re.findall(r"[A-Za-z_:][\w:]*", bare)) - WORDS


@pytest.fixture(params=[0, 1, 2], ids=["any job", "one job", "two jobs"])
def document(request: pytest.FixtureRequest) -> Any:
    labels = (matcher("env=prod"), matcher('pod=~we"b-.*'))
    jobs = [Watched(name, BUDGETS, labels) for name in ("web", "a,b")[: request.param]]
    return json.loads(json.dumps(dashboard(jobs or [Watched("", BUDGETS, labels)])))


def expressions(document: Any) -> list[str]:
    found = [target["expr"] for panel in document["panels"] for target in panel.get("targets", ())]
    assert found
    return found


def test_expressions(document: Any, tmp_path: Path) -> None:
    """Prometheus understands each, and each is about figures that are exported."""
    known = {figure.metric for figure in FIGURES.values()}
    rules = []
    for place, expr in enumerate(expressions(document)):
        assert metrics_of(expr) <= known, expr
        assert metrics_of(expr) or expr.startswith("vector("), expr
        plain = expr.replace("$__rate_interval", "1m")
        rules.append({"record": f"expression_{place}", "expr": plain})
    path = tmp_path / "all.yml"
    path.write_text(as_yaml({"groups": [{"name": "all", "rules": rules}]}))
    check_rules(path)


def test_rules_are_about_figures_that_there_are(tmp_path: Path) -> None:
    """By the same measure; and labels are those that these figures have."""
    path = write_rules(tmp_path, *(f"{key}=1kB" for key in _FOLLOWED if key != "growth"))
    text = path.read_text()
    blocks = re.findall(r"expr: \|-\n((?: {10}.*\n)+)", text)
    assert len(blocks) == text.count("- alert:")
    known = {figure.metric for figure in FIGURES.values()}
    assert all(set() < metrics_of(block) <= known for block in blocks)
    labels = {"job", *(name for figure in FIGURES.values() for name in figure.labels)}
    assert set(re.findall(r'(\w+)="', text)) <= labels


def test_what_would_be_noticed() -> None:
    """The measure itself."""
    assert metrics_of('sum without (pid) (a_bytes{b="c)"}[1h]) + d offset 1h') == {"a_bytes", "d"}


def test_everything_is_on_it(document: Any) -> None:
    """Every figure that is more than a time."""
    asked = " ".join(expressions(document))
    shown = {key for key, figure in FIGURES.items() if figure.metric + "{" in asked}
    beside = {
        "process.start_time",
        "process.virtual",
        "process.rss_peak",
        "process.pss_age",
        "allocator.age",
        "allocator.active",
        "allocator.fragmentation",
        "python.gc_pending",
        "cgroup.peak",
    }
    assert shown == set(FIGURES) - beside


def test_panels(document: Any) -> None:
    """Their numbers are unique, and none lies on another, nor beside the screen."""
    panels = document["panels"]
    numbers = [panel["id"] for panel in panels]
    assert len(set(numbers)) == len(numbers)
    assert [panel["title"] for panel in panels if panel["type"] == "row"] == [
        "Processes",
        "Allocators",
        "Python",
        "Container and machine",
    ]
    places = [panel["gridPos"] for panel in panels]
    assert all(at["x"] >= 0 and at["x"] + at["w"] <= 24 for at in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or apart, (one, other)


def test_where_to_ask(document: Any) -> None:
    """Every panel asks the source that is chosen on the screen; names of queries are unique."""
    variables = {one["name"]: one for one in document["templating"]["list"]}
    assert list(variables) == ["datasource", "job", "instance"]
    assert variables["datasource"]["type"] == "datasource"
    assert document["schemaVersion"] >= 36
    for panel in document["panels"]:
        if panel["type"] == "row":
            continue
        assert panel["datasource"]["uid"] == "${datasource}"
        names = [target["refId"] for target in panel["targets"]]
        assert len(set(names)) == len(names)
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}"
            assert 'env="prod",pod=~"we\\"b-.*"' in target["expr"] or "vector" in target["expr"]


def test_jobs() -> None:
    """Those that were named are to choose from; else whichever have such figures."""
    named = dashboard([Watched("web"), Watched("a,b")])["templating"]["list"][1]
    assert (named["type"], named["query"]) == ("custom", "web,a\\,b")
    any_job = dashboard([Watched("", matchers=(matcher("env=prod"),))])["templating"]["list"][1]
    assert any_job["type"] == "query"
    assert any_job["query"] == ('label_values(heaptide_process_rss_anon_bytes{env="prod"}, job)')


def test_budgets(document: Any) -> None:
    """As lines across what they are about: of a leak there is none."""
    lines = [expr for expr in expressions(document) if expr.startswith("vector(")]
    count = max(1, document["templating"]["list"][1]["query"].replace("\\,", "").count(",") + 1)
    once = ["vector(200000000)", "vector(300000000)", "vector(10485760)"]
    if document["templating"]["list"][1]["type"] == "query":
        count = 1
    assert sorted(lines) == sorted(once * count)
