"""heaptide's own recordings: what was imported, kept as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heaptide.errors import UsageError

if TYPE_CHECKING:
    from ._export import Export


def write(export: Export) -> list[str]:
    """The recording as it is: a part of one is no recording of its own."""
    if not export.profile.whole or export.profile.processes is not None:
        raise UsageError("a .tide file is written of a whole recording: leave out what selects")
    with export.path.open("xb") as file:
        export.recording.save(file)
    return []
