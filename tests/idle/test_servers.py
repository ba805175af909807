"""Real servers: what is reported is what a sampling from outside finds."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from tests.support.building import PROGRAMS
from tests.support.network import free_port
from tests.support.outside import FIGURES, asgi_servers, sample

from .running import IDLE, QUICK, environment, running

pytestmark = pytest.mark.system


@pytest.mark.parametrize(("server", "processes"), [("uvicorn", 1), ("gunicorn -w 4", 5)])
def test_servers(tmp_path: Path, server: str, processes: int) -> None:
    """Within 1 %, though others of this machine, which share libraries, come and go meanwhile."""
    if importlib.util.find_spec(server.split()[0]) is None:
        pytest.skip(f"needs {server}")
    port = free_port()
    command = asgi_servers(port)[server]
    ready = ["--ready-http", f"http://127.0.0.1:{port}/"]
    options = [*QUICK, *ready, "--starts", "3", "--traced", "1", "--json"]
    text, sampling = sample(
        [*IDLE, *options, "--", *command], cwd=PROGRAMS, env=environment(tmp_path)
    )
    found = json.loads(text)["new"]
    outside = sampling.of_session(found["starts"])
    for start in found["starts"]:
        assert {len(reading["processes"]) for reading in start["readings"]} == {processes}
    for name in FIGURES:
        assert found["figures"][name]["median"] == pytest.approx(outside[name], rel=0.01), name
    assert 5e6 < found["figures"]["heap"]["median"] < found["figures"]["rss"]["median"]
    assert running(f"127.0.0.1:{port}") == running(f"--port\0{port}") == []
    assert list(tmp_path.iterdir()) == []
