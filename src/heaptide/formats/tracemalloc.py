"""Snapshots of tracemalloc (``Snapshot.dump``), which are pickles.

They are read by an unpickler that knows two classes and calls nothing; for a pickle can still ask
for much memory, it takes an option to have one read.
"""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from heaptide.profile import COLUMNS, LEAK_COLUMNS
from heaptide.recording import ContextKind, Language

from ._builder import Builder, Function

if TYPE_CHECKING:
    from ._source import Source

_KNOWN = ("alive_at_exit_bytes", "alive_at_exit_allocations")
_MOST_FILE = 512 << 20
_MOST = 1 << 62


class _Snapshot:
    """Stands for tracemalloc.Snapshot: its attributes, and none of its code."""


class _Traces:
    """Stands for tracemalloc._Traces."""


class _Restricted(pickle.Unpickler):
    _ALLOWED: ClassVar[dict[str, type]] = {"Snapshot": _Snapshot, "_Traces": _Traces}

    def find_class(self, module: str, name: str) -> Any:
        if module == "tracemalloc" and name in self._ALLOWED:
            return self._ALLOWED[name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no snapshot has")

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to something outside of it")


def read(source: Source) -> Builder:
    source.most = min(source.most, _MOST_FILE)
    try:
        snapshot = _Restricted(io.BytesIO(source.whole())).load()
    except Exception as error:  # pickles raise whatever they like
        raise source.wrong(f"it is no snapshot of tracemalloc ({error})") from None
    traces = getattr(getattr(snapshot, "traces", None), "_traces", None)
    if not isinstance(snapshot, _Snapshot) or not isinstance(traces, (list, tuple)):
        raise source.wrong("it is no snapshot of tracemalloc")
    builder = Builder(
        "tracemalloc",
        "a snapshot of tracemalloc",
        [
            *(name for name in (*COLUMNS, *LEAK_COLUMNS) if name not in _KNOWN),
            "sizes",
            "lifetimes",
            "threads",
            "time",
        ],
    )
    builder.end_reason = "snapshot"
    limit = getattr(snapshot, "traceback_limit", None)
    if isinstance(limit, int):
        builder.note(f"its stacks have the innermost {limit} frames, and Python's only")
    sizes: dict[int, int] = {}
    counts: dict[int, int] = {}
    for number, trace in enumerate(traces):
        context, size = _trace(source, builder, number, trace)
        sizes[context] = sizes.get(context, 0) + size
        counts[context] = counts.get(context, 0) + 1
    if sum(sizes.values()) >= _MOST:
        raise source.wrong("the sum of its figures is larger than any memory")
    contexts = np.fromiter(sizes, np.int64, len(sizes))
    live = np.array(list(sizes.values()), np.int64)
    blocks = np.array(list(counts.values()), np.int64)
    builder.totals(contexts, blocks=blocks, bytes=live, live_blocks=blocks, live_bytes=live)
    return builder


def _trace(source: Source, builder: Builder, number: int, trace: object) -> tuple[int, int]:
    """The context of a trace, and its size. Frames are innermost first, in all versions."""
    where = f"trace {number}"
    if not isinstance(trace, (list, tuple)) or not 3 <= len(trace) <= 4:
        raise source.malformed_at(where, "it has to be a domain, a size and a stack")
    size, stack = trace[1], trace[2]
    if type(size) is not int or not 0 <= size < _MOST or not isinstance(stack, (list, tuple)):
        raise source.malformed_at(where, "it has to be a domain, a size and a stack")
    frames = []
    for one in stack:
        if not (
            isinstance(one, (list, tuple))
            and len(one) == 2
            and isinstance(one[0], str)
            and type(one[1]) is int
            and 0 <= one[1] < 1 << 31
        ):
            raise source.malformed_at(where, "its stack has to be files with lines")
        # Names of functions are not kept: the line stands for one.
        function = Function(f"line {one[1]}", one[0], one[1], language=Language.PYTHON)
        frames.append(builder.frame((function,)))
    at = builder.stack(reversed(frames))
    return builder.context(at, kind=ContextKind.PY_OBJECT), size
