"""Compiling the programs of tests/programs, each variant once a session."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
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


def embed_python(source: str, target: Path) -> Path:
    """A C program of tests/programs with this interpreter in it, its functions there for the
    linker. The test is skipped where the interpreter is no library."""
    library = f"python{sysconfig.get_config_var('LDVERSION')}"
    place = sysconfig.get_config_var("LIBDIR")
    if not list(Path(str(place)).glob(f"lib{library}.*")):
        pytest.skip(f"this interpreter has no lib{library} to link")
    variables = ("LIBS", "SYSLIBS", "LINKFORSHARED")
    libraries = [word for name in variables for word in str(sysconfig.get_config_var(name)).split()]
    command = ["cc", "-rdynamic", str(PROGRAMS / source), "-o", str(target)]
    command += [f"-I{sysconfig.get_path('include')}", f"-L{place}", f"-Wl,-rpath,{place}"]
    command += [f"-l{library}", *libraries]
    subprocess.run(command, check=True, capture_output=True)
    return target
