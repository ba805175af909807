"""Programs against their unprofiled runs, paired and interleaved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.building import command_of
from benchmarks.measure import CommandFailedError, Ratio, Run, ratios, run_once
from benchmarks.rows import Row
from benchmarks.variants import PLAIN, Variant

Say = Callable[[str], None]


@dataclass(frozen=True)
class Slowdown:
    """One variant of one row; or the reason why there is none."""

    row: str
    variant: Variant
    base_seconds: float = 0.0
    ratios: dict[str, Ratio] | None = None
    recording_bytes: int = 0
    allocations: int = 0  # of the recording, heaptide only
    skipped: str = ""

    @property
    def bytes_per_allocation(self) -> float:
        return self.recording_bytes / self.allocations if self.allocations else 0.0

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"bytes_per_allocation": self.bytes_per_allocation}


def measure_row(row: Row, quick: bool, rounds: int, directory: Path, say: Say) -> list[Slowdown]:
    """All variants of a row. Peers take part in the first half of the rounds: they are slow, and
    their figures are far from any bound."""
    program = command_of(row.program, directory)
    if program is None:
        reason = f"no compiler for {row.program}"
        return [Slowdown(row.title, variant, skipped=reason) for variant in row.variants]
    program += row.quick if quick else row.arguments
    skipped = {variant: variant.missing() for variant in row.variants}
    pairs: dict[Variant, list[tuple[Run, Run]]] = {variant: [] for variant in row.variants}
    outputs = {v: directory / f"recording-{i}" for i, v in enumerate(row.variants)}
    run_once(PLAIN.command(program, directory))  # warms the disk's cache
    for number in range(rounds):
        for variant in row.variants:
            late = number >= max(1, (rounds + 1) // 2)
            if skipped[variant] or (late and not variant.own):
                continue
            try:
                # Each variant beside a plain run of its own: what the machine does to others
                # changes within seconds.
                base = run_once(PLAIN.command(program, directory))
                run = run_once(variant.command(program, outputs[variant]))
            except CommandFailedError as error:
                skipped[variant] = f"failed: {str(error).strip().splitlines()[-1]}"
                say(str(error))
                continue
            pairs[variant].append((base, run))
            say(
                f"{row.title}, {variant.name}: {base.inner_wall:.3f} s plain, "
                f"{run.inner_wall / base.inner_wall:.2f}x"
            )
    return [
        _slowdown(row, variant, pairs[variant], outputs[variant], skipped[variant])
        for variant in row.variants
    ]


def _slowdown(
    row: Row, variant: Variant, pairs: list[tuple[Run, Run]], output: Path, skipped: str
) -> Slowdown:
    if not pairs:
        return Slowdown(row.title, variant, skipped=skipped or "no run came to its end")
    return Slowdown(
        row.title,
        variant,
        base_seconds=sorted(base.inner_wall for base, _ in pairs)[len(pairs) // 2],
        ratios=ratios(pairs),
        recording_bytes=sum(f.stat().st_size for f in output.parent.glob(output.name + "*")),
        allocations=_allocations(output) if variant.own else 0,
    )


def _allocations(recording: Path) -> int:
    from heaptide.recording import Recording

    with Recording.open(recording) as opened:
        return int(opened.summary.allocations + opened.summary.reallocations)
