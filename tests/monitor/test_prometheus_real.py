"""A real Prometheus scrapes the example service under load, and answers with its memory."""

from __future__ import annotations

import json
import subprocess
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.monitor.services import Service, children, gunicorn, serve, stdlib, tool, until
from tests.support.network import fetch, free_port

CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
- job_name: service
  static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


class Prometheus:
    """A server that scrapes one service."""

    def __init__(self, port: int) -> None:
        self._port = port

    def ask(self, path: str, **parameters: str) -> Any:
        url = f"http://127.0.0.1:{self._port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url) as response:
            return json.load(response)["data"]

    def query(self, query: str) -> list[tuple[dict[str, str], float]]:
        found = self.ask("query", query=query)["result"]
        return [(one["metric"], float(one["value"][1])) for one in found]

    def value(self, query: str) -> float | None:
        """None: there is none yet."""
        found = self.query(query)
        assert len(found) <= 1, found
        return found[0][1] if found else None


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Any]:
    """Starts one for a service, until the test ends."""
    running = []

    def start(service: Service) -> Prometheus:
        config, port = tmp_path / "prometheus.yml", free_port()
        config.write_text(CONFIG.format(port=service.port))
        subprocess.run([tool("promtool"), "check", "config", str(config)], check=True)
        command = [
            tool("prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={tmp_path / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        one = serve(command, tmp_path / "prometheus.log", port)
        one.__enter__()
        running.append(one)
        until(lambda: fetch(f"http://127.0.0.1:{port}/-/ready")[0] == 200)
        return Prometheus(port)

    yield start
    for one in running:
        one.__exit__(None, None, None)


class Load:
    """Asks a service for pages, as fast as it answers."""

    def __init__(self, service: Service) -> None:
        self._service, self._ended = service, threading.Event()
        self.pages = 0
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._ended.is_set():
            self._service.get("/")
            self.pages += 1

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()


def rss(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [size] = [int(line.split()[1]) for line in lines if line.startswith("VmRSS:")]
    return size * 1024


def test_a_service_under_load(tmp_path: Path, prometheus: Any) -> None:
    """Values, types and help; what it keeps shows within a few scrapes. All scrapes succeed."""
    with stdlib(tmp_path) as service, Load(service) as load:
        server = prometheus(service)
        until(lambda: (server.value("process_resident_memory_bytes") or 0) > 1e6)
        memory = server.value("process_resident_memory_bytes")
        assert memory == pytest.approx(rss(service.process.pid), rel=0.1)
        until(lambda: server.value("heaptide_process_pss_bytes") is not None)
        assert server.value("heaptide_process_pss_bytes") <= server.value(
            "process_resident_memory_bytes"
        )
        service.get("/leak?bytes=60000000")
        until(lambda: server.value("process_resident_memory_bytes") > memory + 55e6)
        assert server.value("process_resident_memory_bytes") == pytest.approx(
            rss(service.process.pid), rel=0.1
        )
        until(lambda: (server.value("delta(process_resident_memory_bytes[1m])") or 0) > 30e6)
        until(lambda: (server.value("rate(service_requests_total[30s])") or 0) > 0)
        faults = 'rate(heaptide_process_page_faults_total{type="minor"}[30s])'
        until(lambda: (server.value(faults) or 0) > 0)
        told = server.ask("metadata")  # by OpenMetrics, which it asks for
        assert told["heaptide_process_page_faults"][0]["type"] == "counter"
        assert told["heaptide_process_pss_bytes"][0]["type"] == "gauge"
        assert server.value("min_over_time(up[1m])") == 1
    assert load.pages > 0


def test_workers_under_load(tmp_path: Path, prometheus: Any) -> None:
    """Every scrape is of all workers, whichever of them answered; counters never go back."""
    with gunicorn(tmp_path) as service, Load(service):
        until(lambda: len(children(service.process.pid)) == 4)
        server = prometheus(service)
        until(lambda: (server.value("count(process_resident_memory_bytes)") or 0) == 4)
        told = {int(labels["pid"]) for labels, _ in server.query("process_resident_memory_bytes")}
        assert told == children(service.process.pid)
        total = server.value("sum(process_resident_memory_bytes)")
        assert total == pytest.approx(sum(rss(pid) for pid in told), rel=0.1)
        until(lambda: (server.value("count(heaptide_process_pss_bytes)") or 0) == 4)
        scrapes = "min(count_over_time(heaptide_python_gc_pending[1m]))"
        until(lambda: (server.value(scrapes) or 0) > 12)
        assert server.value("count(process_resident_memory_bytes)") == 4
        for counter in ("python_gc_collections_total", "heaptide_process_page_faults_total"):
            assert server.value(f"max(resets({counter}[1m]))") == 0
        assert server.value("count(heaptide_cgroup_current_bytes) or vector(1)") == 1
        assert server.value("min_over_time(up[1m])") == 1
