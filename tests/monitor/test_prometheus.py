"""The collector for prometheus-client in one process."""

from __future__ import annotations

import gc
import json
import os
import re
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Metric,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from heaptide.errors import UsageError
from heaptide.monitor import prometheus
from heaptide.monitor._figures import BYTES, COUNTER, FIGURES, SECONDS
from heaptide.monitor._source import Source
from heaptide.monitor.prometheus import Collector, register
from tests.monitor.services import Metrics, promtool, tool

pytestmark = pytest.mark.interpreters


@pytest.fixture(autouse=True)
def _one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)


def scrape(registry: CollectorRegistry) -> Metrics:
    return Metrics(generate_latest(registry).decode())


def waited_for(registry: CollectorRegistry) -> str:
    """A scrape with PSS, which a thread reads."""
    while True:
        text = generate_latest(registry).decode()
        if "heaptide_process_pss_bytes " in text:
            return text
        time.sleep(0.01)


def stock(registry: CollectorRegistry) -> None:
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)


def test_both_formats_say_the_same() -> None:
    """promtool has nothing to say; types, units and help are those of the table."""
    registry = CollectorRegistry()
    register(registry, objects=True)
    text = waited_for(registry)
    promtool(text)
    plain = Metrics(text)
    openmetrics = generate_openmetrics(registry).decode()  # type: ignore[no-untyped-call]
    parsed = parse_openmetrics(openmetrics)  # type: ignore[no-untyped-call]
    open_families: dict[str, Metric] = {one.name: one for one in parsed}
    by_name = {figure.metric: figure for figure in FIGURES.values()}
    told = {name for name, _ in plain.values}
    assert told <= set(by_name)
    assert {"process_resident_memory_bytes", "python_gc_collections_total"} <= told
    assert {"heaptide_process_pss_bytes", "heaptide_python_tracked_objects"} <= told
    assert set(plain.families) == set(open_families)
    for name, family in open_families.items():
        figure = by_name[name + "_total" if family.type == "counter" else name]
        assert (family.type == "counter") == (figure.kind == COUNTER)
        assert family.unit == figure.unit
        assert family.documentation == figure.help == plain.families[name].documentation
        assert family.type == plain.families[name].type
        for sample in family.samples:
            assert tuple(sorted(sample.labels)) == tuple(sorted(figure.labels))


def test_units_are_base_units() -> None:
    assert {figure.unit for figure in FIGURES.values()} <= {BYTES, SECONDS, "ratio", ""}


@pytest.mark.parametrize("describing", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_what_prometheus_client_has_of_its_own(describing: bool, first: bool) -> None:
    """No name twice, whichever is registered first, nor a name that is missing."""
    registry = CollectorRegistry(auto_describe=describing)
    if first:
        register(registry)
        assert scrape(registry).get("process_resident_memory_bytes") > 1e6
        stock(registry)
    else:
        stock(registry)
        register(registry)
    found = scrape(registry)
    for figure in FIGURES.values():
        if figure.stock:
            assert any(name == figure.metric for name, _ in found.values), figure
    assert found.get("process_cpu_seconds_total") > 0  # which is theirs


def test_what_prometheus_client_has_no_more() -> None:
    registry = CollectorRegistry()
    own = ProcessCollector(registry=registry)
    register(registry)
    assert scrape(registry).get("process_cpu_seconds_total") > 0
    registry.unregister(own)
    found = scrape(registry)
    assert found.get("process_resident_memory_bytes") > 1e6
    assert ("process_cpu_seconds_total", ()) not in found.values


def test_the_same_under_another_prefix_is_not_the_same() -> None:
    registry = CollectorRegistry()
    ProcessCollector(namespace="other", registry=registry)
    register(registry)
    found = scrape(registry)
    assert found.get("other_process_start_time_seconds") == pytest.approx(
        found.get("process_start_time_seconds")
    )


def test_a_registry_that_it_does_not_know() -> None:
    """It leaves out what might be there."""
    registry = CollectorRegistry()
    registry.register(Collector())
    stock(registry)
    assert scrape(registry).get("heaptide_process_threads") >= 1


def test_registration_reads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Source] = []
    whole = Source.read

    def counted(self: Source) -> object:
        read.append(self)
        return whole(self)

    monkeypatch.setattr(Source, "read", counted)
    registry = CollectorRegistry(auto_describe=True)
    register(registry, alias={"misskey_memory_bytes": "process.rss"})
    assert not read
    scrape(registry)
    assert len(read) == 1


def test_one_metric_by_name() -> None:
    """The ``name[]`` of a scrape."""
    registry = CollectorRegistry()
    register(registry)
    [family] = registry.restricted_registry(["heaptide_process_threads"]).collect()
    assert family.name == "heaptide_process_threads" and family.samples[0].value >= 1


def test_alias() -> None:
    """Beside the name that a figure has; with its labels; of one that is left to others, too."""
    registry = CollectorRegistry(auto_describe=True)
    stock(registry)
    alias = {
        "misskey_memory_bytes": "process.rss",
        "app_gc_total": "python.gc_collections",
        "app_rss": "process.rss",
        "app_faults_total": "process.page_faults",
    }
    register(registry, alias=alias)
    text = generate_latest(registry).decode()
    promtool("".join(line for line in text.splitlines(True) if "misskey_memory" in line))
    found = Metrics(text)
    rss = found.get("process_resident_memory_bytes")
    assert found.get("misskey_memory_bytes") == pytest.approx(rss, rel=0.1)
    assert found.get("app_rss") == found.get("misskey_memory_bytes")
    collections = found.get("python_gc_collections_total", generation="2")
    assert found.get("app_gc_total", generation="2") == pytest.approx(collections, abs=1)
    kind = {"type": "minor"}
    assert found.get("app_faults_total", **kind) == found.get(
        "heaptide_process_page_faults_total", **kind
    )
    assert found.families["misskey_memory_bytes"].documentation == FIGURES["process.rss"].help


@pytest.mark.parametrize(
    ("name", "figure", "words"),
    [
        ("app_bytes", "process.rrs", ("process.rrs", "process.rss")),
        ("app-bytes", "process.rss", ("app-bytes", "letters")),
        ("", "process.rss", ("letters",)),
        ("1st_bytes", "process.rss", ("1st_bytes",)),
        ("app_bytes\n", "process.rss", ("letters",)),
        ("app_faults", "process.page_faults", ("counter", "_total")),
        ("app_rss_total", "process.rss", ("gauge", "_total")),
        ("app_rss_count", "process.rss", ("gauge", "_count")),
        ("process_resident_memory_bytes", "process.rss", ("already",)),
        ("heaptide_process_page_faults_total", "process.page_faults", ("already",)),
        ("app_objects", "python.tracked_objects", ("objects=True",)),
    ],
)
def test_an_alias_that_cannot_be(name: str, figure: str, words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as error:
        register(CollectorRegistry(), alias={name: figure})
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("registry", 5),
        ("alias", "app_rss"),
        ("interval", "soon"),
        ("interval", 0),
        ("interval", True),
        ("interval", float("nan")),
    ],
)
def test_arguments_that_make_no_sense(name: str, value: Any) -> None:
    """Named, with what was given; nothing is registered."""
    registry = CollectorRegistry()
    words = {"registry": registry, name: value}
    with pytest.raises(UsageError, match=f"^{name}="):
        register(**words)
    register(registry)


def test_names_that_are_taken() -> None:
    """By a metric of the service, or by another one of these collectors."""
    registry = CollectorRegistry()
    Counter("app_work", "Work", registry=registry)
    with pytest.raises(UsageError, match="app_work"):
        register(registry, alias={"app_work_total": "process.page_faults"})
    collector = register(registry)
    with pytest.raises(UsageError, match="unregister"):
        register(registry)
    registry.unregister(collector)
    register(registry)
    assert scrape(registry).get("app_work_total") == 0


def test_aliases_of_one_name() -> None:
    """A counter's family is without its ending: OpenMetrics would have it twice."""
    both = {"x_total": "process.page_faults", "x": "process.rss"}
    with pytest.raises(UsageError, match="there is a metric x_total already"):
        register(CollectorRegistry(), alias=both)
    with pytest.raises(UsageError, match="say a name"):
        register(CollectorRegistry(), alias={3: "process.rss"})  # type: ignore[dict-item]


PYMALLOC = {"allocator": "pymalloc", "role": "python"}


@pytest.fixture
def _no_garbage() -> Iterator[None]:
    """What other tests have left is not collected meanwhile."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_garbage")
def test_what_walks_is_read_rarely_but_when_it_is_to_be_fresh() -> None:
    registry = CollectorRegistry()
    collector = register(registry)
    collector.refresh()
    before = scrape(registry).get("heaptide_allocator_allocated_bytes", **PYMALLOC)
    held = [object() for _ in range(200_000)]
    stale = scrape(registry).get("heaptide_allocator_allocated_bytes", **PYMALLOC)
    collector.refresh()
    fresh = scrape(registry).get("heaptide_allocator_allocated_bytes", **PYMALLOC)
    assert stale == before
    assert fresh - before == pytest.approx(len(held) * sys.getsizeof(object()), rel=0.1)
    assert scrape(registry).get("heaptide_process_pss_age_seconds") < 5


@pytest.mark.usefixtures("_no_garbage")
def test_tracked_objects() -> None:
    registry = CollectorRegistry()
    register(registry, objects=True)
    before = scrape(registry).get("heaptide_python_tracked_objects")
    held = [[] for _ in range(10_000)]  # type: ignore[var-annotated]
    after = scrape(registry).get("heaptide_python_tracked_objects")
    assert after - before == pytest.approx(10_000, abs=1000), len(held)
    gc.freeze()  # what a server does before it forks
    try:
        frozen = scrape(registry).get("heaptide_python_tracked_objects")
    finally:
        gc.unfreeze()
    assert frozen == pytest.approx(after, abs=1000)
    other = CollectorRegistry()
    register(other)
    assert "heaptide_python_tracked_objects" not in scrape(other).families


def test_a_collector_for_each_scrape() -> None:
    """What is expensive is read once for all of them."""

    def families() -> Iterator[Metric]:
        registry = CollectorRegistry()
        register(registry)
        return iter(registry.collect())

    def told() -> bool:
        return any(one.name == "heaptide_process_pss_bytes" for one in families())

    while not told():
        time.sleep(0.01)
    assert told()


def in_child(work: Callable[[], bool]) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads and fork, which is the point
        child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if work() else 2
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1]


def test_several_threads_and_a_forked_child() -> None:
    registry = CollectorRegistry()
    register(registry)
    failed: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(30):
                scrape(registry)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    statuses = [
        in_child(lambda: scrape(registry).get("heaptide_process_threads") <= 2) for _ in range(3)
    ]
    for thread in threads:
        thread.join()
    assert statuses == [0, 0, 0]
    assert not failed


def run(code: str) -> str:
    environment = {key: value for key, value in os.environ.items() if "MULTIPROC" not in key}
    command = [sys.executable, "-c", code]
    told = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert told.returncode == 0, told.stderr
    return told.stdout


def test_the_default_registry() -> None:
    """With all that prometheus-client has in it, whole."""
    text = run(
        "from heaptide.monitor import prometheus\n"
        "from prometheus_client import REGISTRY, generate_latest\n"
        "prometheus.register()\n"
        "assert prometheus.default_registry() is REGISTRY\n"
        "print(generate_latest(REGISTRY).decode(), end='')\n"
    )
    promtool(text)
    found = Metrics(text)
    assert found.get("process_resident_memory_bytes") > 1e6
    assert found.get("heaptide_process_threads") >= 1


def test_without_prometheus_client() -> None:
    """One line says what to install; nothing else of heaptide needs it."""
    text = run(
        "import sys\n"
        "sys.modules['prometheus_client'] = None\n"
        "import heaptide, heaptide.monitor\n"
        "try:\n"
        "    import heaptide.monitor.prometheus\n"
        "except heaptide.HeaptideError as error:\n"
        "    print(error)\n"
    )
    assert text.count("\n") == 1 and "pip install 'heaptide[prometheus]'" in text
    text = run("import heaptide, heaptide.monitor, sys; print('prometheus_client' in sys.modules)")
    assert text == "False\n"


def test_what_is_public() -> None:
    for name in prometheus.__all__:
        assert getattr(prometheus, name).__doc__, name


def test_the_table_of_the_documentation() -> None:
    """A line for each figure, with what the collector tells of it."""
    text = (Path(__file__).parent.parent.parent / "docs" / "monitoring-prometheus.md").read_text()
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith(("| `heaptide_", "| `process_", "| `python_"))
    ]
    assert [row[:5] for row in rows] == [
        [
            f"`{figure.metric}`",
            figure.kind,
            figure.unit,
            ", ".join(f"`{label}`" for label in figure.labels),
            figure.help,
        ]
        for figure in FIGURES.values()
    ]
    assert all(len(row) == 7 for row in rows)


def test_queries_of_the_documentation() -> None:
    """They name metrics that there are, in the syntax of Prometheus."""
    text = (Path(__file__).parent.parent.parent / "docs" / "monitoring-prometheus.md").read_text()
    lines = text.partition("## Useful queries")[2].splitlines()
    queries = [line.split("`")[1] for line in lines if line.count("`") == 2]
    assert len(queries) >= 6
    metrics = {figure.metric for figure in FIGURES.values()}
    for query in queries:
        assert set(re.findall(r"\b(?:heaptide|process|python)_\w+", query)) <= metrics, query
    records = [{"record": f"a:{number}", "expr": query} for number, query in enumerate(queries)]
    rules = json.dumps({"groups": [{"name": "a", "rules": records}]})  # which is YAML as well
    command = [tool("promtool"), "check", "rules", "/dev/stdin"]
    told = subprocess.run(command, input=rules, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
