"""Programs of many short-lived threads and many processes: each is counted, and what has ended
costs the collector nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from heaptide.recording import Recording
from tests.conftest import Record
from tests.support.building import Builder
from tests.support.recorded import HEAPTIDE, children_of

_PYTHON_THREADS = """
import sys, threading
def work():
    kept = [bytes(300) for _ in range(10)]
for _ in range(int(sys.argv[1]) // int(sys.argv[2])):
    threads = [threading.Thread(target=work) for _ in range(int(sys.argv[2]))]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
"""

_PYTHON_CHILDREN = """
import subprocess, sys
for _ in range(20):
    subprocess.run([sys.executable, "-c", "import json, subprocess, unittest, logging"], check=True)
"""

COUNTS = [(900, 30), (3000, 1)]


@pytest.mark.parametrize(("threads", "at_once"), [*COUNTS, (20000, 10)])
def test_threads_of_c(threads: int, at_once: int, build: Builder, record: Record) -> None:
    """Each thread has a row with exactly its own calls, however many there are."""
    recorded = record([build("brief_threads.c", "-g"), str(threads), str(at_once)])
    assert recorded.status == 0, recorded.stderr
    assert recorded.summary["threads"] == threads + 1
    with Recording.open(recorded.path) as recording:
        table = recording.threads
        brief = table.allocations[table.tid != recording.processes.pid[0]]
        assert len(brief) == threads
        assert brief.tolist() == [10] * threads
        assert table.deallocations.sum() == recorded.summary["deallocations"]
        assert (table.end > table.start).all()
        assert recording.contexts.thread.min() >= 0


@pytest.mark.parametrize(("threads", "at_once"), COUNTS)
def test_threads_of_python(threads: int, at_once: int, record: Record) -> None:
    """The same of Python's threads; the sum over the rows is that of the program."""
    recorded = record([sys.executable, "-c", _PYTHON_THREADS, str(threads), str(at_once)])
    assert recorded.status == 0, recorded.stderr
    assert recorded.summary["threads"] == threads + 1
    with Recording.open(recorded.path) as recording:
        table = recording.threads
        assert (table.allocations >= 10).all()
        assert table.allocations.sum() == recorded.summary["allocations"]
        assert table.bytes.sum() == recorded.summary["total_bytes"]
        assert table.live_bytes.sum() == recorded.summary["alive_at_exit_bytes"]


def test_processes_in_sequence(build: Builder, record: Record) -> None:
    """The figures of each process are its own, also those that are written once when it has ended:
    its totals, the composition of its peak, and its histograms."""
    children = 150
    recorded = record([build("sequence.c", "-g"), str(children)])
    assert recorded.status == 0, recorded.stderr
    with Recording.open(recorded.path) as recording:
        table, contexts = recording.processes, recording.contexts
        assert len(table) == children + 1
        order = np.argsort(table.start)[1:]
        number = np.arange(children)
        assert table.allocations[order].tolist() == (1000 + number).tolist()
        assert table.deallocations[order].tolist() == [1000] * children
        assert table.live_bytes[order].tolist() == (24 * number).tolist()
        assert table.peak_bytes[order].tolist() == (24 * (1000 + number)).tolist()
        peak = recording.peaks
        at_peak = np.zeros(len(table), np.int64)
        own = peak.process >= 0
        np.add.at(at_peak, peak.process[own], peak.bytes[own])
        assert at_peak[order].tolist() == (24 * (1000 + number)).tolist()
        assert int(peak.bytes[~own].sum()) == recorded.summary["peak_bytes"]
        for counted, figures, expected in (
            (recording.sizes.context, recording.sizes.counts, 1000 + number),
            (recording.lifetimes.context, recording.lifetimes.by_time, 0 * number + 1000),
        ):
            assert len(np.unique(counted)) == len(counted)
            sums = np.zeros(len(table), np.int64)
            np.add.at(sums, contexts.process[counted], figures.sum(axis=1))
            assert sums[order].tolist() == expected.tolist()


def test_ended_processes_take_no_memory(tmp_path: Path) -> None:
    """The collector is as large while the first ten children run as while the last ten do, but for
    what one that lives takes."""
    path = tmp_path / "many.tide"
    command = [*HEAPTIDE, "run", "-q", "--no-symbols", "-o", str(path)]
    sizes: list[int] = []
    with subprocess.Popen([*command, sys.executable, "-c", _PYTHON_CHILDREN]) as process:
        while process.poll() is None:
            time.sleep(0.02)
            sizes += [_anonymous(pid) for pid in children_of(process.pid, "heaptide-collector")]
    assert process.returncode == 0
    with Recording.open(path) as recording:
        assert len(recording.processes) == 21
        contexts = len(recording.contexts)
    first, second = max(sizes[: len(sizes) // 2]), max(sizes[len(sizes) // 2 :])
    # A context takes 300 bytes while its process lives.
    assert second < first + contexts / 20 * 300 * 3, (first, second)


def _anonymous(pid: int) -> int:
    """Bytes of memory that are the process's own; 0 if it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = [line.split()[1] for line in status.splitlines() if line.startswith("RssAnon:")]
    return 1024 * int(found[0]) if found else 0
