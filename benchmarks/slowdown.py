"""Programs against their unprofiled runs, side by side."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.building import command_of
from benchmarks.measure import Beside, CommandFailedError, Ratio, fastest, ratios, run_once
from benchmarks.rows import Row
from benchmarks.variants import PLAIN, Variant

Say = Callable[[str], None]

_LEAST_STEADY = 3
"""With fewer steady runs than this all runs count."""


@dataclass(frozen=True)
class Slowdown:
    """One variant of one row; or the reason why there is none."""

    row: str
    variant: Variant
    base_seconds: float = 0.0
    ratios: dict[str, Ratio] | None = None
    fastest: float = 0.0
    unsteady: int = 0  # runs that were not counted
    recording_bytes: int = 0
    allocations: int = 0  # of the recording, heaptide only
    skipped: str = ""

    @property
    def bytes_per_allocation(self) -> float:
        return self.recording_bytes / self.allocations if self.allocations else 0.0

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"bytes_per_allocation": self.bytes_per_allocation}


def measure_row(row: Row, quick: bool, rounds: int, directory: Path, say: Say) -> list[Slowdown]:
    """All variants of a row. Peers take part in the first quarter of the rounds: they are slow, and
    their figures are far from any bound. Our own runs go on until as many as there are rounds were
    steady, but no longer than twice as long."""
    program = command_of(row.program, directory)
    if program is None:
        reason = f"no compiler for {row.program}"
        return [Slowdown(row.title, variant, skipped=reason) for variant in row.variants]
    skipped = {variant: variant.missing() for variant in row.variants}
    runs: dict[Variant, list[Beside]] = {variant: [] for variant in row.variants}
    outputs = {v: directory / f"recording-{i}" for i, v in enumerate(row.variants)}

    def fail(variant: Variant, error: CommandFailedError) -> None:
        skipped[variant] = f"failed: {str(error).strip().splitlines()[-1]}"
        say(str(error))

    measured = [*program, *(row.quick if quick else row.arguments)]
    plain = PLAIN.command(measured, directory)
    run_once(plain)  # warms the disk's cache
    before = run_once(plain)
    for number in range(rounds * 2):
        for variant in row.variants:
            enough = sum(one.is_steady for one in runs[variant]) >= rounds
            late = number >= max(1, (rounds + 3) // 4)
            if skipped[variant] or enough or (late and not variant.own):
                continue
            try:
                run = run_once(variant.command(measured, outputs[variant]))
                after = run_once(plain)
            except CommandFailedError as error:
                fail(variant, error)
                continue
            one = Beside(run, before, after)
            runs[variant].append(one)
            before = after
            say(
                f"{row.title}, {variant.name}: {one.before.inner_wall:.3f} and "
                f"{one.after.inner_wall:.3f} s plain, {one.ratio('inner_wall'):.2f}x"
            )
    for variant in row.variants:
        if not (variant.own and runs[variant]) or quick or row.long == row.arguments:
            continue
        try:
            run_once(variant.command([*program, *row.long], outputs[variant]))
        except CommandFailedError as error:
            fail(variant, error)
            runs[variant] = []
    return [
        _slowdown(row, variant, runs[variant], outputs[variant], skipped[variant])
        for variant in row.variants
    ]


def _slowdown(
    row: Row, variant: Variant, runs: list[Beside], output: Path, skipped: str
) -> Slowdown:
    if not runs:
        return Slowdown(row.title, variant, skipped=skipped or "no run came to its end")
    steady = [one for one in runs if one.is_steady]
    counted = steady if len(steady) >= min(_LEAST_STEADY, len(runs)) else runs
    return Slowdown(
        row.title,
        variant,
        base_seconds=statistics.median(one.before.inner_wall for one in counted),
        ratios=ratios(counted),
        fastest=fastest(runs),
        unsteady=len(runs) - len(counted),
        recording_bytes=sum(f.stat().st_size for f in output.parent.glob(output.name + "*")),
        allocations=_allocations(output) if variant.own else 0,
    )


def _allocations(recording: Path) -> int:
    from heaptide.recording import Recording

    with Recording.open(recording) as opened:
        return int(opened.summary.allocations + opened.summary.reallocations)
