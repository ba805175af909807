"""Measures idle servers again and again by ``heaptide idle``, and samples them from outside.

    python -m benchmarks.idle [--sessions N] [--starts N] [--only NAME ...] [--json FILE]

The servers are an ASGI application under uvicorn, and under gunicorn with 4 workers. Two things are
to hold: what is reported differs by less than 1 % from what an independent sampling of smaps_rollup
finds meanwhile, and sessions agree with each other within their MADs.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.support.network import free_port
from tests.support.outside import FIGURES, asgi_servers, sample

from benchmarks import machine
from benchmarks.variants import HEAPTIDE

Say = Callable[[str], None]
CLOSE = 0.01  # a part of what is sampled from outside
_PROGRAMS = Path(__file__).parent.parent / "tests" / "programs"


@dataclass(frozen=True)
class Figure:
    """One figure of one session, in bytes. ``outside``: what was sampled meanwhile, if it was."""

    server: str
    session: int
    name: str
    median: float
    mad: float
    low: float
    high: float
    outside: float | None
    settled: bool

    @property
    def off(self) -> float | None:
        """How far the two are apart, as a part of what was sampled."""
        if self.outside is None:
            return None
        return abs(self.median - self.outside) / self.outside


def measure_idle(server: str, sessions: int, starts: int, say: Say) -> list[Figure]:
    """All figures of all sessions of a server."""
    found = []
    for session in range(1, sessions + 1):
        port = free_port()
        ready = ["--ready-http", f"http://127.0.0.1:{port}/"]
        options = ["--json", "--no-config", "--traced", "0", "--starts", str(starts), *ready]
        command = [*HEAPTIDE, "idle", *options, "--", *asgi_servers(port)[server]]
        text, sampling = sample(command, cwd=_PROGRAMS)
        new = json.loads(text)["new"]
        outside = sampling.of_session(new["starts"])
        for name in (*FIGURES, "alone"):
            one = new["figures"][name]
            figure = Figure(
                server,
                session,
                name,
                one["median"],
                one["mad"],
                one["min"],
                one["max"],
                outside.get(name),
                new["settled"],
            )
            found.append(figure)
            apart = "" if figure.off is None else f", {figure.off:.2%} from what is seen outside"
            say(
                f"{server}, session {session}, {name}: {figure.median / 1e6:.2f} MB, MAD "
                f"{figure.mad / 1e3:.0f} kB{apart}"
            )
    return found


@dataclass(frozen=True)
class Agreement:
    """Sessions of one figure of one server, in bytes. ``agree``: of all ``pairs`` of sessions, how
    many have medians that are no further apart than both MADs together."""

    server: str
    name: str
    median: float
    mad: float  # the median of the sessions'
    range: float  # of the sessions' medians
    off: float | None  # the most that one was off from outside
    agree: int
    pairs: int


def agreements(figures: Sequence[Figure]) -> list[Agreement]:
    """For each server and figure."""
    found = []
    for server, name in dict.fromkeys((one.server, one.name) for one in figures):
        own = [one for one in figures if (one.server, one.name) == (server, name)]
        medians = [one.median for one in own]
        pairs = list(itertools.combinations(own, 2))
        found.append(
            Agreement(
                server,
                name,
                statistics.median(medians),
                statistics.median(one.mad for one in own),
                max(medians) - min(medians),
                max((one.off for one in own if one.off is not None), default=None),
                sum(abs(a.median - b.median) <= a.mad + b.mad for a, b in pairs),
                len(pairs),
            )
        )
    return found


def markdown(figures: Sequence[Figure], sessions: int, starts: int) -> str:
    """Two tables: what sessions say of each other, and each session beside the sampling."""
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions().items())
    lines = [
        f"Machine: {machine.processor()}. {versions}. {sessions} sessions of {starts} starts.",
        "",
        "| server | figure | median | MAD | range of sessions | agree | off from outside |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for one in agreements(figures):
        off = "" if one.off is None else f"{one.off:.2%}"
        if one.off is not None and one.off >= CLOSE:
            off += " **missed**"
        lines.append(
            f"| {one.server} | {one.name.upper()} | {one.median / 1e6:.2f} MB | "
            f"{one.mad / 1e3:.0f} kB | {one.range / 1e3:.0f} kB | {one.agree} of {one.pairs} | "
            f"{off} |"
        )
    lines += ["", "| server | session | figure | reported | MAD | from outside | apart |"]
    lines += ["|---|---:|---|---:|---:|---:|---:|"]
    for figure in figures:
        if figure.outside is None or figure.off is None:
            continue
        lines.append(
            f"| {figure.server} | {figure.session} | {figure.name.upper()} | "
            f"{figure.median / 1e6:.3f} MB | {figure.mad / 1e3:.0f} kB | "
            f"{figure.outside / 1e6:.3f} MB | {figure.off:.2%} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    names = list(asgi_servers(0))
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sessions", type=int, default=5)
    parser.add_argument("--starts", type=int, default=5, help="of each session")
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--json", type=Path, help="write all figures here too")
    options = parser.parse_args()
    figures: list[Figure] = []
    for server in options.only:
        figures += measure_idle(
            server,
            options.sessions,
            options.starts,
            lambda line: print(line, file=sys.stderr, flush=True),
        )
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in figures], indent=1))
    print(markdown(figures, options.sessions, options.starts), end="")


if __name__ == "__main__":
    main()
