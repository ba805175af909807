"""What can be said of a program before it is started: will the agent get into it?

The kernel and the dynamic loader ignore ``LD_PRELOAD`` without a word in static programs and in
those that change their user, so the recording would come out empty. Better to say so first.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import stat
from pathlib import Path

from heaptide.errors import LaunchError
from heaptide.recorder import elf

CANNOT_EXECUTE = 126
NOT_FOUND = 127

# The kernel follows interpreters of interpreters four deep.
_MAX_INTERPRETERS = 4
_SANITIZERS = {
    "__asan_init": "AddressSanitizer",
    "__hwasan_init": "HWAddressSanitizer",
    "__msan_init": "MemorySanitizer",
    "__tsan_init": "ThreadSanitizer",
    "__lsan_init": "LeakSanitizer",
}
_VALGRIND = frozenset({"valgrind", "valgrind.bin"})
_SANITIZER_LIBRARIES = {
    "libasan": "AddressSanitizer",
    "libhwasan": "HWAddressSanitizer",
    "liblsan": "LeakSanitizer",
    "libtsan": "ThreadSanitizer",
    "libclang_rt.asan": "AddressSanitizer",
    "libclang_rt.hwasan": "HWAddressSanitizer",
    "libclang_rt.tsan": "ThreadSanitizer",
}


def check_recordable(path: Path) -> None:
    """Raises LaunchError unless ``path``, and each interpreter it names, can be recorded.

    A file that may be executed but not read is let through: nothing can be said of it.
    """
    if path.name in _VALGRIND:
        raise _refusal(
            f"{path.name} replaces the allocator of what it runs, and nothing of that would be "
            "recorded; run the program without it"
        )
    named_by = ""
    for _ in range(_MAX_INTERPRETERS + 1):
        try:
            with path.open("rb") as file:
                head = file.read(512)
        except OSError:
            return
        _check_privileges(path, named_by)
        if not head.startswith(b"#!"):
            break
        interpreter = _interpreter(path, head)
        if interpreter is None:
            return
        named_by = f" (which {path} is run by)"
        path = interpreter
    else:
        raise _refusal(f"{path} has too many levels of interpreters")
    if head.startswith(elf.MAGIC):
        _check_elf(path, named_by)
    elif _is_binary(head):
        raise _refusal(f"{path} is neither an ELF program nor a script: this machine cannot run it")


def shell_of(path: Path) -> str | None:
    """``/bin/sh`` for a script without a ``#!`` line, which is what a shell would run it by."""
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError:
        return None
    if head.startswith((b"#!", elf.MAGIC)):
        return None
    return "/bin/sh"


def _refusal(message: str) -> LaunchError:
    return LaunchError(message, exit_status=CANNOT_EXECUTE)


def _is_binary(head: bytes) -> bool:
    """As shells decide it: a zero byte in the first line."""
    return b"\0" in head.split(b"\n", 1)[0]


def _interpreter(script: Path, head: bytes) -> Path | None:
    """The program on a script's ``#!`` line; through ``env``, the one that env will find."""
    line = head[2:].split(b"\n", 1)[0].decode(errors="replace").strip()
    program, _, rest = line.partition(" ")
    if not program:
        return None
    path = Path(program)
    if not path.exists():
        raise LaunchError(
            f"{script} names the interpreter {program}, which does not exist; "
            "correct its first line",
            exit_status=NOT_FOUND,
        )
    if path.name != "env":
        return path
    for word in shlex.split(rest, comments=False):
        if word.startswith("-") or "=" in word:
            continue
        found = shutil.which(word)
        if found is None:
            raise LaunchError(
                f"{script} is run by {word}, which is in no directory of PATH",
                exit_status=NOT_FOUND,
            )
        return Path(found)
    return None


def _check_privileges(path: Path, named_by: str) -> None:
    """Refuses what would run with other privileges than ours: the loader then drops LD_PRELOAD."""
    status = path.stat()
    if os.statvfs(path).f_flag & os.ST_NOSUID:
        return
    changes = None
    if status.st_mode & stat.S_ISUID and status.st_uid != os.getuid():
        changes = "set-user-ID"
    elif status.st_mode & (stat.S_ISGID | stat.S_IXGRP) == stat.S_ISGID | stat.S_IXGRP and (
        status.st_gid != os.getgid()
    ):
        changes = "set-group-ID"
    elif os.getuid() != 0 and _has_capabilities(path):
        raise _refusal(
            f"{path}{named_by} has file capabilities, with which the loader ignores the agent; "
            "run a copy of it, or run heaptide as root"
        )
    if changes:
        raise _refusal(
            f"{path}{named_by} is {changes}, with which the loader ignores the agent; "
            "run heaptide itself as that user"
        )


def _has_capabilities(path: Path) -> bool:
    try:
        return bool(os.getxattr(path, "security.capability"))
    except OSError:
        return False


def _check_elf(path: Path, named_by: str) -> None:
    try:
        program = elf.read(path)
    except elf.NotElfError as error:
        raise _refusal(f"{path} is not a whole ELF file: this machine cannot run it") from error
    except OSError:
        return
    who = f"{path}{named_by}"
    machine = platform.machine()
    if program.machine != machine or program.bits != 64:
        raise _refusal(
            f"{who} is a {program.bits}-bit {program.machine} program; "
            f"this heaptide records 64-bit {machine} programs only"
        )
    if not program.runnable:
        raise _refusal(f"{who} is an object file or a core, not a program; link it first")
    if program.interpreter is None:
        if (program.soname or "").startswith("ld-"):
            return  # the loader itself, called with a program behind it
        if program.soname and not program.position_independent_executable:
            raise _refusal(f"{who} is a shared library, not a program")
        raise _refusal(
            f"{who} is statically linked, so the agent cannot be loaded into it; "
            "link it dynamically to record it"
        )
    if "ld-musl" in program.interpreter:
        raise _refusal(
            f"{who} is linked with musl, and heaptide's agent needs glibc; "
            "build it for a glibc target to record it"
        )
    sanitizer = _sanitizer(program)
    if sanitizer:
        raise _refusal(
            f"{who} is built with {sanitizer}, which replaces the allocator; "
            "build it without to record it"
        )
    if path.resolve().name.startswith("valgrind"):
        raise _refusal(
            f"{who} replaces the allocator of what it runs; record the program without valgrind"
        )


def _sanitizer(program: elf.Elf) -> str | None:
    for library in program.needed:
        for prefix, name in _SANITIZER_LIBRARIES.items():
            if library.startswith(prefix):
                return name
    for symbol, name in _SANITIZERS.items():
        if program.mentions(symbol):
            return name
    return None
