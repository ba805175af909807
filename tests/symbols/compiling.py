"""Programs compiled for these tests, and the addresses of calls in them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"
_CALL = re.compile(r"^\s*([0-9a-f]+):\s+call\s+[^<]*<([^>]*)>")
_FUNCTION = re.compile(r"^[0-9a-f]+ <(.*)>:$")


def need(*tools: str) -> None:
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool}")


def run(*command: str | Path) -> str:
    return subprocess.run(
        [str(word) for word in command], check=True, capture_output=True, text=True
    ).stdout


def compile_program(target: Path, source: str, *flags: str) -> Path:
    """Compiles a source of tests/symbols/programs to `target`."""
    path = PROGRAMS / source
    compiler = {".c": "gcc", ".cpp": "g++", ".rs": "rustc"}[path.suffix]
    need(compiler, "objdump")
    edition = ["--edition", "2021"] if compiler == "rustc" else []
    run(compiler, *edition, *flags, path, "-o", target)
    return target


def calls(program: Path, function: str, callee: str = "") -> list[int]:
    """Addresses of calls in the machine code of `function` (its symbol; a part of it will do)."""
    found, inside = [], False
    for line in run("objdump", "-d", "--no-show-raw-insn", program).splitlines():
        start = _FUNCTION.match(line)
        if start:
            inside = function in start[1]
        call = _CALL.match(line)
        if inside and call and callee in call[2]:
            found.append(int(call[1], 16))
    return found


def marked(source: str, mark: str) -> int:
    """The number of the line with the mark ``at: MARK``."""
    lines = (PROGRAMS / source).read_text().splitlines()
    return next(n for n, line in enumerate(lines, 1) if line.endswith(f"at: {mark}"))
