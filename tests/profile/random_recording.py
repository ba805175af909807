"""Recordings of any shape, from a seed: for properties that all of them have."""

from __future__ import annotations

import random
from pathlib import Path

from tests.recording.make import SECOND, Builder, Change

from heaptide.recording import ContextKind, Language, Recording, SpecialFrame

_FILES = (
    "/home/u/app/main.py",
    "/home/u/app/api/views.py",
    "/usr/lib/python3.11/json/decoder.py",
    "/v/lib/python3.11/site-packages/flask/app.py",
    "<frozen importlib._bootstrap>",
    "<string>",
)
_SOURCES = ("", "/src/engine.cpp", "/usr/include/c++/12/bits/new.h", "/rustc/1/library/core/a.rs")
_NATIVE = ("engine::grow(int)", "std::vector<int>::push_back(int)", "operator new(unsigned long)")
_MODULES = ("/home/u/app/engine", "/usr/lib/libc.so.6", "/usr/bin/python3.11")


def random_recording(seed: int, path: Path) -> Recording:
    """Writes a recording and opens it. Its figures add up: what is freed was allocated before."""
    rng = random.Random(seed)
    build = Builder()
    processes = [
        build.process(100 + i // 2, _MODULES[2], image=i % 2) for i in range(rng.randint(1, 3))
    ]
    threads = [
        build.thread(process, 1000 + process * 10 + i) for process in processes for i in range(2)
    ]
    modules = [build.module(processes[0], name) for name in _MODULES]
    frames = [
        build.python(f"f{rng.randint(0, 5)}", rng.choice(_FILES), rng.randint(1, 9))
        for _ in range(rng.randint(1, 12))
    ]
    for offset in range(rng.randint(0, 12)):
        frame = build.native(rng.choice([*modules, None]), offset * 16)
        frames.append(frame)
        for _ in range(rng.randint(0, 3)):  # inlined functions; 0: not resolved
            language = rng.choice([Language.CPP, Language.RUST, Language.UNKNOWN])
            build.symbol(
                frame, rng.choice(_NATIVE), rng.choice(_SOURCES), rng.randint(0, 9), language
            )
    special = build.special(rng.choice(list(SpecialFrame)))
    contexts = []
    counted = set()
    for _ in range(rng.randint(0, 25)):
        walked = [rng.choice(frames) for _ in range(rng.randint(0, 8))]
        outer = [special] if not walked or rng.random() < 0.2 else []
        stack = build.stack(*outer, *walked)
        thread = rng.choice(threads)
        kind = rng.choice([*ContextKind, ContextKind.MALLOC, ContextKind.PY_OBJECT])
        contexts.append(build.context(thread // 2, stack, kind, thread))
        if kind != ContextKind.ARENA:  # what is under these is counted instead
            counted.add(contexts[-1])
    contexts = sorted(set(contexts))
    live = dict.fromkeys(contexts, (0, 0))
    best: dict[int, tuple[int, int]] = {}
    for number in range(rng.randint(0, 4)):
        changes = {}
        for context in rng.sample(contexts, rng.randint(0, len(contexts))):
            blocks, size = live[context]
            came = rng.randint(0, 50)
            bytes_in = sum(rng.randint(1, 2000) for _ in range(came))
            went = rng.randint(0, blocks)
            bytes_out = size if went == blocks else size * went // blocks
            grown = rng.randint(0, min(came, went))
            short = rng.randint(0, went)
            changes[context] = Change(
                came, bytes_in, went, bytes_out, grown, grown * 7, rng.randint(0, short), short
            )
            live[context] = (blocks + came - went, size + bytes_in - bytes_out)
        build.slice(number * SECOND, (number + 1) * SECOND, changes)
        if _size(live, counted) > _size(best, counted):
            best = dict(live)
    if rng.random() < 0.8:
        build.peak(best)
    build.finish(4 * SECOND)
    return Recording.open(build.write(path))


def _size(held: dict[int, tuple[int, int]], counted: set[int]) -> int:
    return sum(size for context, (_, size) in held.items() if context in counted)
