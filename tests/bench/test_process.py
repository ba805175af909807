"""What a run took, by the kernel's figures, and what becomes of it when we end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from heaptide.bench import _process, run_once
from heaptide.errors import HeaptideError
from tests.support.building import Builder

needs_setsid = pytest.mark.skipif(shutil.which("setsid") is None, reason="needs setsid")


def run(*argv: str | Path, cwd: Path = Path()) -> _process.Took:
    words = [str(word) for word in argv]
    out = subprocess.DEVNULL
    return run_once(words, cwd=cwd, env=dict(os.environ), out=out, err=out)


@needs_setsid
def test_the_resident_size_is_the_programs_own(build: Builder) -> None:
    """A small program that a large one starts is small: what the kernel says of a plain child of
    ours would be our size."""
    program = build("keeps.c")
    ours = bytearray(b"x") * 100_000_000
    small, large = run(program, "10"), run(program, "50000")
    assert len(ours) == 100_000_000
    assert small.peak_rss is not None and large.peak_rss is not None
    assert small.peak_rss < 10e6
    assert 50e6 < large.peak_rss < 60e6


@needs_setsid
def test_the_largest_of_its_processes_counts() -> None:
    code = "import subprocess as s, sys; s.run([sys.executable, '-c', 'x = b\"1\" * 80_000_000'])"
    took = run(sys.executable, "-c", code)
    assert took.peak_rss is not None
    assert took.peak_rss > 80e6


def test_times_and_status() -> None:
    """The CPU time is a part of what has passed; sleeping takes none."""
    began = time.perf_counter()
    busy = run(sys.executable, "-c", "import time\nwhile time.process_time() < 0.2: pass\nexit(7)")
    passed = time.perf_counter() - began
    assert busy.status == 7
    assert 0.2 <= busy.cpu <= busy.wall <= passed
    asleep = run(sys.executable, "-c", "import os, time; time.sleep(0.3); os.kill(os.getpid(), 9)")
    assert asleep.status == -signal.SIGKILL
    assert asleep.wall >= 0.3 > asleep.cpu


def test_without_setsid_all_but_the_resident_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_: None)
    took = run("sh", "-c", "exit 5")
    assert (took.status, took.peak_rss) == (5, None)
    assert took.wall > 0


def test_a_command_that_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(HeaptideError, match="gone"):
        run("true", cwd=tmp_path / "gone")


def test_children_are_found_without_the_kernels_list(monkeypatch: pytest.MonkeyPatch) -> None:
    child = subprocess.Popen(["sleep", "60"])
    try:
        listed = _process.children()
        monkeypatch.setattr("os.path.exists", lambda _: False)
        assert child.pid in listed
        assert _process.children() == listed
    finally:
        child.kill()
        child.wait()


def test_a_program_finds_signals_and_standard_input_as_they_should_be() -> None:
    """Nothing is ignored that we do not ignore, and nothing waits for what nobody types."""
    code = (
        "import os, signal, sys\n"
        "sys.exit(signal.getsignal(signal.SIGINT) is not signal.default_int_handler\n"
        "         or os.read(0, 1) != b'' or os.getsid(0) != os.getpid())"
    )
    assert run(sys.executable, "-c", code).status == 0


def test_what_ends_us_ends_the_program(tmp_path: Path) -> None:
    """With its group, also where it does not want to."""
    mark = tmp_path / "pid"
    code = f"trap '' TERM; sleep 1000 & echo $! $$ > {mark}; while :; do sleep 0.1; done"

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 1)
        with pytest.raises(KeyboardInterrupt):
            run("sh", "-c", code)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
    for pid in map(int, mark.read_text().split()):
        while _runs(pid):  # what has been killed takes its time to go
            time.sleep(0.01)
    assert not _process.children()


def _runs(pid: int) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
