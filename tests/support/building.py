"""Compiling the programs of tests/programs, each variant once a session."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent.parent / "programs"

_COMPILERS = {
    ".c": ("gcc", "-std=gnu17", "-pthread", "-Wall", "-Wextra", "-Werror", "-Wno-use-after-free"),
    ".cpp": ("g++", "-std=c++17", "-pthread", "-Wall", "-Wextra", "-Werror"),
    ".rs": ("rustc", "--edition", "2021", "-D", "warnings"),
}


class Builder:
    """Builds programs into one directory; a program asked for again is not built again."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __call__(self, source: str, *flags: str, name: str | None = None) -> Path:
        """The executable (or, with ``-shared``, the library) of a source in tests/programs.

        ``flags`` come after those of every build; the default is debug information without
        optimisation. The test is skipped where there is no compiler of that language.
        """
        path = PROGRAMS / source
        command = _COMPILERS[path.suffix]
        if shutil.which(command[0]) is None:
            pytest.skip(f"needs {command[0]}")
        flags = flags or ("-g",)
        stem = name or "_".join((path.stem, *flags)).translate(str.maketrans("/= ", "..."))
        target = self._directory / stem
        if not target.exists():
            subprocess.run(
                [*command, *flags, "-o", str(target), str(path), *_libraries(path)], check=True
            )
        return target


def _libraries(path: Path) -> list[str]:
    return [] if path.suffix == ".rs" else ["-ldl"]  # its own library before glibc 2.34
