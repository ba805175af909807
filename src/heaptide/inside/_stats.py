"""``heaptide.stats``: what this process has done since its recording began."""

from __future__ import annotations

from dataclasses import dataclass

from heaptide.errors import UsageError
from heaptide.inside._agent import State, agent


@dataclass(frozen=True)
class HeapStats:
    """Of this process, exact as of the call. Bytes and counts, since its recording began."""

    allocations: int  # calls to allocation functions, reallocations among them
    reallocs: int
    frees: int
    total_bytes: int  # allocated in total
    live_bytes: int
    live_blocks: int
    peak_bytes: int


def stats() -> HeapStats:
    """What this process has allocated and holds, while it is recorded: by ``heaptide run``, by
    ``heaptide.record``, or in a block that ``heaptide.measure`` measures. About 0.1 ms.

    Raises UsageError where it is not.
    """
    library = agent()
    number = library.read() if library.state in (State.RECORDED, State.RECORDS_ITSELF) else -1
    if number < 0:
        raise UsageError(
            "this process is not recorded: start it with heaptide run, or call this within "
            "heaptide.record or heaptide.measure"
        )
    found = library.snapshot(number)
    of = found.process
    return HeapStats(
        allocations=of.allocations + of.reallocations,
        reallocs=of.reallocations,
        frees=of.deallocations,
        total_bytes=of.bytes,
        live_bytes=of.live_bytes,
        live_blocks=of.live_blocks,
        peak_bytes=max(found.peak_bytes, of.live_bytes),
    )
