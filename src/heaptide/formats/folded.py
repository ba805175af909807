"""Folded stacks, as flame graph scripts take them: ``outermost;…;innermost value`` a line.

They carry one figure, and do not say which.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from heaptide.profile import COLUMNS, LEAK_COLUMNS, stack_tree
from heaptide.profile.trees import metric_figures

from ._builder import Builder, Function
from ._names import language_of, one_line

Ints = npt.NDArray[np.int64]

if TYPE_CHECKING:
    from ._export import Export
    from ._source import Source

LACKS: Final = (
    *(name for name in (*COLUMNS, *LEAK_COLUMNS) if name != "total_bytes"),
    "sizes",
    "lifetimes",
    "threads",
    "time",
)
_MOST_DEPTH = 100_000
_MOST_VALUE = 1 << 62


def read(source: Source) -> Builder:
    builder = Builder("folded", "a file of folded stacks", LACKS)
    builder.note(
        "folded stacks do not say what they count: it is shown as bytes allocated in total"
    )
    values: dict[int, int] = {}
    frames: dict[bytes, int] = {}
    lines = twice = 0
    for line in source.lines():
        if not line.strip():
            continue
        path, _, number = line.strip().rpartition(b" ")
        try:
            value = round(float(number)) if b"." in number else int(number)
        except (ValueError, OverflowError):
            raise source.malformed(f"{_shown(number)} is no number") from None
        if not path:
            raise source.malformed("it has no stack before its number")
        if not 0 <= value < _MOST_VALUE:
            raise source.malformed(f"{value} is no figure of a profile")
        words = path.split(b";")
        twice += words[-1].rpartition(b" ")[2].isdigit() and b" " in words[-1]
        lines += 1
        if len(words) > _MOST_DEPTH:
            raise source.malformed(f"it has more than {_MOST_DEPTH:,} frames")
        at = -1
        for word in words:
            frame = frames.get(word)
            if frame is None:
                name = word.decode("utf-8", "backslashreplace") or "?"
                function = Function(name, language=language_of(name, ""))
                frame = frames[word] = builder.frame((function,))
            at = builder.node(at, frame)
        context = builder.context(at)
        values[context] = values.get(context, 0) + value
    if twice == lines:
        raise source.wrong("it is a difference, of two numbers a line: convert the two of them")
    contexts = np.fromiter(values, np.int64, len(values))
    amounts = np.array(list(values.values()), np.int64)
    if sum(values.values()) >= _MOST_VALUE:
        raise source.wrong("the sum of its figures is larger than any memory")
    zero = np.zeros(len(contexts), np.int64)
    builder.totals(contexts, blocks=zero, bytes=amounts, live_blocks=zero, live_bytes=zero)
    return builder


def _shown(text: bytes) -> str:
    return repr(text[:40].decode("utf-8", "backslashreplace"))


def write(export: Export) -> list[str]:
    profile, metric = export.profile, export.metric
    tree = stack_tree(profile, "function", figures=metric_figures(profile, metric)[:, :1])
    names = _names(export, tree.location)
    path: list[str] = []  # names from the outermost to the node's; nodes come depth first
    own, depth, location = tree.own[:, 0].tolist(), tree.depth.tolist(), tree.location.tolist()
    with export.path.open("x", encoding="utf-8", errors="backslashreplace") as file:
        if own[0]:
            file.write(f"[unknown] {own[0]}\n")
        for node in range(1, len(tree)):
            del path[depth[node] - 1 :]
            path.append(names[location[node]])
            if own[node]:
                file.write(f"{';'.join(path)} {own[node]}\n")
    return [f"folded stacks carry one figure: what is {profile.worded(metric).words}"]


def _names(export: Export, locations: Ints) -> dict[int, str]:
    """Names in which nothing ends a frame or a line."""
    return {
        row: one_line(export.function(row).name).replace(";", ":") or "?"
        for row in np.unique(locations[locations >= 0]).tolist()
    }
