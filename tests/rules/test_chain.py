"""From a service that leaks to whoever is to know of it: a real Prometheus, a real Alertmanager."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.network import fetch, free_port, wait_for_port
from tests.support.recorded import Running

SERVICE = Path(__file__).with_name("service.py")
# Each block gets a mapping of its own, so that what is freed is given back, and floors are flat.
TIDY = {"MALLOC_MMAP_THRESHOLD_": "65536"}
JUDGED = {"MemoryGrowing", "RssNearBudget", "RssOverBudget"}  # of others the machine may have cause


class Receiver:
    """A webhook: which alerts it was told of, by job."""

    def __init__(self) -> None:
        self.firing: dict[str, dict[str, Any]] = {}
        self._told = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver._take(body["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def _take(self, alerts: Sequence[dict[str, Any]]) -> None:
        with self._told:
            for alert in alerts:
                if alert["status"] == "firing":
                    job, name = alert["labels"].get("job", ""), alert["labels"]["alertname"]
                    self.firing.setdefault(job, {})[name] = alert
            self._told.notify_all()

    def wait_for(self, job: str, names: set[str], started: Sequence[Running]) -> None:
        """Until it has been told of all of them; what was started for it has to run."""
        with self._told:
            while not self._told.wait_for(lambda: names <= set(self.firing.get(job, ())), 1):
                for one in started:
                    assert one.process.poll() is None, one.finish().stderr

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def serve(started: list[Running], stack: ExitStack, leak: int) -> str:
    """Its address."""
    port = free_port()
    start(started, stack, port, [sys.executable, SERVICE, str(port), str(leak)])
    return f"127.0.0.1:{port}"


def start(started: list[Running], stack: ExitStack, port: int, words: list[str | Path]) -> None:
    one = stack.enter_context(Running(words, None, env=TIDY))
    wait_for_port(port, one)
    started.append(one)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.close()


def start_alertmanager(
    started: list[Running], stack: ExitStack, folder: Path, receiver: Receiver
) -> int:
    config = folder / "alertmanager.yml"
    url = f"http://127.0.0.1:{receiver.port}/"
    route = {
        "receiver": "us",
        "group_by": ["alertname", "job"],
        "group_wait": "0s",
        "group_interval": "1s",
        "repeat_interval": "1h",
    }
    receivers = [{"name": "us", "webhook_configs": [{"url": url}]}]
    config.write_text(json.dumps({"route": route, "receivers": receivers}))
    subprocess.run(["amtool", "check-config", config], check=True, stdout=subprocess.DEVNULL)
    port = free_port()
    words: list[str | Path] = [
        "prometheus-alertmanager",
        f"--config.file={config}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        "--log.level=error",
    ]
    start(started, stack, port, words)
    return port


def start_prometheus(
    started: list[Running],
    stack: ExitStack,
    folder: Path,
    rules: Path,
    alertmanager: int,
    jobs: dict[str, str],
) -> str:
    config = folder / "prometheus.yml"
    content = {
        "global": {"scrape_interval": "200ms", "evaluation_interval": "500ms"},
        "rule_files": [str(rules)],
        "alerting": {
            "alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager}"]}]}]
        },
        "scrape_configs": [
            {"job_name": job, "scrape_timeout": "200ms", "static_configs": [{"targets": [target]}]}
            for job, target in jobs.items()
        ],
    }
    config.write_text(json.dumps(content))
    subprocess.run(["promtool", "check", "config", config], check=True, stdout=subprocess.DEVNULL)
    port = free_port()
    words: list[str | Path] = [
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--rules.alert.resend-delay=1s",
        "--log.level=error",
    ]
    start(started, stack, port, words)
    return f"http://127.0.0.1:{port}"


def ask(prometheus: str, query: str) -> float:
    """The only value that there is."""
    status, body = fetch(f"{prometheus}/api/v1/query?{urllib.parse.urlencode({'query': query})}")
    assert status == 200, body
    [found] = json.loads(body)["data"]["result"]
    return float(found["value"][1])


def test_a_leak_is_told_and_a_saw_tooth_is_not(tmp_path: Path, receiver: Receiver) -> None:
    """Both make garbage, one keeps some of it; both are looked at for the same time."""
    (tmp_path / "heaptide.toml").write_text(
        '[budgets]\npeak_rss = "150 MB"\n[budgets.programs.leaking]\n[budgets.programs.healthy]\n'
    )
    rules = tmp_path / "rules.yml"
    words = ["--window", "5s", "--for", "1s", "-o", str(rules), "--runbook", "https://x/rules.md"]
    subprocess.run([sys.executable, "-m", "heaptide", "rules", *words], check=True, cwd=tmp_path)
    started: list[Running] = []
    with ExitStack() as stack:
        jobs = {"leaking": serve(started, stack, 4_000_000), "healthy": serve(started, stack, 0)}
        alertmanager = start_alertmanager(started, stack, tmp_path, receiver)
        prometheus = start_prometheus(started, stack, tmp_path, rules, alertmanager, jobs)
        receiver.wait_for("leaking", {"MemoryGrowing", "RssOverBudget"}, started)
        teeth = 'heaptide_process_rss_anon_bytes{job="healthy"}[10s]'
        assert ask(prometheus, f"max_over_time({teeth}) - min_over_time({teeth})") > 10e6
        assert ask(prometheus, 'time() - process_start_time_seconds{job="healthy"}') > 3 * 5
        assert not JUDGED & set(receiver.firing.get("healthy", ()))
        firing = f'job="healthy",alertstate="firing",alertname=~"{"|".join(JUDGED)}"'
        assert ask(prometheus, f"count(ALERTS{{{firing}}}) or vector(0)") == 0
    told = receiver.firing["leaking"]["MemoryGrowing"]
    assert told["labels"]["severity"] == "warning"
    assert told["labels"]["instance"] == jobs["leaking"]
    assert jobs["leaking"] in told["annotations"]["summary"]
    assert "B an hour" in told["annotations"]["description"]
    assert told["annotations"]["runbook_url"] == "https://x/rules.md#memorygrowing"
