"""Instruments of OpenTelemetry: in memory, and as they go over the wire."""

from __future__ import annotations

import gc
import gzip
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, PeriodicExportingMetricReader
from opentelemetry.semconv._incubating.metrics import (
    container_metrics,
    cpython_metrics,
    process_metrics,
)

from heaptide.errors import UsageError
from heaptide.monitor import opentelemetry
from heaptide.monitor._figures import FIGURES, Figure, Sample

pytestmark = pytest.mark.interpreters


class Made:
    """Tells what it was given, and counts how often it was asked."""

    def __init__(self, *samples: Sample) -> None:
        self.samples, self.reads = samples, 0

    def read(self) -> Sequence[Sample]:
        self.reads += 1
        return self.samples


def sample(key: str, value: float, *labels: str) -> Sample:
    return Sample(FIGURES[key], value, labels)


ONE_OF_EACH = [
    sample(key, 100 + place, *("0" if label == "generation" else "x" for label in figure.labels))
    for place, (key, figure) in enumerate(FIGURES.items())
]


@pytest.fixture
def in_memory() -> Iterator[tuple[MeterProvider, InMemoryMetricReader]]:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    yield provider, reader
    provider.shutdown()


def collected(reader: InMemoryMetricReader) -> dict[str, Any]:
    data = reader.get_metrics_data()
    if data is None:
        return {}
    return {
        metric.name: metric
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        if scope.scope.name == "heaptide"  # and not what some SDKs tell of themselves
        for metric in scope.metrics
    }


def points(metric: Any) -> dict[tuple[tuple[str, Any], ...], float]:
    return {
        tuple(sorted((point.attributes or {}).items())): point.value
        for point in metric.data.data_points
    }


def test_every_figure_is_told(in_memory: tuple[MeterProvider, InMemoryMetricReader]) -> None:
    """Each has its name, and its value is that of the source."""
    provider, reader = in_memory
    opentelemetry.start(provider, source=Made(*ONE_OF_EACH))
    found = collected(reader)
    assert sorted(found) == sorted(figure.instrument for figure in FIGURES.values())
    values = {name: next(iter(points(metric).values())) for name, metric in found.items()}
    assert values == {one.figure.instrument: one.value for one in ONE_OF_EACH}


def test_one_reading_for_a_collection(
    in_memory: tuple[MeterProvider, InMemoryMetricReader],
) -> None:
    """All instruments of a collection share it; the next collection reads anew."""
    provider, reader = in_memory
    source = Made(*ONE_OF_EACH)
    opentelemetry.start(provider, source=source)
    collected(reader)
    assert source.reads == 1
    source.samples = (sample("process.rss", 7),)
    assert points(collected(reader)["process.memory.usage"]) == {(): 7}
    assert source.reads == 2


def test_two_readers(tmp_path: Path) -> None:
    """Each reader's collection has a reading of its own."""
    readers = InMemoryMetricReader(), InMemoryMetricReader()
    provider = MeterProvider(readers)
    source = Made(*ONE_OF_EACH)
    opentelemetry.start(provider, source=source)
    for reads, reader in enumerate((*readers, readers[0]), 1):
        assert len(collected(reader)) == len(FIGURES)
        assert source.reads == reads
    provider.shutdown()


def conventions() -> dict[str, tuple[str, str]]:
    """By the name of a metric, its kind and unit, as OpenTelemetry's own package makes it."""
    made: dict[str, tuple[str, str]] = {}

    class Meter:
        def __getattr__(self, name: str) -> Any:
            kind = name.replace("create_", "").replace("observable_", "").replace("_", "")

            def create(name: str, *_: object, unit: str = "", **__: object) -> None:
                made[name] = (kind, unit)

            return create

    for module in (process_metrics, container_metrics, cpython_metrics):
        for name in dir(module):
            if name.startswith("create_"):
                create = getattr(module, name)
                wants_callbacks = "callbacks" in create.__code__.co_varnames
                create(Meter(), *([None] if wants_callbacks else []))
    return made


@pytest.mark.parametrize(
    "figure", [one for one in FIGURES.values() if one.otel], ids=lambda one: one.key
)
def test_conventions(figure: Figure) -> None:
    """What has a name in the conventions has their kind and unit as well."""
    known = conventions()
    if figure.otel not in known:
        pytest.skip(f"this version of the conventions has no {figure.otel}")
    if known[figure.otel][0] == "counter" and figure.otel == "container.memory.usage":
        pytest.skip("this version of the conventions takes what falls for a counter")
    assert (opentelemetry.kind_of(figure), opentelemetry.unit_of(figure)) == known[figure.otel]


def test_own_names_are_apart() -> None:
    assert all(
        figure.instrument.startswith("heaptide.") for figure in FIGURES.values() if not figure.otel
    )


def test_the_real_process(in_memory: tuple[MeterProvider, InMemoryMetricReader]) -> None:
    provider, reader = in_memory
    stop = opentelemetry.start(provider)
    found = collected(reader)
    resident = points(found["process.memory.usage"])[()]
    assert 1 << 20 < resident < 1 << 40
    before = points(found["cpython.gc.collections"])[("cpython.gc.generation", 2),]
    gc.collect()
    after = points(collected(reader)["cpython.gc.collections"])
    assert after[("cpython.gc.generation", 2),] > before
    assert points(found["process.paging.faults"])[("system.paging.fault.type", "minor"),] > 0
    assert "heaptide.python.tracked_objects" not in found
    stop()
    assert collected(reader) == {}


def test_stopped_and_started_again(
    in_memory: tuple[MeterProvider, InMemoryMetricReader], caplog: pytest.LogCaptureFixture
) -> None:
    """The same instruments go on: made twice, the SDK would complain and each would be told
    twice. An old stop stops nothing new."""
    provider, reader = in_memory
    old = opentelemetry.start(provider, source=Made(sample("process.rss", 1)))
    opentelemetry.start(provider, source=Made(sample("process.rss", 2)))
    old()
    [point] = collected(reader)["process.memory.usage"].data.data_points
    assert point.value == 2
    assert caplog.records == []


def test_the_global_provider_set_later() -> None:
    """heaptide may be started before the program sets up its SDK."""
    run(
        "from heaptide.monitor import opentelemetry\n"
        "opentelemetry.start()\n"
        "from opentelemetry import metrics\n"
        "from opentelemetry.sdk.metrics import MeterProvider\n"
        "from opentelemetry.sdk.metrics.export import InMemoryMetricReader\n"
        "reader = InMemoryMetricReader()\n"
        "provider = MeterProvider([reader])\n"
        "metrics.set_meter_provider(provider)\n"
        "opentelemetry.start()\n"
        "opentelemetry.start(provider)\n"
        "found = [metric.name for resource in reader.get_metrics_data().resource_metrics\n"
        "         for scope in resource.scope_metrics for metric in scope.metrics]\n"
        "assert found.count('process.memory.usage') == 1, found\n"
    )


def test_what_is_no_provider() -> None:
    with pytest.raises(UsageError, match="opentelemetry=5 is no MeterProvider"):
        opentelemetry.start(5)  # type: ignore[arg-type]


def test_without_the_package() -> None:
    """One line says what to install."""
    run(
        "import sys\n"
        "sys.modules['opentelemetry'] = None\n"
        "from heaptide.errors import HeaptideError\n"
        "try:\n"
        "    import heaptide.monitor.opentelemetry\n"
        "except HeaptideError as error:\n"
        "    assert \"pip install 'heaptide[otel]'\" in error.message, error.message\n"
        "else:\n"
        "    raise SystemExit('no error')\n"
    )


def run(code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], stderr=subprocess.PIPE, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


class Stub:
    """What receives OTLP over HTTP; ``requests``: decoded."""

    def __init__(self) -> None:
        requests: list[ExportMetricsServiceRequest] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                requests.append(ExportMetricsServiceRequest.FromString(body))
                answer = ExportMetricsServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self.requests = requests
        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1/metrics"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))

    def __enter__(self) -> Stub:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def test_over_the_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real exporter's protobuf: names, units, values, attributes, kinds, temporality."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Stub() as stub:
        exporter = OTLPMetricExporter(stub.url)
        reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
        provider = MeterProvider([reader])
        opentelemetry.start(
            provider,
            source=Made(
                sample("process.rss", 123_456_789),
                sample("process.page_faults", 11, "minor"),
                sample("process.page_faults", 3, "major"),
                sample("allocator.fragmentation", 0.25, "jemalloc", "malloc"),
                sample("python.gc_collections", 5, "2"),
            ),
        )
        assert provider.force_flush()
        provider.shutdown()
    [resource] = stub.requests[0].resource_metrics
    [scope] = resource.scope_metrics
    assert scope.scope.name == "heaptide"
    metrics = {metric.name: metric for metric in scope.metrics}
    resident = metrics["process.memory.usage"]
    assert (resident.unit, wire(resident)) == ("By", {(): 123_456_789})
    assert not resident.sum.is_monotonic
    faults = metrics["process.paging.faults"]
    assert faults.unit == "{fault}"
    assert faults.sum.is_monotonic
    assert faults.sum.aggregation_temporality == (
        AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    )
    of_type = "system.paging.fault.type"
    assert wire(faults) == {((of_type, "minor"),): 11, ((of_type, "major"),): 3}
    fragmentation = metrics["heaptide.allocator.fragmentation"]
    assert fragmentation.WhichOneof("data") == "gauge"
    names = ("heaptide.allocator.name", "jemalloc"), ("heaptide.allocator.role", "malloc")
    assert (fragmentation.unit, wire(fragmentation)) == ("1", {names: 0.25})
    collections = metrics["cpython.gc.collections"]
    assert collections.unit == "{collection}"
    assert wire(collections) == {(("cpython.gc.generation", 2),): 5}


def wire(metric: Metric) -> dict[tuple[tuple[str, Any], ...], float]:
    data = getattr(metric, metric.WhichOneof("data") or "")
    return {
        tuple(
            sorted(
                (one.key, getattr(one.value, one.value.WhichOneof("value")))
                for one in point.attributes
            )
        ): getattr(point, point.WhichOneof("value"))
        for point in data.data_points
    }


def test_in_a_forked_child() -> None:
    """The child tells of itself."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    opentelemetry.start(provider)
    collected(reader)
    held = bytearray(64 << 20)
    here = points(collected(reader)["process.memory.usage"])[()]
    pid = os.fork()
    if not pid:
        status = 1
        try:
            del held
            there = points(collected(reader)["process.memory.usage"])[()]
            status = 0 if here - there > 32 << 20 else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    provider.shutdown()


MANUAL = Path(__file__).parents[2] / "docs" / "monitoring-opentelemetry.md"


@pytest.mark.parametrize("figure", FIGURES.values(), ids=lambda one: one.key)
def test_the_manual_has_each_instrument(figure: Figure) -> None:
    """With its kind, unit and attributes."""
    lines = MANUAL.read_text(encoding="utf-8").splitlines()
    [line] = [line for line in lines if line.startswith(f"| `{figure.instrument}` |")]
    _, _, kind, unit, attributes, _ = (cell.strip() for cell in line.split("|"))
    assert (kind.lower(), unit) == (
        opentelemetry.kind_of(figure),
        f"`{opentelemetry.unit_of(figure)}`",
    )
    assert [cell for cell in attributes.split(", ") if cell] == [
        f"`{name}`" for name in opentelemetry.attributes_of(figure)
    ]


def test_the_manual_runs() -> None:
    """Its example exports what it says."""
    [code] = re.findall(r"^```python\n(.*?)^```", MANUAL.read_text("utf-8"), re.M | re.S)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    assert '"name": "process.memory.usage"' in done.stdout


def test_readings_of_two_threads_are_apart() -> None:
    """Each figure once, whoever else is reading: a reading is over before it is seen."""
    threads, rss = FIGURES["process.threads"], FIGURES["process.rss"]
    inside, entered = [], threading.Event()

    class Slow(Made):
        def read(self) -> Any:
            first = not entered.is_set()
            entered.set()
            for one in self.samples:
                if first:  # the other reads all of it in between
                    first = False
                    inside.append(list(reading.of(rss)))
                yield one

    made = Slow(sample(threads.key, 3), sample(rss.key, 5))
    reading = opentelemetry._Reading(made)
    assert list(reading.of(threads)) == [made.samples[0]]
    assert inside == [[made.samples[1]]]
    assert list(reading.of(rss)) == [made.samples[1]]
