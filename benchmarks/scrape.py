"""Measures what a scrape by Prometheus costs, in a small process and in a large one.

    python -m benchmarks.scrape [--rounds N] [--scrapes N] [--pause SECONDS] [--json FILE]

A scrape is ``generate_latest`` of a registry with heaptide's collector, and, in turns with it in
the same process, of one with prometheus-client's own two. A clock says that 15 s have passed
between two scrapes, so that what is read rarely (PSS, allocators) is due as often as under
Prometheus. Among several workers it is the scrape of all of them by one. To hold is 1 ms in one
process. Between two scrapes the process sleeps, as an idle service does, and everything finds the
processor's caches cold; "again" is a second scrape straight after, as a service at work finds them.
"Processor" is the time of the thread that is asked, without that in which other programs had its
processor. A process has its pages where chance puts them, and keeps what it costs: each round has
new ones, in turns, and the table has the median of their medians, and the least and the greatest.
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


def _median(costs: list[Cost], part: int = 0) -> float:
    """Milliseconds."""
    return statistics.median(one[part] for one in costs) * 1e3


def _over(rounds: list[list[Cost]], part: int = 0, limit: float | None = None) -> str:
    """The median of their medians; with a limit, the least and the greatest too."""
    medians = [_median(one, part) for one in rounds]
    median = statistics.median(medians)
    if limit is None:
        return f"{median:.2f} ms"
    missed = " **missed**" if median > limit * 1e3 else ""
    return f"{median:.2f} ms ({min(medians):.2f} to {max(medians):.2f}){missed}"


def _p99(rounds: list[list[Cost]]) -> str:
    passed = sorted(one[0] for costs in rounds for one in costs)
    return f"{passed[int(len(passed) * 0.99)] * 1e3:.2f} ms"


def markdown(found: dict[str, list[Costs]]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions().items())
    load = os.getloadavg()[0]
    first = found[KINDS[0]]
    lines = [
        f"Machine: {machine.processor()}, load {load:.1f}. {versions}.",
        f"{len(first)} processes of each kind, {len(first[0].ours)} scrapes of each.",
        "",
        (
            "| | RSS | samples | from rest | p99 | processor | again "
            "| prometheus-client | p99 | processor |"
        ),
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for kind, rounds in found.items():
        ours, stock = [one.ours for one in rounds], [one.stock for one in rounds]
        limit = LIMIT if kind in KINDS[:2] else float("inf")
        lines.append(
            f"| {kind} | {rounds[0].rss / 1e6:.0f} MB | {rounds[0].samples} | "
            f"{_over(ours, 0, limit)} | {_p99(ours)} | {_over(ours, 1)} | "
            f"{_over([one.again for one in rounds])} | "
            f"{_over(stock)} | {_p99(stock)} | {_over(stock, 1)} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7, help="processes of each kind")
    parser.add_argument("--scrapes", type=int, default=60, help="of each process")
    parser.add_argument("--pause", type=float, default=0.1, help="seconds between two scrapes")
    parser.add_argument("--json", type=Path, help="write all figures here too")
    parser.add_argument("--one", choices=KINDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(asdict(measure(options.one, options.scrapes, options.pause))))
        return
    found: dict[str, list[Costs]] = {kind: [] for kind in KINDS}
    for kind in KINDS * options.rounds:
        command = [sys.executable, "-m", "benchmarks.scrape", "--one", kind]
        command += ["--scrapes", str(options.scrapes), "--pause", str(options.pause)]
        told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found[kind].append(Costs(**json.loads(told.stdout)))
    if options.json:
        every = [asdict(one) for rounds in found.values() for one in rounds]
        options.json.write_text(json.dumps(every, indent=1))
    print(markdown(found), end="")


if __name__ == "__main__":
    main()
