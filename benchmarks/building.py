"""Compiling the programs of benchmarks/programs, with optimisation as they would be shipped."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

PROGRAMS = Path(__file__).parent / "programs"

_COMPILERS: dict[str, tuple[str, ...]] = {
    ".c": ("gcc", "-std=gnu17", "-O2", "-g", "-pthread"),
    ".cpp": ("g++", "-std=c++17", "-O2", "-g", "-pthread"),
    ".rs": ("rustc", "--edition", "2021", "-C", "opt-level=3", "-g"),
}


def command_of(source: str, directory: Path) -> list[str] | None:
    """The words that run a program, built into ``directory``; None without its compiler."""
    path = PROGRAMS / source
    if path.suffix == ".py":
        return [sys.executable, str(path)]
    built = build(source, directory)
    return None if built is None else [str(built)]


def build(source: str, directory: Path, *flags: str, name: str = "") -> Path | None:
    """A program or library, built once; None without its compiler."""
    path = PROGRAMS / source
    compiler = _COMPILERS[path.suffix]
    if shutil.which(compiler[0]) is None:
        return None
    target = directory / (name or path.stem)
    if not target.exists():
        subprocess.run([*compiler, *flags, "-o", str(target), str(path)], check=True)
    return target
