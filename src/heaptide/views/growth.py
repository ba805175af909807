"""What a recording's verdict on leaks is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heaptide.profile import LEAKED, unknown
from heaptide.profile.leaks import may_be_warm_up

from .verdicts import Growth

if TYPE_CHECKING:
    from heaptide.profile import Profile

_ROOM = 60  # letters of a function's name


def growth_of(profile: Profile) -> Growth | None:
    """None: the recording does not tell. Reads all slices: 0.3 s of a million rows, or so."""
    recording = profile.recording
    if LEAKED.column in unknown(recording):
        return None
    total = profile.total_of(LEAKED)
    if not total:
        return Growth(0, "", 0.0)
    early = may_be_warm_up(profile.covered)
    fold = profile.fold("line", LEAKED)
    at, row = profile.locations, int(fold.location[0])
    if row < 0:
        return Growth(total, "", 0.0, early)
    name = at.texts[at.function[row]]
    name = name if len(name) <= _ROOM else name[: _ROOM - 1] + "…"
    file = at.texts[at.file[row]].rpartition("/")[2]
    place = f"{name} ({file}:{int(at.line[row])})" if file and at.line[row] else name
    return Growth(total, place, int(fold.values[0]) / total, early)
