"""What was allocated in a range of time and is alive at its end: the recorder counts what lives by
its birth, at some moments (docs/format.md, ``births``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from heaptide.errors import UsageError

from .figures import alive_contexts
from .leaks import STILL_ALIVE, WARM_UP

if TYPE_CHECKING:
    from heaptide.recording import Recording

    from .profile import Profile

Ints = npt.NDArray[np.int64]

_SHORT = 1_000_000_000  # ns: the first count may come as late as the first checkpoint


class KeptSpan(NamedTuple):
    """The moments nearest to a range of time, in ns: births in cells ``first`` to ``last``."""

    start: int
    end: int
    first: int
    last: int


def kept_span(profile: Profile) -> KeptSpan | None:
    """The span nearest to the selection's range; None: the ages of blocks were not recorded.

    Without a range it is what comes after warm-up, up to where programs begin to free everything
    at their exit.
    """
    recording, chosen = profile.recording, profile.selection
    moments = recording.births.times
    if not len(moments):
        return None
    length = recording.summary.duration_ns
    start = WARM_UP * length if chosen.start is None else chosen.start * 1e9
    end = STILL_ALIVE * length if chosen.end is None else chosen.end * 1e9
    if chosen.start is None and chosen.end is not None:
        start = 0.0
    last = _nearest(moments, end)
    starts = np.append(0, moments[:last])
    first = _nearest(starts, start)
    return KeptSpan(int(starts[first]), int(moments[last]), first, last)


def _nearest(times: Ints, wanted: float) -> int:
    """The nearest, of two the later one."""
    distance = np.abs(times.astype(np.float64) - wanted)
    return int(len(times) - 1 - np.argmin(distance[::-1]))


def _why_unknown(recording: Recording) -> str:
    if not recording.source and not recording.totals.blocks_in.any():
        return f"nothing came and stayed in {recording.path}: no allocation was recorded"
    text = f"what came in a time and stayed is not known of {recording.path}: "
    if not recording.source and recording.summary.duration_ns < _SHORT:
        return text + "it ended before the ages of blocks were counted; see --metric alive"
    text += "the ages of blocks were not recorded"
    return text + "; see --metric alive and --metric leaked, or record it again"


def kept(profile: Profile) -> Ints:
    """Bytes and blocks of each context: shape (contexts, 2).

    Raises UsageError, saying why, for a recording that does not know the ages of blocks.
    """
    recording = profile.recording
    span = kept_span(profile)
    if span is None:
        raise UsageError(_why_unknown(recording))
    found = recording.births.survivors(len(recording.contexts), span.first, span.last)
    stop = int(np.searchsorted(recording.slices.end, span.end, side="right"))
    counted = recording.contexts.counted & alive_contexts(recording, stop)
    if profile.processes is not None:
        counted = counted & np.isin(recording.contexts.process, profile.processes)
    if profile.chosen is not None:
        counted = counted & profile.chosen
    return np.stack([found.bytes, found.blocks], axis=1) * counted[:, np.newaxis]
