"""Metrics over HTTP: WSGI, ASGI, a server, and a pushgateway, against real local servers."""

from __future__ import annotations

import http.server
import logging
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

import heaptide
from heaptide.errors import HeaptideError, UsageError
from heaptide.monitor.prometheus import (
    make_asgi_app,
    make_wsgi_app,
    register,
    start,
    start_http_server,
    start_pushing,
)
from tests.monitor.services import SERVICE, Metrics, promtool, serve, stdlib, until
from tests.support.network import free_port


@pytest.fixture(autouse=True)
def _one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)


def test_the_example_service(tmp_path: Path) -> None:
    """WSGI: memory that it keeps shows, in both formats."""
    with stdlib(tmp_path) as service:
        service.get("/")
        before = service.metrics()
        assert before.get("service_requests_total") == 1
        assert service.get("/leak?bytes=30000000") == "30000000 bytes are kept\n"
        text = service.get("/metrics")
        promtool(text)
        for name in ("process_resident_memory_bytes", "heaptide_process_rss_anon_bytes"):
            grown = Metrics(text).get(name) - before.get(name)
            assert 28e6 < grown < 45e6, name
        openmetrics = service.get("/metrics", "application/openmetrics-text; version=1.0.0")
        parsed = parse_openmetrics(openmetrics)  # type: ignore[no-untyped-call]
        assert "heaptide_process_threads" in {one.name for one in parsed}


def test_the_example_service_refuses(tmp_path: Path) -> None:
    """More than it may keep, and a port that is taken or none: in a line."""
    with stdlib(tmp_path) as service:
        with pytest.raises(urllib.error.HTTPError, match="400"):
            service.get("/leak?bytes=100000001")
        assert service.get("/leak?bytes=1000") == "1000 bytes are kept\n"
        for port in (str(service.port), "http", "65536"):
            command = [sys.executable, "service.py", port]
            done = subprocess.run(
                command, cwd=SERVICE, stderr=subprocess.PIPE, text=True, timeout=60
            )
            assert done.returncode == 1
            assert done.stderr.startswith("service.py: ") and done.stderr.count("\n") == 1
            assert port in done.stderr


def test_the_example_service_leaks_when_told(tmp_path: Path) -> None:
    with stdlib(tmp_path, SERVICE_LEAK="1000000") as service:
        before = service.metrics().get("process_resident_memory_bytes")
        for _ in range(20):
            service.get("/")
        assert service.metrics().get("process_resident_memory_bytes") - before > 18e6


def test_asgi_under_uvicorn(tmp_path: Path) -> None:
    (tmp_path / "asgi.py").write_text(
        "from heaptide.monitor.prometheus import make_asgi_app\napp = make_asgi_app()\n"
    )
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--port", str(port), "--lifespan", "off"]
    command += ["--app-dir", str(tmp_path), "asgi:app"]
    with serve(command, tmp_path / "uvicorn.log", port) as service:
        text = service.get("/metrics")
        promtool(text)
        assert Metrics(text).get("heaptide_process_threads") >= 1
        assert service.metrics().get("process_resident_memory_bytes") > 1e6


def test_server() -> None:
    """Registers a collector where there is none, and leaves the one that there is."""
    registry = CollectorRegistry()
    register(registry, alias={"app_bytes": "process.rss"})
    server = start_http_server(0, registry=registry)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics") as response:
            found = Metrics(response.read().decode())
        assert found.get("app_bytes") > 1e6
        with pytest.raises(HeaptideError, match=f"port {server.port} of 127.0.0.1") as error:
            start_http_server(server.port, registry=registry)
        assert "\n" not in str(error.value)
    finally:
        server.close()
    with pytest.raises(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics")
    with pytest.raises(HeaptideError, match="99999"):
        start_http_server(99999, registry=registry)


def test_applications_register_once() -> None:
    registry = CollectorRegistry()
    make_wsgi_app(registry)
    make_asgi_app(registry)
    assert sum(one.name == "heaptide_process_threads" for one in registry.collect()) == 1


class Gateway(http.server.HTTPServer):
    """Takes what is pushed, as a pushgateway does, or refuses it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.taken: list[tuple[str, str, str]] = []
        self.status = 200
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Gateway

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.taken.append((self.path, self.headers["Content-Type"], body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    server = Gateway()
    yield server
    server.shutdown()
    server.server_close()


def test_pushing(gateway: Gateway) -> None:
    """Again and again, when asked, and a last time when it is closed."""
    registry = CollectorRegistry()
    address = f"127.0.0.1:{gateway.server_port}"
    key = {"instance": "a"}
    pusher = start_pushing(address, "nightly", every=0.05, grouping_key=key, registry=registry)
    with pusher:
        until(lambda: len(gateway.taken) >= 3)
    closed = len(gateway.taken)
    path, kind, text = gateway.taken[-1]
    assert path == "/metrics/job/nightly/instance/a"
    assert kind.startswith("text/plain; version=0.0.4")
    promtool(text)
    assert Metrics(text).get("process_resident_memory_bytes") > 1e6
    pusher.close()  # once
    assert len(gateway.taken) == closed
    once = start_pushing(address, "nightly", every=None, registry=registry)
    assert len(gateway.taken) == closed
    once.push()
    assert len(gateway.taken) == closed + 1


def test_pushing_to_a_gateway_that_fails(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told once, in one line, and pushing goes on; what the program did is not changed."""
    registry = CollectorRegistry()
    address = f"http://127.0.0.1:{gateway.server_port}"
    gateway.status = 500
    with caplog.at_level(logging.WARNING, "heaptide.monitor"):
        pusher = start_pushing(address, "job", every=0.02, registry=registry)
        until(lambda: len(gateway.taken) >= 4)
        gateway.status = 200
        until(lambda: len(gateway.taken) >= 8)
        pusher.close()
    [record] = caplog.records
    assert address in record.getMessage() and "500" in record.getMessage()
    with pytest.raises(ZeroDivisionError):
        with start_pushing(address, "job", every=None, registry=registry):
            gateway.status = 400
            raise ZeroDivisionError
    assert "400" in caplog.records[-1].getMessage()
    nobody = start_pushing(f"127.0.0.1:{free_port()}", "job", every=None, registry=registry)
    with pytest.raises(HeaptideError, match=": Connection refused; is a pushgateway there"):
        nobody.push()
    for place, job, said in ((5, "job", "gateway=5"), (address, "", "job=''")):
        with pytest.raises(UsageError, match=said):
            start_pushing(place, job, registry=registry)  # type: ignore[arg-type]
    for wrong in (0, -1.0, float("nan"), "soon"):
        for name in ("every", "timeout"):
            with pytest.raises(UsageError, match=f"^{name}="):
                start_pushing(address, "job", registry=registry, **{name: wrong})  # type: ignore[arg-type]


def test_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a port with an alias, then in a registry; all of it is gone when it has ended."""
    registry = CollectorRegistry()
    monkeypatch.setattr("heaptide.monitor.prometheus.REGISTRY", registry)
    port = free_port()
    with heaptide.monitor(prometheus=f"127.0.0.1:{port}", alias="old_bytes") as monitor:
        assert monitor.running == ("prometheus",)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            text = answer.read().decode()
        assert "\nold_bytes " in text
        assert "\nheaptide_process_threads " in text
        with pytest.raises(HeaptideError, match=f"port {port} of 127.0.0.1: Address already"):
            start(port, objects=True)
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics")
    assert registry.get_sample_value("heaptide_process_threads") is None
    stop = start(True)
    assert registry.get_sample_value("heaptide_process_threads")
    start(registry)()  # there is one: it stays, and so it does when this ends
    assert registry.get_sample_value("heaptide_process_threads")
    stop()
    stop()
    assert registry.get_sample_value("heaptide_process_threads") is None


def test_an_alias_that_is_no_name() -> None:
    registry = CollectorRegistry()
    with pytest.raises(UsageError, match=r"alias=.* is no name: .*register"):
        start(registry, alias={"old_bytes": "process.rss"})  # type: ignore[arg-type]
    assert not list(registry.collect())


@pytest.mark.parametrize("port", ["9100", 99999, -1, None])
def test_no_port(port: Any) -> None:
    registry = CollectorRegistry()
    with pytest.raises(UsageError, match=f"^port={port!r} is no port"):
        start_http_server(port, registry=registry)
    assert not list(registry.collect())


@pytest.mark.parametrize("target", ["", "here", "127.0.0.1:", "1:99999", -1, False])
def test_no_target(target: object) -> None:
    with pytest.raises(UsageError, match="is no port"):
        start(target)  # type: ignore[arg-type]
