#!/usr/bin/env python3
"""Records python_cases.py under real interpreters and compares stacks with what they say.

    check_python.py [--embedder EMBEDDER] [--kept-chunk KEPT_CHUNK] RUNNER LIBRARY PYTHON...

RUNNER, EMBEDDER and KEPT_CHUNK are the built test_python.c, embed_python.c and kept_chunk.c.
Checked for every announced allocation: that it was recorded once, in the right domain, with
exactly the frames, files and lines that the interpreter reported; in another run with native
stacks, that as many Python frames are marked as entered from C as there are evaluation loops on
the native stack.
"""

from __future__ import annotations

import argparse
import bisect
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

CASES = [
    "simple", "generators", "coroutines", "executed", "specialised", "callbacks", "watched",
    "threads", "signals", "names", "reallocations", "forks", "at_random", "traced",
    "subinterpreters", "deep", "recursion",
]  # fmt: skip
OBJECTS, NATIVE_ALL, FOLLOW = 1, 4, 8
PYTHON, ENTRY = 1, 2
ROOT_PYTHON, ROOT_NATIVE = 1, 2
MALLOC, RAW, MEM, OBJECT, ARENA = 0, 2, 3, 4, 7


class Code(NamedTuple):
    first_line: int
    version: int
    file: str
    name: str
    table: bytes


class Alloc(NamedTuple):
    process: int
    kind: int
    size: int
    python: int
    native: int


class Process(NamedTuple):
    parent: int
    nodes: int
    codes: int
    version: int
    status: int


def lines_of(code: Code) -> Iterator[tuple[int, int, int | None]]:
    """(start, end, line) in bytes of bytecode, from the raw table of any version."""
    table, line, at = code.table, code.first_line, 0
    if code.version < 0x30A0000:  # pairs: bytes since the last entry, lines since then
        for i in range(0, len(table), 2):
            step, lines = table[i], table[i + 1]
            if step:
                yield at, at + step, line
            at += step
            line += lines - 256 if lines >= 128 else lines
        yield at, 1 << 40, line
    elif code.version < 0x30B0000:  # pairs: length, lines since the last range; -128: no line
        for i in range(0, len(table), 2):
            step, lines = table[i], table[i + 1]
            if lines == 128:
                yield at, at + step, None
            else:
                line += lines - 256 if lines >= 128 else lines
                yield at, at + step, line
            at += step
    else:
        i = 0
        while i < len(table):
            kind, units = table[i] >> 3 & 15, (table[i] & 7) + 1
            i += 1
            entry = i
            while i < len(table) and not table[i] & 128:
                i += 1
            here: int | None = line
            if kind == 15:
                here = None
            elif kind in (13, 14):
                value, shift = 0, 0
                for byte in table[entry:i]:
                    value |= (byte & 63) << shift
                    shift += 6
                    if not byte & 64:
                        break
                line += -(value >> 1) if value & 1 else value >> 1
                here = line
            elif kind >= 10:
                line += kind - 10
                here = line
            yield at, at + units * 2, here
            at += units * 2


class Recording:
    """What the runner printed."""

    def __init__(self, text: str) -> None:
        self.nodes: dict[int, dict[int, tuple[int, int, int]]] = defaultdict(dict)
        self.codes: dict[int, dict[int, Code]] = defaultdict(dict)
        self.ranges: list[tuple[int, int]] = []
        self.allocs: list[Alloc] = []
        self.processes: dict[int, Process] = {}
        self.counts: dict[tuple[int, int], tuple[int, int, int]] = {}
        self.reallocs = 0
        self.notes: list[str] = []
        self.broken: list[str] = []
        self.exit: int | None = None
        self._lines: dict[Code, list[tuple[int, int, int | None]]] = {}
        for row in text.splitlines():
            self._read(row.split(" "))

    def _read(self, row: list[str]) -> None:
        word = row[0]
        if word == "node":
            process, node, aux, value, parent = map(int, row[1:])
            if node in self.nodes[process]:
                self.broken.append(f"node {node} twice")
            self.nodes[process][node] = (parent, aux, value)
        elif word == "code":
            process, code, line, version = map(int, row[1:5])
            file, name, table = (bytes.fromhex(x[1:]) for x in row[5:8])
            self.codes[process][code] = Code(line, version, file.decode(), name.decode(), table)
        elif word in ("alloc", "end"):
            process, kind, size, python, native = map(int, row[1:6])
            self.allocs.append(Alloc(process, kind, size, python, native))
            self.reallocs += word == "end"
        elif word == "range":
            self.ranges.append((int(row[2]), int(row[3])))
        elif word == "process":
            slot, *rest = map(int, row[1:])
            self.processes[slot] = Process(*rest)
        elif word == "count":
            process, kind, events, size, bare = map(int, row[1:])
            self.counts[process, kind] = (events, size, bare)
        elif word == "note":
            self.notes.append(bytes.fromhex(row[2][1:]).decode())
        elif word == "broken":
            self.broken.append(" ".join(row[1:]))
        elif word == "exit":
            self.exit = int(row[1])

    def _owner(self, process: int, number: int, what: str) -> int:
        """The process whose numbering `number` belongs to."""
        while number <= getattr(self.processes[process], what):
            process = self.processes[process].parent - 1
        return process

    def chain(self, process: int, node: int) -> list[tuple[int, int, int]]:
        """(aux, word, owning process) of a stack, outermost first."""
        result = []
        while node > ROOT_NATIVE:
            owner = self._owner(process, node, "nodes")
            node, aux, word = self.nodes[owner][node]
            result.append((aux, word, process))
        result.reverse()
        return result

    def line_at(self, code: Code, offset: int) -> int | None:
        ranges = self._lines.get(code)
        if ranges is None:
            ranges = self._lines[code] = list(lines_of(code))
        at = (
            bisect.bisect_right(ranges, offset, key=lambda r: r[0]) - 1
            if sys.version_info >= (3, 10)
            else max((i for i, r in enumerate(ranges) if r[0] <= offset), default=0)
        )
        return ranges[at][2]

    def frames(self, alloc: Alloc) -> list[tuple[str, str, int | None]]:
        result = []
        for aux, word, process in self.chain(alloc.process, alloc.python):
            assert aux & PYTHON
            number = word & 0xFFFFFFFF
            code = self.codes[self._owner(process, number, "codes")][number]
            result.append((code.file, code.name, self.line_at(code, word >> 32)))
        return result

    def entries(self, alloc: Alloc) -> int:
        return sum(1 for aux, _, _ in self.chain(alloc.process, alloc.python) if aux & ENTRY)

    def loops(self, alloc: Alloc) -> int:
        """Evaluation loops on the native stack."""
        return sum(
            any(start <= word < end for start, end in self.ranges)
            for _, word, _ in self.chain(alloc.process, alloc.native)
        )


def image_of(python: str) -> str:
    """The file with the evaluation loop: a libpython or the executable."""
    find = (
        "print(max((line.split()[-1] for line in open('/proc/self/maps') if 'python3' in line), "
        "key=lambda path: 'libpython' in path))"
    )
    return subprocess.check_output([python, "-c", find], encoding="utf-8").strip()


def is_stripped(python: str) -> bool:
    """Whether that file has no symbol table but the dynamic one."""
    with open(image_of(python), "rb") as image:
        return b"\0.symtab\0" not in image.read()


class Checker:
    def __init__(
        self, runner: str, embedder: str | None, kept_chunk: str | None, library: str
    ) -> None:
        self.runner, self.embedder, self.library = runner, embedder, library
        self.kept_chunk = kept_chunk
        self.passed = self.failed = 0

    def fail(self, what: str) -> None:
        self.failed += 1
        if self.failed < 40:
            print("FAILED:", what)

    def check(self, holds: bool, what: str) -> None:
        if holds:
            self.passed += 1
        else:
            self.fail(what)

    def record(
        self,
        python: str,
        program: list[str],
        config: int,
        minimum: int,
        interval: int = 0,
        env: dict[str, str] | None = None,
    ) -> Recording:
        command = [self.runner, self.library, str(config), str(interval), str(minimum), python]
        done = subprocess.run(
            command + program,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            env={**os.environ, **(env or {})},
            timeout=600,
        )
        recording = Recording(done.stdout)
        self.check(recording.exit == 0, f"{python}: exit status {recording.exit}")
        self.check(not recording.broken, f"{python}: {recording.broken[:3]}")
        return recording

    def cases(
        self,
        python: str,
        cases: list[str],
        config: int,
        env: dict[str, str] | None = None,
        interval: int = 0,
    ) -> None:
        script = str(Path(__file__).resolve().parent / "python_cases.py")
        with tempfile.NamedTemporaryFile("r", encoding="utf-8", errors="surrogatepass") as said:
            recording = self.record(
                python, ["-B", script, said.name, *cases], config, 900_000, interval, env
            )
            announced = [json.loads(line) for line in said]
        where = f"{python} {' '.join(cases)} config={config} interval={interval} {env or ''}"
        self.check(len(announced) > 0, f"{where}: nothing was announced")
        stripped = config & NATIVE_ALL and is_stripped(python)
        by_size: dict[int, list[Alloc]] = defaultdict(list)
        for alloc in recording.allocs:
            if alloc.kind != ARENA:
                by_size[alloc.size].append(alloc)
        uses: dict[int, int] = defaultdict(int)
        for _pid, size, _label, _stack in announced:
            uses[size] += 1
        for _pid, size, label, stack in announced:
            expected = [tuple(frame) for frame in stack]
            kinds = {"no GIL": (MALLOC,), "raw": (RAW,), "bytearray": (OBJECT, MEM)}
            found = [
                a
                for a in by_size[size]
                if a.kind in kinds.get(label, (OBJECT,)) or not config & OBJECTS
            ]
            if not config & OBJECTS and label == "raw":
                found = found[:1]
            if len(found) != uses[size] or len(by_size[size]) != uses[size]:
                self.fail(f"{where}: {label} {size}: recorded {by_size[size]}")
                continue
            stacks = [recording.frames(a) for a in found]
            if label == "in a hook: call" and any(
                p.version < 0x30B0000 for p in recording.processes.values()
            ):
                # The caller has not begun: up to 3.10 its line is the `def`, which no offset has.
                expected[-2] = (*expected[-2][:2], None)
                stacks = [[*s[:-2], (*s[-2][:2], None), s[-1]] for s in stacks]
            self.check(
                expected in stacks,
                f"{where}: {label} {size}:\n  expected {expected[-5:]}\n"
                f"  recorded {[s[-5:] for s in stacks]}",
            )
            if config & NATIVE_ALL:
                for a in found:
                    entries, loops = recording.entries(a), recording.loops(a)
                    holds = entries == loops
                    if (
                        label == "another interpreter"
                    ):  # the native stack goes on to the first one's
                        holds = entries <= loops
                    elif stripped:  # what the compiler split off the loop as cold cannot be told
                        holds = entries - 1 <= loops <= entries
                    self.check(
                        holds,
                        f"{where}: {label} {size}: {entries} entry marks, "
                        f"{loops} evaluation loops; {stack[-3:]}",
                    )
        if "reallocations" in cases:
            self.check(recording.reallocs > 0, f"{where}: no realloc")

    def embedded(self, python: str) -> None:
        """Interpreters that start and end again, in a program that loads them late."""
        image = image_of(python)
        if self.embedder is None or "libpython" not in image:
            return
        home = subprocess.check_output(
            [python, "-c", "import sys; print(sys.base_prefix)"], encoding="utf-8"
        ).strip()
        env = {"PYTHONHOME": home, "LD_LIBRARY_PATH": str(Path(image).parent)}
        for rounds, config in ((1, OBJECTS), (4, OBJECTS), (4, 0), (4, OBJECTS | NATIVE_ALL)):
            recording = self.record(
                self.embedder, [image, str(rounds), "local"], config, 1_900_000, env=env
            )
            found = [a for a in recording.allocs if a.size // 100 == 20_000 and a.kind != ARENA]
            where = f"{python} embedded {rounds} times, config={config}"
            # Once by the program and once at the end of the interpreter, but for the last round.
            self.check(len(found) == rounds * 2 - 1, f"{where}: {len(found)} allocations")
            kinds = {MALLOC} if not config & OBJECTS else {OBJECT}
            self.check({a.kind for a in found} <= kinds, f"{where}: {found}")
            names = {tuple(name for _, name, _ in recording.frames(a)) for a in found}
            init = {("<module>", "leaf"), ("__del__", "leaf"), ("AtTheEnd.__del__", "leaf")}
            self.check(names <= init, f"{where}: {names}")

    def python(self, python: str) -> None:
        said = subprocess.check_output([python, "-c", "import sys; print(*sys.version_info[:2])"])
        version = tuple(map(int, said.split()))
        for case in CASES:
            self.cases(python, [case], OBJECTS | FOLLOW)
        self.cases(python, CASES, OBJECTS | FOLLOW)
        shallow = [c for c in CASES if c not in ("deep", "recursion")]
        self.cases(python, shallow, OBJECTS | NATIVE_ALL | FOLLOW)
        # Whole parts of the stack come and go between two samples; what is announced is larger.
        self.cases(python, ["recursion"], OBJECTS | FOLLOW, interval=60_000)
        if self.kept_chunk is not None:
            env = {"CHECK_KEPT_CHUNK": self.kept_chunk}
            self.cases(python, ["kept_chunk"], OBJECTS | FOLLOW, env=env)
        quick = ["simple", "generators", "callbacks", "threads"]
        self.cases(python, quick, FOLLOW)
        settings = ["malloc", "debug", "malloc_debug", "pymalloc"]
        if version >= (3, 13):
            settings.append("mimalloc")
        for setting in settings:
            self.cases(python, quick, OBJECTS | FOLLOW, env={"PYTHONMALLOC": setting})
        self.cases(python, quick, OBJECTS | FOLLOW, env={"PYTHONDEVMODE": "1"})
        self.cases(python, quick, OBJECTS | FOLLOW, env={"PYTHONTRACEMALLOC": "5"})
        self.embedded(python)


def main() -> int:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--embedder")
    arguments.add_argument("--kept-chunk")
    arguments.add_argument("runner")
    arguments.add_argument("library")
    arguments.add_argument("python", nargs="+")
    given = arguments.parse_args()
    checker = Checker(
        str(Path(given.runner).resolve()),
        str(Path(given.embedder).resolve()) if given.embedder else None,
        str(Path(given.kept_chunk).resolve()) if given.kept_chunk else None,
        str(Path(given.library).resolve()),
    )
    for python in given.python:
        before = checker.failed, checker.passed
        checker.python(python)
        print(
            f"{python}: {checker.passed - before[1]} passed, {checker.failed - before[0]} failed",
            flush=True,
        )
    return 1 if checker.failed else 0


if __name__ == "__main__":
    sys.exit(main())
