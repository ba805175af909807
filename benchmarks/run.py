"""Measures what recording costs and writes docs/performance.md.

    python -m benchmarks.run [--quick] [--only PART ...] [--json FILE] [--page FILE]

Run it in an environment that heaptide is installed in; with memray there too, and with heaptrack on
the machine, they are measured in the same run.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks import machine
from benchmarks.memory import measure_memory
from benchmarks.micro import measure_pairs
from benchmarks.page import measure_page
from benchmarks.reading import measure_reading
from benchmarks.report import Results, markdown
from benchmarks.reports import measure_reports
from benchmarks.rows import ROWS
from benchmarks.slowdown import measure_row
from heaptide.recorder.collector import environment_of_collector

PARTS = ("programs", "pairs", "collector", "memory", "reading", "reports", "page")
_PAGE = Path(__file__).parent.parent / "docs" / "performance.md"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def measure(options: argparse.Namespace, directory: Path) -> Results:
    """Everything that was asked for."""
    rounds = options.rounds or (2 if options.quick else 12)
    results = Results(
        machine.processor(), machine.memory_bytes(), machine.versions(), options.quick, rounds
    )
    if "programs" in options.only:
        for row in ROWS:
            if re.search(options.match, row.title):
                handover = machine.handover_ns(directory)
                results.handovers += [] if handover is None else [handover]
                results.slowdowns += measure_row(row, options.quick, rounds, directory, _say)
        for one in results.slowdowns:
            if one.skipped:
                results.skipped.append(f"{one.row}, {one.variant.name}: {one.skipped}")
    if "pairs" in options.only:
        results.pairs = measure_pairs(directory, options.quick, rounds, _say)
    if "collector" in options.only:
        results.collector = _collector(options.collector_bench, results.skipped)
    if "memory" in options.only:
        results.memories = measure_memory(directory, options.quick, rounds, _say)
    if "reading" in options.only:
        results.reading = measure_reading(directory, options.quick, rounds, _say)
    if "reports" in options.only:
        results.reports = measure_reports(
            directory, options.quick, min(rounds, 3), _say, results.skipped
        )
    if "page" in options.only:
        results.page = measure_page(directory, options.quick, min(rounds, 5), _say, results.skipped)
    results.skipped = sorted(set(results.skipped))
    return results


def _collector(bench: Path | None, skipped: list[str]) -> list[tuple[str, float]]:
    """What the collector's own benchmark prints: lines `N live  N stacks  N M events/s`."""
    if bench is None:
        skipped.append("the collector alone: --collector-bench was not given")
        return []
    done = subprocess.run(
        [str(bench)], env=environment_of_collector(), capture_output=True, text=True, check=True
    )
    _say(done.stdout)
    line = re.compile(r"^\s*(\d+) live\s+(\d+) stacks\s+([\d.]+) M events/s", re.MULTILINE)
    found = line.findall(done.stdout)
    if not found:
        raise SystemExit(f"{bench}: nothing to read in what it printed:\n{done.stdout}")
    return [
        (f"{int(live):,} live blocks, {int(stacks):,} stacks", float(rate) * 1e6)
        for live, stacks, rate in found
    ]


def _as_json(results: Results) -> str:
    plain = asdict(results)
    plain["slowdowns"] = [one.as_json() for one in results.slowdowns]
    return json.dumps(plain, indent=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="short programs, two rounds")
    parser.add_argument("--rounds", type=int, help="default: 12, quick 2")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--match", default="", help="only programs whose title matches")
    parser.add_argument("--collector-bench", type=Path, help="the built collector_bench")
    parser.add_argument("--json", type=Path, help="write all figures here too")
    parser.add_argument("--page", type=Path, default=_PAGE, help=f"default: {_PAGE.name}")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="heaptide-benchmarks-") as directory:
        results = measure(options, Path(directory))
    if options.json:
        options.json.write_text(_as_json(results))
    options.page.write_text(markdown(results))
    _say(f"written: {options.page}")


if __name__ == "__main__":
    main()
