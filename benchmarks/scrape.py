"""Measures what a scrape by Prometheus costs, in a small process and in a large one.

    python -m benchmarks.scrape [--scrapes N] [--pause SECONDS] [--json FILE]

A scrape is ``generate_latest`` of a registry with heaptide's collector, and, in turns with it in
the same process, of one with prometheus-client's own two. A clock says that 15 s have passed
between two scrapes, so that what is read rarely (PSS, allocators) is due as often as under
Prometheus. Among several workers it is the scrape of all of them by one. To hold is 1 ms in one
process. Between two scrapes the process sleeps, as an idle service does, and everything finds the
processor's caches cold; "again" is a second scrape straight after, as a service at work finds them.
"Processor" is the time of the thread that is asked, without that in which other programs had its
processor.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest

from benchmarks import machine
from heaptide.allocators import ProcessReader, Reader
from heaptide.allocators._limit import Clock
from heaptide.monitor import prometheus
from heaptide.monitor._source import PATIENCE, Source

LIMIT = 0.001  # seconds, in one process
EVERY = 15.0  # seconds between two scrapes
WORKERS = 4
ROWS = 1_500_000  # of a large process: 6 million objects
KINDS = ("small", "large", f"{WORKERS} workers")


Cost = tuple[float, float]  # seconds: passed, and of a processor


@dataclass(frozen=True)
class Costs:
    """Each scrape of a process."""

    process: str
    rss: int  # bytes
    samples: int  # in one of heaptide's scrapes
    ours: list[Cost]
    again: list[Cost]  # the same, straight after
    stock: list[Cost]  # prometheus-client's ProcessCollector and GCCollector


class Passing:
    """A clock on which time passes when it is told to, too."""

    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> float:
        return time.monotonic() + self.passed

    def used(self) -> float:
        return 0.0  # no load, under which glibc would not be asked


def measure(kind: str, scrapes: int, pause: float) -> Costs:
    """In this process, which should be new."""
    passing = Passing()
    clock = Clock(passing.now, passing.used)
    held = [{"id": str(row), "values": [row]} for row in range(ROWS if kind == "large" else 0)]
    ours, stock = CollectorRegistry(), CollectorRegistry()
    children: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        if kind == KINDS[2]:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        else:
            prometheus._source = lambda *_: Source(  # type: ignore[assignment]
                process=ProcessReader(patience=PATIENCE, clock=clock),
                allocators=Reader(patience=PATIENCE, clock=clock),
            )
        ours.register(prometheus.Collector())
        ProcessCollector(registry=stock)
        GCCollector(registry=stock)
        if kind == KINDS[2]:
            children = [_worker() for _ in range(WORKERS - 1)]
            time.sleep(3)  # the first figures of others come after 1 s
        try:
            costs: list[tuple[Cost, Cost]] = []
            again = []
            for turn in range(scrapes):
                passing.passed += EVERY
                # Who is first finds the processor's caches cold.
                first, second = (ours, stock) if turn % 2 else (stock, ours)
                one, two = _timed(first), _timed(second)
                costs.append((one, two) if turn % 2 else (two, one))
                again.append(_timed(ours))
                time.sleep(pause)
            text = generate_latest(ours).decode()
        finally:
            for child in children:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
    samples = sum(not line.startswith("#") for line in text.splitlines())
    rss = ProcessReader().read().rss or 0
    del held
    return Costs(kind, rss, samples, [one for one, _ in costs], again, [one for _, one in costs])


def _worker() -> int:
    child = os.fork()
    if child == 0:
        try:
            while True:
                time.sleep(60)
        finally:
            os._exit(0)
    return child


def _timed(registry: CollectorRegistry) -> Cost:
    begun = time.perf_counter(), time.thread_time()
    generate_latest(registry)
    return time.perf_counter() - begun[0], time.thread_time() - begun[1]


def _columns(costs: list[Cost], limit: float | None = None) -> str:
    passed, used = [one[0] for one in costs], [one[1] for one in costs]
    p99 = sorted(passed)[int(len(passed) * 0.99)]
    median, processor = statistics.median(passed), statistics.median(used)
    missed = " **missed**" if limit is not None and median > limit else ""
    return f"{median * 1e3:.2f} ms{missed} | {p99 * 1e3:.2f} ms | {processor * 1e3:.2f} ms"


def _median(costs: list[Cost]) -> str:
    return f"{statistics.median(one[0] for one in costs) * 1e3:.2f} ms"


def markdown(found: list[Costs]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions().items())
    load, scrapes = os.getloadavg()[0], len(found[0].ours)
    lines = [
        f"Machine: {machine.processor()}, load {load:.1f}. {versions}. {scrapes} scrapes of each.",
        "",
        (
            "| | RSS | samples | median | p99 | processor | again "
            "| prometheus-client | p99 | processor |"
        ),
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for one in found:
        limit = LIMIT if one.process in KINDS[:2] else None
        lines.append(
            f"| {one.process} | {one.rss / 1e6:.0f} MB | {one.samples} | "
            f"{_columns(one.ours, limit)} | {_median(one.again)} | {_columns(one.stock)} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--scrapes", type=int, default=300)
    parser.add_argument("--pause", type=float, default=0.1, help="seconds between two scrapes")
    parser.add_argument("--json", type=Path, help="write all figures here too")
    parser.add_argument("--one", choices=KINDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(asdict(measure(options.one, options.scrapes, options.pause))))
        return
    found = []
    for kind in KINDS:
        command = [sys.executable, "-m", "benchmarks.scrape", "--one", kind]
        command += ["--scrapes", str(options.scrapes), "--pause", str(options.pause)]
        told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found.append(Costs(**json.loads(told.stdout)))
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in found], indent=1))
    print(markdown(found), end="")


if __name__ == "__main__":
    main()
