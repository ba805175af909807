"""What breaks around a recording does not break the program: a dead collector, a full disk."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from heaptide.recording import Recording
from tests.support.recorded import HEAPTIDE, Recorded, children_of

pytestmark = pytest.mark.system


def run_asking(code: str, output: Path, name: str) -> Recorded:
    """Records ``python -c code``; once it prints ``ready``, sends the signal ``name`` to its
    collector, then a line to the program."""
    command = [*HEAPTIDE, "run", "-o", str(output), sys.executable, "-c", code]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        collectors = children_of(process.pid, "heaptide-collector")
        assert len(collectors) == 1
        try:
            os.kill(collectors[0], signal.Signals[name])
            stdout, stderr = process.communicate("\n")
        finally:
            process.kill()
    return Recorded(output, process.returncode, stdout, stderr)


# Waits between its halves for as long as a checkpoint may take (a second), and more.
HALVES = """
import sys, time
unit = b"x"
kept = []
def before(n):
    for _ in range(1000):
        kept.append(unit * n)
def after(n):
    for _ in range(2_000_000):
        kept.append(unit * n)
before(1234)
time.sleep(2.5)
print("ready", flush=True)
input()
after(10)
print("done", len(kept), flush=True)
sys.exit(3)
"""


@pytest.mark.parametrize("how", ["SIGKILL", "SIGSEGV"])
def test_collector_lost(how: str, tmp_path: Path) -> None:
    """Without its collector the program runs on to its own end; what was recorded
    before can be read."""
    recorded = run_asking(HALVES, tmp_path / "lost.tide", how)
    assert recorded.stdout == "done 2001000\n", recorded.stderr
    assert recorded.status == 3
    assert "collector" in recorded.stderr
    assert recorded.site("before")["total_bytes"] >= 1000 * (1234 + sys.getsizeof(b""))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("needs to mount a file system: run as root")
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=256k", "none", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip(f"cannot mount a file system: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


# Ever new functions, so that there is ever more to write.
GROWING = """
import sys
unit = b"x"
kept = []
for i in range(60_000):
    names = {"unit": unit}
    exec(f"def a_function_with_a_rather_long_name_{i}(n): return unit * n", names)
    kept.append(names[f"a_function_with_a_rather_long_name_{i}"](i % 1000))
print("made", len(kept), flush=True)
sys.exit(3)
"""


def check_full(recorded: Recorded) -> None:
    assert recorded.stdout == "made 60000\n", recorded.stderr
    assert recorded.status == 3
    lines = [line for line in recorded.stderr.splitlines() if "disk" in line or "space" in line]
    assert lines, recorded.stderr
    # How much fitted depends on the moment; what did fit can be read.
    assert recorded.summary["allocations"] >= 0


def test_disk_full(small_disk: Path) -> None:
    """The recording ends cleanly and says so; the program does not notice."""
    output = small_disk / "full.tide"
    done = subprocess.run(
        [*HEAPTIDE, "run", "-o", str(output), sys.executable, "-c", GROWING],
        capture_output=True,
        text=True,
        check=False,
    )
    check_full(Recorded(output, done.returncode, done.stdout, done.stderr))


@pytest.mark.parametrize("most", [300_000, 1_000_000])
def test_max_size(most: int, tmp_path: Path) -> None:
    """`--max-size` is an end that was asked for; the program does not notice."""
    output = tmp_path / "limited.tide"
    own = ("--max-size", str(most), "-o", str(output))
    done = subprocess.run(
        [*HEAPTIDE, "run", *own, sys.executable, "-c", GROWING],
        capture_output=True,
        text=True,
        check=False,
    )
    recorded = Recorded(output, done.returncode, done.stdout, done.stderr)
    assert recorded.stdout == "made 60000\n", recorded.stderr
    assert recorded.status == 3
    assert "--max-size" in recorded.stderr
    assert recorded.summary["allocations"] > 0
    assert output.stat().st_size < most


# Few stacks and much time: what grows are slices and the timeline.
LASTING = """
import time
for i in range(300):
    kept = [bytes(1000 + i) for _ in range(10)]
    time.sleep(0.02)
"""


def test_max_size_makes_time_coarser(tmp_path: Path) -> None:
    """A recording that is small once it is finished is not ended for what its checkpoints add up to
    meanwhile: without a limit this one's grow to 250 kB."""
    output = tmp_path / "lasting.tide"
    own = ("--no-python-objects", "--native", "off", "--max-size", "100kB", "-o", str(output))
    done = subprocess.run(
        [*HEAPTIDE, "run", *own, sys.executable, "-c", LASTING],
        capture_output=True,
        text=True,
        check=True,
    )
    recorded = Recorded(output, done.returncode, done.stdout, done.stderr)
    assert "--max-size" not in recorded.stderr
    assert output.stat().st_size < 100_000
    assert recorded.summary["total_bytes"] >= 300 * 10 * 1000
    with Recording.open(output) as opened:
        assert opened.end is not None
        assert opened.end.reason == "finished"
