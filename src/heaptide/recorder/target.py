"""From the words after ``heaptide run`` to the program to start."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from heaptide.errors import LaunchError, UsageError
from heaptide.recorder.preflight import CANNOT_EXECUTE, NOT_FOUND, check_recordable, shell_of
from heaptide.recorder.wrappers import name_of, program_meant, script_name

_PYTHON_SUFFIXES = frozenset({".py", ".pyc", ".pyw", ".pyz"})


@dataclass(frozen=True)
class Target:
    """A program to start: ``path`` is what is executed, ``argv`` what it is told it was called."""

    path: str
    argv: tuple[str, ...]
    name: str  # for people, and for the recording's file name


def resolve(
    words: Sequence[str], search_path: str | None = None, *, recorded: bool = True
) -> Target:
    """What ``words`` mean: ``script.py …``, ``-m module …``, ``-c code …`` or any program.

    Programs are looked up in ``search_path`` (default: ``PATH``) as a shell would. Raises
    LaunchError with the exit status a shell would give for what is missing, cannot be executed or,
    being executed, could not be recorded; that only if it is to be ``recorded``.
    """
    if not words:
        raise UsageError("no program to record: give a script, -m MODULE, -c CODE or a program")
    first = words[0]
    if first[:2] in ("-m", "-c"):
        return _python_option(words)
    if _is_python_program(first):
        return _python(words, script_name(first))
    if search_path is None:
        search_path = os.environ.get("PATH", os.defpath)
    if "/" not in first:
        path = _search(first, search_path)
    else:
        path = first
        _check_executable(path)
    if recorded:
        check_recordable(Path(path))
    meant = program_meant(words)
    if recorded and meant is not words:
        # What the wrapper will not find or not start, it says better itself.
        found = shutil.which(meant[0], path=search_path)
        if found is not None:
            check_recordable(Path(found))
    name = name_of(meant)
    shell = shell_of(Path(path))
    if shell is not None:
        return Target(shell, (shell, path, *words[1:]), name)
    return Target(path, tuple(words), name)


def plain_command(
    words: Sequence[str], cwd: Path, search_path: str | None = None
) -> tuple[str, ...]:
    """What ``words``, as for ``resolve``, are in ``cwd`` for a run that is not recorded.

    Whatever the kernel executes will do. Raises LaunchError for what is missing or no program.
    """
    first = words[0]
    if first[:2] in ("-m", "-c"):
        _python_option(words)
        return (sys.executable, *words)
    here = Path(first) if "/" not in first and not (cwd / first).exists() else cwd / first
    if _is_python_program(str(here)):
        return (sys.executable, *words)
    if "/" in first:
        _check_executable(str(here))
    else:
        _search(first, os.environ.get("PATH", os.defpath) if search_path is None else search_path)
    return tuple(words)


def _python_option(words: Sequence[str]) -> Target:
    option, value = words[0][:2], words[0][2:] or (words[1] if len(words) > 1 else None)
    if value is None:
        wanted = "the name of a module" if option == "-m" else "code"
        raise UsageError(f"{option} needs {wanted} after it, as for python")
    return _python(words, value if option == "-m" else "python")


def _python(words: Sequence[str], name: str) -> Target:
    """The interpreter heaptide runs on, with ``words`` behind it."""
    check_recordable(Path(sys.executable))
    return Target(sys.executable, (sys.executable, *words), name)


def _is_python_program(word: str) -> bool:
    """Whether the interpreter, not the kernel, is to run ``word``: a script, or a directory."""
    path = Path(word)
    if path.is_dir():
        return (path / "__main__.py").is_file()
    if path.suffix not in _PYTHON_SUFFIXES:
        return False
    if not path.exists():
        if "/" not in word and shutil.which(word):
            return False
        raise LaunchError(f"{word}: no such script; check its name and path", exit_status=NOT_FOUND)
    if not os.access(path, os.R_OK):
        raise LaunchError(
            f"{word}: the script cannot be read: permission denied", exit_status=CANNOT_EXECUTE
        )
    return True


def _search(name: str, search_path: str) -> str:
    """The first executable file of this name in ``search_path``."""
    found = shutil.which(name, path=search_path)
    if found is not None:
        return found
    for folder in search_path.split(os.pathsep):
        candidate = Path(folder or ".") / name
        if candidate.is_file():
            _check_executable(str(candidate))
    hint = f"; to run the one in this directory, say ./{name}" if Path(name).exists() else ""
    raise LaunchError(
        f"{name}: no such program in the directories of PATH{hint}", exit_status=NOT_FOUND
    )


def _check_executable(word: str) -> None:
    path = Path(word)
    if not path.exists():
        raise LaunchError(
            f"{word}: no such program; check its name and path", exit_status=NOT_FOUND
        )
    if path.is_dir():
        raise LaunchError(
            f"{word} is a directory without a __main__.py, not a program",
            exit_status=CANNOT_EXECUTE,
        )
    if not os.access(path, os.X_OK):
        raise LaunchError(
            f"{word} is not executable; if it should be, chmod +x it", exit_status=CANNOT_EXECUTE
        )
