"""Pages of differences, where an edit has moved lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tests.recording.make import SECOND, Builder, Change

from heaptide.profile import Profile
from heaptide.recording import Recording
from heaptide.views.page.gather import tables_of
from heaptide.views.page.merge import moved_places, with_base
from heaptide.views.page.order import compact
from heaptide.views.page.tables import FIGURES


def recorded(path: Path, shift: int) -> Recording:
    """Three lines of one function, called from another above them; ``shift`` lines were put in
    between the two."""
    build = Builder()
    build.process(end=SECOND)
    build.thread()
    changes = {}
    caller = build.python("main", "/app/a.py", 3)
    for number, line in enumerate((20, 21, 22)):
        frame = build.python("work", "/app/a.py", line + shift)
        callee = build.python(f"leaf{number}", "/app/b.py", 5)
        context = build.context(stack=build.stack(caller, frame, callee))
        changes[context] = Change(1, 100 * (number + 1))
    build.slice(0, SECOND, changes)
    build.finish(SECOND)
    return Recording.open(build.write(path))


def test_lines_that_moved_are_the_same_on_the_page(tmp_path: Path) -> None:
    with recorded(tmp_path / "a.tide", 0) as old, recorded(tmp_path / "b.tide", 7) as new:
        profiles = Profile(old), Profile(new)
        moved = moved_places(*profiles)
        assert moved == {("work", "/app/a.py", line): line + 7 for line in (20, 21, 22)}
        sides = [tables_of(profile, bins=1, samples=1000)[0] for profile in profiles]
        for known, nodes in ((moved, 7), (None, 13)):
            tables = compact(with_base(sides[1], sides[0], known))
            assert len(tables.parent) == nodes
        grown = np.zeros(7, np.int64)
        tables = compact(with_base(sides[1], sides[0], moved))
        column = FIGURES.index("total_bytes")
        np.add.at(grown, tables.node, tables.new.figures[:, column].astype(np.int64))
        assert grown.sum() == 600
        assert tables.base is not None
        np.add.at(grown, tables.node, -tables.base.figures[:, column].astype(np.int64))
        assert not grown.any()
