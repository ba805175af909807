"""Sessions that are made up: what was measured, for what is worked out and shown of it."""

from __future__ import annotations

from collections.abc import Sequence

from heaptide._procfs import Memory
from heaptide.idle import Measured, Plan, ProcessReading, Reading, Sample, Settled, Start, Version
from heaptide.idle._hooks import Answered
from heaptide.recorder import Target

MB = 1_000_000


def start(
    pss: Sequence[int],
    *,
    processes: int = 1,
    converged: bool = True,
    heap: int | None = None,
    hooks: Sequence[Answered] = (),
    untraced: str = "",
) -> Start:
    """A start with a reading for each of ``pss``, bytes of one process."""
    readings = [
        Reading(
            4 + number / 2,
            tuple(
                ProcessReading(
                    100 + child,
                    100 if child else 1,
                    "server",
                    ("/usr/bin/server", "--port", "80"),
                    Memory(rss=2 * size, pss=size, uss=size // 2, private_dirty=size // 4),
                )
                for child in range(processes)
            ),
            heap,
        )
        for number, size in enumerate(pss)
    ]
    settled = Settled(converged, 3.0, 0.0 if converged else None, 0 if converged else 7 * MB)
    first = pss[0] * processes
    series = [Sample(step / 4, min(step, 4) * first // 4, MB, processes) for step in range(24)]
    return Start(1.0, 4.0, (settled,), tuple(readings), tuple(series), tuple(hooks), untraced)


def version(*starts: Start, traced: Sequence[Start] = (), untraced: str = "") -> Version:
    target = Target("/usr/bin/server", ("/usr/bin/server", "--port", "80"), "server")
    return Version(target, starts, tuple(traced), untraced)


def measured(new: Version, base: Version | None = None, plan: Plan | None = None) -> Measured:
    return Measured(plan or Plan(), new, base)
