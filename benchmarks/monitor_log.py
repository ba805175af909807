"""What a record of ``heaptide.monitor.logs`` costs: ``python -m benchmarks.monitor_log``.

CPU time of the thread that makes it, in milliseconds: reading, wording, and the logger with a
handler that formats the record and writes it to /dev/null. The goal is 0.1 ms.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from heaptide.allocators import HeadroomReader
from heaptide.budgets import from_options
from heaptide.monitor import logs
from heaptide.monitor._brief import read_brief

COUNT = 5000
GOAL = 0.1  # milliseconds


def milliseconds(do: Callable[[], object], count: int = COUNT) -> tuple[float, float]:
    """Median, and what 95 % stay below."""
    do()
    times = []
    for _ in range(count):
        begun = time.thread_time_ns()
        do()
        times.append((time.thread_time_ns() - begun) / 1e6)
    times.sort()
    return times[count // 2], times[count * 95 // 100]


class _Null(logging.StreamHandler):  # type: ignore[type-arg]
    def __init__(self) -> None:
        super().__init__(open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (until the end)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))


def _limited(root: Path) -> HeadroomReader:
    """A container of version 2 with a limit, as files."""
    group = root / "sys" / "fs" / "cgroup"
    group.mkdir(parents=True)
    (root / "proc" / "self").mkdir(parents=True)
    (root / "proc" / "self" / "cgroup").write_text("0::/\n")
    (root / "proc" / "self" / "mountinfo").write_text(
        "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    )
    (group / "memory.max").write_text("536870912\n")
    (group / "memory.current").write_text("123456789\n")
    lines = "".join(f"name_{number} {number}\n" for number in range(40))
    (group / "memory.stat").write_text(f"anon 1\ninactive_file 2\n{lines}")
    return HeadroomReader(root)


def measure(root: Path) -> dict[str, tuple[float, float]]:
    logger = logging.Logger("benchmark", logging.INFO)
    logger.addHandler(_Null())
    budgets = from_options(["peak_rss=10GB", "idle_rss=10GB"])
    headroom = _limited(root)
    found = {
        "reading the process": milliseconds(read_brief),
        "reading what is left of a limit": milliseconds(headroom.read),
        "a record in words": milliseconds(logs.Log(logger=logger).record),
        "with budgets and a limit": milliseconds(
            logs.Log(logger=logger, budgets=budgets, headroom=headroom.read).record
        ),
        "the same as JSON": milliseconds(
            logs.Log(logger=logger, budgets=budgets, headroom=headroom.read, json=True).record
        ),
    }
    try:
        import structlog
    except ImportError:
        return found
    with open(os.devnull, "w", encoding="utf-8") as stream:
        bound = structlog.wrap_logger(
            structlog.PrintLogger(stream),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso"),
                structlog.processors.JSONRenderer(),
            ],
        )
        log = logs.Log(logger=bound, budgets=budgets, headroom=headroom.read)
        found["the same through structlog"] = milliseconds(log.record)
    return found


def main() -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as root:
        found = measure(Path(root))
    if "--json" in sys.argv:
        print(json.dumps(found))
        return
    print(f"{'ms of CPU':<34}{'median':>8}{'95 %':>8}")
    for name, (middle, most) in found.items():
        print(f"{name:<34}{middle:>8.3f}{most:>8.3f}{'' if middle <= GOAL else '  above 0.1'}")


if __name__ == "__main__":
    main()
