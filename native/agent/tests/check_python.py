#!/usr/bin/env python3
"""Records python_cases.py under each interpreter given and compares stacks with what it says itself.

    check_python.py RUNNER LIBRARY PYTHON...

RUNNER is the built test_python.c. Checked for every announced allocation: that it was recorded once, in
the right domain, with exactly the frames, files and lines that the interpreter reported; in a second
run with native stacks, that as many Python frames are marked as entered from C as there are
evaluation loops on the native stack.
"""

from __future__ import annotations

import bisect
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

CASES = [
    "simple", "generators", "coroutines", "executed", "specialised", "callbacks", "watched",
    "threads", "signals", "names", "reallocations", "forks", "at_random", "traced", "subinterpreters", "deep",
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


def lines_of(code: Code) -> Iterator[Tuple[int, int, Optional[int]]]:
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
            here: Optional[int] = line
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
        self.nodes: Dict[int, Dict[int, Tuple[int, int, int]]] = defaultdict(dict)
        self.codes: Dict[int, Dict[int, Code]] = defaultdict(dict)
        self.ranges: List[Tuple[int, int]] = []
        self.allocs: List[Alloc] = []
        self.processes: Dict[int, Process] = {}
        self.counts: Dict[Tuple[int, int], Tuple[int, int, int]] = {}
        self.reallocs = 0
        self.notes: List[str] = []
        self.broken: List[str] = []
        self.exit: Optional[int] = None
        self._lines: Dict[Code, List[Tuple[int, int, Optional[int]]]] = {}
        for row in text.splitlines():
            self._read(row.split(" "))

    def _read(self, row: List[str]) -> None:
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

    def chain(self, process: int, node: int) -> List[Tuple[int, int, int]]:
        """(aux, word, owning process) of a stack, outermost first."""
        result = []
        while node > ROOT_NATIVE:
            owner = self._owner(process, node, "nodes")
            node, aux, word = self.nodes[owner][node]
            result.append((aux, word, process))
        result.reverse()
        return result

    def line_at(self, code: Code, offset: int) -> Optional[int]:
        ranges = self._lines.get(code)
        if ranges is None:
            ranges = self._lines[code] = list(lines_of(code))
        at = bisect.bisect_right(ranges, offset, key=lambda r: r[0]) - 1 if sys.version_info >= (
            3, 10) else max((i for i, r in enumerate(ranges) if r[0] <= offset), default=0)
        return ranges[at][2]

    def frames(self, alloc: Alloc) -> List[Tuple[str, str, Optional[int]]]:
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


def is_stripped(python: str) -> bool:
    """Whether the file with the evaluation loop has no symbol table but the dynamic one."""
    find = "print(max((line.split()[-1] for line in open('/proc/self/maps') if 'python3' in line), " \
           "key=lambda path: 'libpython' in path))"
    file = subprocess.check_output([python, "-c", find], encoding="utf-8").strip()
    with open(file, "rb") as image:
        return b"\0.symtab\0" not in image.read()


class Checker:
    def __init__(self, runner: str, library: str) -> None:
        self.runner, self.library = runner, library
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

    def record(self, python: str, program: List[str], config: int, minimum: int, interval: int = 0,
               env: Optional[Dict[str, str]] = None) -> Recording:
        command = [self.runner, self.library, str(config), str(interval), str(minimum), python]
        done = subprocess.run(command + program, stdout=subprocess.PIPE, encoding="utf-8",
                              env={**os.environ, **(env or {})}, timeout=600)
        recording = Recording(done.stdout)
        self.check(recording.exit == 0, f"{python}: exit status {recording.exit}")
        self.check(not recording.broken, f"{python}: {recording.broken[:3]}")
        return recording

    def cases(self, python: str, cases: List[str], config: int,
              env: Optional[Dict[str, str]] = None) -> None:
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "python_cases.py")
        with tempfile.NamedTemporaryFile("r", encoding="utf-8", errors="surrogatepass") as said:
            recording = self.record(python, ["-B", script, said.name, *cases], config, 900_000,
                                    env=env)
            announced = [json.loads(line) for line in said]
        where = f"{python} {' '.join(cases)} config={config} {env or ''}"
        self.check(len(announced) > 0, f"{where}: nothing was announced")
        stripped = config & NATIVE_ALL and is_stripped(python)
        by_size: Dict[int, List[Alloc]] = defaultdict(list)
        for alloc in recording.allocs:
            if alloc.kind != ARENA:
                by_size[alloc.size].append(alloc)
        uses: Dict[int, int] = defaultdict(int)
        for pid, size, label, stack in announced:
            uses[size] += 1
        for pid, size, label, stack in announced:
            expected = [tuple(frame) for frame in stack]
            kinds = {"no GIL": (MALLOC,), "raw": (RAW,), "bytearray": (OBJECT, MEM)}
            found = [a for a in by_size[size]
                     if a.kind in kinds.get(label, (OBJECT,)) or not config & OBJECTS]
            if not config & OBJECTS and label == "raw":
                found = found[:1]
            if len(found) != uses[size] or len(by_size[size]) != uses[size]:
                self.fail(f"{where}: {label} {size}: recorded {by_size[size]}")
                continue
            stacks = [recording.frames(a) for a in found]
            if label == "in a hook: call" and any(
                p.version < 0x30B0000 for p in recording.processes.values()
            ):
                # The caller has not begun. Up to 3.10 its line is then the `def`, which no offset has.
                expected[-2] = (*expected[-2][:2], None)
                stacks = [[*s[:-2], (*s[-2][:2], None), s[-1]] for s in stacks]
            self.check(expected in stacks, f"{where}: {label} {size}:\n  expected {expected[-5:]}\n"
                                           f"  recorded {[s[-5:] for s in stacks]}")
            if config & NATIVE_ALL:
                for a in found:
                    entries, loops = recording.entries(a), recording.loops(a)
                    holds = entries == loops
                    if label == "another interpreter":  # the native stack goes on to the first one's
                        holds = entries <= loops
                    elif stripped:  # what the compiler split off the loop as cold cannot be told
                        holds = entries - 1 <= loops <= entries
                    self.check(holds, f"{where}: {label} {size}: {entries} entry marks, "
                                      f"{loops} evaluation loops; {stack[-3:]}")
        if "reallocations" in cases:
            self.check(recording.reallocs > 0, f"{where}: no realloc")

    def python(self, python: str) -> None:
        said = subprocess.check_output([python, "-c", "import sys; print(*sys.version_info[:2])"])
        version = tuple(map(int, said.split()))
        for case in CASES:
            self.cases(python, [case], OBJECTS | FOLLOW)
        self.cases(python, CASES, OBJECTS | FOLLOW)
        self.cases(python, [c for c in CASES if c != "deep"], OBJECTS | NATIVE_ALL | FOLLOW)
        quick = ["simple", "generators", "callbacks", "threads"]
        self.cases(python, quick, FOLLOW)
        settings = ["malloc", "debug", "malloc_debug", "pymalloc"]
        if version >= (3, 13):
            settings.append("mimalloc")
        for setting in settings:
            self.cases(python, quick, OBJECTS | FOLLOW, env={"PYTHONMALLOC": setting})
        self.cases(python, quick, OBJECTS | FOLLOW, env={"PYTHONDEVMODE": "1"})
        self.cases(python, quick, OBJECTS | FOLLOW, env={"PYTHONTRACEMALLOC": "5"})


def main() -> int:
    runner, library, *pythons = sys.argv[1:]
    checker = Checker(os.path.abspath(runner), os.path.abspath(library))
    for python in pythons:
        before = checker.failed, checker.passed
        checker.python(python)
        print(f"{python}: {checker.passed - before[1]} passed, {checker.failed - before[0]} failed",
              flush=True)
    return 1 if checker.failed else 0


if __name__ == "__main__":
    sys.exit(main())
