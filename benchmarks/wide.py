"""A recording with as many different stacks as are wanted, written without recording anything."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heaptide.recording import ContextKind, FrameKind, Kind, Language, Writer

Ints = npt.NDArray[np.int64]

_FUNCTIONS = 20_000
_SLICES = 60
_SECOND = 10**9


def write_wide(path: Path, nodes: int, seed: int = 1) -> None:
    """Writes a recording whose stacks form a tree of ``nodes`` frames.

    As in large programs: each frame is called from a few others, depths are around 25, a few stacks
    hold most of the memory and most hold little.
    """
    rng = np.random.default_rng(seed)
    parent, frame = _tree(rng, nodes)
    leaves = np.flatnonzero(np.bincount(parent[parent >= 0], minlength=nodes) == 0)
    contexts = np.sort(np.concatenate([leaves, rng.choice(nodes, nodes // 10, replace=False)]))
    contexts = np.unique(contexts)
    with Writer(path, level=3, finished=True, compacted=True) as writer:
        _definitions(writer, parent, frame, contexts)
        _figures(writer, rng, len(contexts))


def _tree(rng: np.random.Generator, nodes: int) -> tuple[Ints, Ints]:
    """Parents (smaller than their children; -1: outermost) and functions of the nodes."""
    # Mostly a child of a recent node: paths grow long before they branch.
    back = rng.geometric(0.35, nodes)
    far = rng.random(nodes) < 0.25
    back[far] = (rng.random(nodes)[far] * np.arange(nodes)[far]).astype(np.int64) + 1
    parent = np.maximum(np.arange(nodes) - back, -1)
    parent[1:] = np.maximum(parent[1:], 0)
    depth = np.zeros(nodes, np.int64)
    for node in range(1, nodes):  # a second: the file is made once
        depth[node] = depth[parent[node]] + 1
        if depth[node] > 60:
            parent[node] = 0
            depth[node] = 1
    # What a function calls is near to it, so that callees repeat.
    frame = (depth * 331 + rng.zipf(1.3, nodes) % 300) % _FUNCTIONS
    return parent, frame


def _definitions(writer: Writer, parent: Ints, frame: Ints, contexts: Ints) -> None:
    functions = [f"handle_{i % 997}_request_part_{i}" for i in range(_FUNCTIONS)]
    files = [f"/srv/app/package_{i % 40}/module_{i}.py" for i in range(800)]
    texts = [b"", b"app", b"MainThread"] + [t.encode() for t in (*functions, *files)]
    meta = {
        "writer": "heaptide-benchmarks 1",
        "start_time": 1_700_000_000.0,
        "command": ["app"],
        "config": {"python_objects": True, "native": "auto", "sample_interval": 0},
    }
    number = np.arange(_FUNCTIONS)
    writer.chunk(Kind.META, {"json_bytes": json.dumps(meta).encode()})
    writer.chunk(
        Kind.STRINGS,
        {"s_len": np.array([len(text) for text in texts]), "s_bytes": b"".join(texts)},
    )
    one = np.ones(1, np.int64)
    writer.chunk(Kind.PROCESSES, {"pid": one, "exe": one, "command": one})
    writer.chunk(Kind.THREADS, {"process": one * 0, "tid": one, "name": one * 2})
    writer.chunk(
        Kind.FRAMES,
        {"kind": np.full(_FUNCTIONS, FrameKind.NATIVE), "ref": number * 0, "offset": number},
    )
    writer.chunk(Kind.STACKS, {"parent": parent + 1, "frame": frame})
    writer.chunk(
        Kind.CONTEXTS,
        {
            "process": contexts * 0,
            "thread": contexts * 0,
            "stack": contexts,
            "kind": np.full(len(contexts), ContextKind.PY_OBJECT),
        },
    )
    writer.chunk(
        Kind.SYMBOLS,
        {
            "frame": number,
            "function": number + 3,
            "file": 3 + _FUNCTIONS + number % len(files),
            "line": number % 700 + 1,
            "language": np.full(_FUNCTIONS, Language.PYTHON),
        },
    )


def _figures(writer: Writer, rng: np.random.Generator, contexts: int) -> None:
    live = np.zeros((2, contexts), np.int64)
    time = []
    for index in range(_SLICES):
        changed = np.sort(rng.choice(contexts, contexts // 40, replace=False))
        came = rng.zipf(1.6, len(changed)).clip(1, 10_000)
        size = came * rng.integers(16, 600, len(changed))
        went = (live[0, changed] * rng.random(len(changed)) * 0.5).astype(np.int64)
        freed = (live[1, changed] * went // np.maximum(live[0, changed], 1)).astype(np.int64)
        live[0, changed] += came - went
        live[1, changed] += size - freed
        bounds = {"start": index * _SECOND, "end": (index + 1) * _SECOND, "slice": index}
        writer.chunk(
            Kind.DELTAS,
            {
                **{name: np.array([value]) for name, value in bounds.items()},
                "context": changed,
                "blocks_in": came,
                "bytes_in": size,
                "blocks_out": went,
                "bytes_out": freed,
            },
        )
        time.append((index + 1) * _SECOND)
    writer.chunk(
        Kind.PEAK,
        {
            "process": np.zeros(contexts, np.int64),
            "context": np.arange(contexts),
            "blocks": live[0],
            "bytes": live[1],
        },
    )
    writer.chunk(Kind.END, {"reason": np.zeros(1, np.int64), "time": np.array(time[-1:])})
