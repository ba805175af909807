"""Running ``heaptide run`` beside the plain program, and programs to run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .terminal import Terminal

HEAPTIDE = [sys.executable, "-m", "heaptide"]
FAKE = Path(__file__).with_name("fake_collector.py")

Result = subprocess.CompletedProcess[bytes]
Run = Callable[..., Result]
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture(autouse=True)
def no_strays() -> Iterator[None]:
    """What a failed test has left on a terminal does not outlive it."""
    yield
    Terminal.kill_all()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """``run(*words)``: ``heaptide run -o <tmp>/r.tide -q *words``, output captured."""

    def run(*words: Any, options: tuple[str, ...] = ("-q", "--no-symbols"), **more: Any) -> Result:
        command = [*HEAPTIDE, "run", "-o", tmp_path / "r.tide", "-f", *options, *words]
        result: Result = subprocess.run(command, capture_output=True, **more)
        return result

    return run


@dataclass(frozen=True)
class FakeCollector:
    """A collector that behaves as the variable FAKE_COLLECTOR says (see fake_collector.py), and an
    agent that does nothing."""

    collector: Path
    agent: Path


@pytest.fixture
def fake_collector(tmp_path: Path) -> FakeCollector:
    """Both as files."""
    fake = FakeCollector(tmp_path / "collector", tmp_path / "agent.so")
    fake.collector.write_text(f"#!{sys.executable}\n{FAKE.read_text()}")
    fake.collector.chmod(0o755)
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-xc", "-", "-o", fake.agent], input=b"int nothing;", check=True
    )
    return fake


@pytest.fixture
def fake_heaptide(fake_collector: FakeCollector, tmp_path: Path) -> list[str]:
    """A command like ``heaptide`` with both."""
    driver = tmp_path / "driver.py"
    driver.write_text(
        "from pathlib import Path\n"
        "from heaptide.recorder import native, session\n"
        f"session.collector_path = lambda: Path({str(fake_collector.collector)!r})\n"
        f"native.agent_path = lambda: Path({str(fake_collector.agent)!r})\n"
        "from heaptide.cli.main import main\n"
        "main()\n"
    )
    return [sys.executable, str(driver)]


@pytest.fixture
def start_fake(fake_heaptide: list[str], tmp_path: Path) -> Start:
    """``start_fake(way, *words)`` starts ``heaptide run`` with a collector that behaves so."""

    def start(way: str, *words: Any, options: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*fake_heaptide, "run", "-o", tmp_path / "r.tide", *options, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "FAKE_COLLECTOR": way},
        )

    return start


@pytest.fixture
def run_fake(start_fake: Start) -> Run:
    """As ``start_fake``, to the end."""

    def run(way: str, *words: Any, options: tuple[str, ...] = ()) -> Result:
        with start_fake(way, *words, options=options) as process:
            stdout, stderr = process.communicate()
        return Result(process.args, process.returncode, stdout, stderr)

    return run


@pytest.fixture
def compile_c(tmp_path: Path) -> Callable[..., Path]:
    """``compile_c(source, *flags)``: the path of the program made from C source text."""

    def compile_c(source: str, *flags: str, name: str = "program") -> Path:
        program = tmp_path / name
        subprocess.run(["cc", "-xc", "-", "-o", program, *flags], input=source.encode(), check=True)
        return program

    return compile_c
