"""The memory of the processes below another one, sampled without anything of heaptide."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FIGURES = ("rss", "pss", "uss")
_OFTEN = 0.05  # seconds between samples


@dataclass
class Sampling:
    """``seen``: at each time (monotonic), RSS, PSS and USS in bytes of each process."""

    seen: list[tuple[float, dict[int, tuple[int, int, int]]]] = field(default_factory=list)

    def medians(self, pids: Sequence[int], first: float, last: float) -> dict[str, float]:
        """Of the sums over exactly these processes, between two moments that are given in seconds
        since the first of them was seen."""
        start = next(time for time, processes in self.seen if pids[0] in processes)
        sums = [
            [sum(processes[pid][column] for pid in pids) for column in range(3)]
            for time, processes in self.seen
            if set(processes) == set(pids) and first <= time - start <= last
        ]
        assert sums, f"no sample of {pids} between {first} s and {last} s"
        return {name: statistics.median(column) for name, column in zip(FIGURES, zip(*sums))}

    def of_session(self, starts: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """Medians over the starts of a document of ``heaptide idle``, of what was seen of the
        processes that it read, while it read them."""
        found = []
        for start in starts:
            readings = start["readings"]
            pids = [one["pid"] for one in readings[0]["processes"]]
            # The first of them is seen up to two samples late.
            first, last = readings[0]["time"] - 2 * _OFTEN, readings[-1]["time"] + 2 * _OFTEN
            found.append(self.medians(pids, first, last))
        return {name: statistics.median(one[name] for one in found) for name in FIGURES}


def sample(command: Sequence[str], **more: Any) -> tuple[str, Sampling]:
    """Runs a command, and samples all below it until it ends; what it printed. Raises
    CalledProcessError."""
    sampling = Sampling()
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(command, stdout=out, **more)
        ended = threading.Event()
        thread = threading.Thread(target=_watch, args=(process.pid, sampling, ended))
        thread.start()
        status = process.wait()
        ended.set()
        thread.join()
        if status:
            raise subprocess.CalledProcessError(status, list(command))
        out.seek(0)
        return out.read(), sampling


def _watch(top: int, sampling: Sampling, ended: threading.Event) -> None:
    while not ended.wait(_OFTEN):
        now = time.monotonic()
        found = {pid: _rollup(pid) for pid in _below(top)}
        sampling.seen.append((now, {pid: sizes for pid, sizes in found.items() if sizes}))


def _below(top: int) -> list[int]:
    """By the kernel's own lists of children."""
    found: list[int] = []
    waiting = [top]
    while waiting:
        try:
            lists = [
                (task / "children").read_text()
                for task in Path(f"/proc/{waiting.pop()}/task").iterdir()
            ]
        except OSError:
            continue
        waiting += [int(word) for one in lists for word in one.split()]
        found = sorted({*found, *waiting})
    return found


def _rollup(pid: int) -> tuple[int, int, int] | None:
    """None: the process has gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return None
    kilo = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    uss = kilo["Private_Clean"] + kilo["Private_Dirty"]
    return kilo["Rss"] * 1024, kilo["Pss"] * 1024, uss * 1024


def asgi_servers(port: int) -> dict[str, list[str]]:
    """uvicorn, and gunicorn with 4 workers, of tests/programs/asgi_app.py, which has to be in the
    working directory."""
    import importlib.util

    # Newer ones speak ASGI by themselves; and would write a socket into the home directory.
    own = importlib.util.find_spec("gunicorn.workers.gasgi") is not None
    workers = (
        ["-k", "asgi", "--no-control-socket"] if own else ["-k", "uvicorn.workers.UvicornWorker"]
    )
    address = f"127.0.0.1:{port}"
    return {
        "uvicorn": [sys.executable, "-m", "uvicorn", "--port", str(port), "asgi_app:app"],
        "gunicorn -w 4": [
            *(sys.executable, "-m", "gunicorn", "-w", "4"),
            *workers,
            *("-b", address, "asgi_app:app"),
        ],
    }
