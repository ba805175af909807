"""Each thing that cannot be recorded is said in one line, with a shell's exit status."""

from __future__ import annotations

import contextlib
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.refusals import refused

from heaptide.errors import LaunchError
from heaptide.recorder import elf, preflight

from .conftest import HEAPTIDE, Run

MAIN = "int main(void) { return 0; }\n"


@pytest.fixture(autouse=True)
def leaves_no_recording(tmp_path: Path) -> object:
    """Nothing that is refused leaves a file behind, or overwrites one."""
    yield
    assert not (tmp_path / "r.tide").exists()


@pytest.mark.parametrize("name", ["no-such-program-here", "./missing", "/missing/program"])
def test_missing_program(run: Run, name: str) -> None:
    refused(run(name), 127, name)


def test_missing_script(run: Run) -> None:
    refused(run("missing.py"), 127, "missing.py", "no such script")


def test_program_in_this_directory(run: Run, tmp_path: Path) -> None:
    """A name that PATH lacks but the directory has gets the hint."""
    (tmp_path / "tool-of-mine").write_text("")
    refused(run("tool-of-mine", cwd=tmp_path), 127, "./tool-of-mine")


def test_directory(run: Run, tmp_path: Path) -> None:
    refused(run(tmp_path), 126, "is a directory")


def test_not_executable(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "tool"
    path.write_text("#!/bin/sh\n")
    refused(run(path), 126, "is not executable", "chmod +x")


def test_not_executable_in_path(run: Run, tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    env = {**os.environ, "PATH": str(tmp_path)}
    refused(run("tool", env=env), 126, "is not executable")


def test_not_a_program(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "noise"
    path.write_bytes(b"\0\1\2\3" * 100)
    path.chmod(0o755)
    refused(run(path), 126, "neither an ELF program nor a script")


def test_missing_interpreter(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "tool"
    path.write_text("#!/missing/interpreter\n")
    path.chmod(0o755)
    refused(run(path), 127, "/missing/interpreter")
    path.write_text("#!/usr/bin/env no-such-interpreter\n")
    refused(run(path), 127, "no-such-interpreter")


def test_static_program(run: Run, compile_c: Callable[..., Path]) -> None:
    refused(run(compile_c(MAIN, "-static")), 126, "statically linked")
    refused(run(compile_c(MAIN, "-static-pie")), 126, "statically linked")


def test_script_run_by_a_static_program(
    run: Run, compile_c: Callable[..., Path], tmp_path: Path
) -> None:
    program = compile_c(MAIN, "-static")
    path = tmp_path / "tool"
    path.write_text(f"#!{program}\n")
    path.chmod(0o755)
    refused(run(path), 126, "statically linked", str(path))


def test_shared_library(run: Run, compile_c: Callable[..., Path]) -> None:
    library = compile_c("int f;", "-shared", "-fPIC", "-Wl,-soname,libf.so.1")
    refused(run(library), 126, "shared library")


def test_object_file(run: Run, compile_c: Callable[..., Path]) -> None:
    program = compile_c(MAIN, "-c")
    program.chmod(0o755)
    refused(run(program), 126, "object file")


def _patched(program: Path, offset: int, value: bytes) -> Path:
    with program.open("r+b") as file:
        file.seek(offset)
        file.write(value)
    return program


def test_other_architecture(run: Run, compile_c: Callable[..., Path]) -> None:
    program = _patched(compile_c(MAIN), 18, struct.pack("<H", 183))
    refused(run(program), 126, "64-bit aarch64 program", "x86_64")


def test_32_bit_program(run: Run, tmp_path: Path) -> None:
    """A 32-bit header, as far as the kernel would look: one segment, the loader's name."""
    path = tmp_path / "old"
    name = b"/lib/ld-linux.so.2\0"
    header = b"\x7fELF\1\1\1".ljust(16, b"\0") + struct.pack(
        "<HHIIIIIHHHHHH", 2, 3, 1, 0, 52, 0, 0, 52, 32, 1, 0, 0, 0
    )
    segment = struct.pack("<IIIIIIII", 3, 84, 0, 0, len(name), len(name), 4, 1)
    path.write_bytes(header + segment + name)
    path.chmod(0o755)
    refused(run(path), 126, "32-bit i386 program")


@pytest.mark.parametrize("size", [4, 20, 63, 64, 200, 1000])
def test_truncated_program(run: Run, compile_c: Callable[..., Path], size: int) -> None:
    """A program cut short is refused by us or by the kernel, never with a traceback."""
    program = compile_c(MAIN)
    os.truncate(program, size)
    result = run(program)
    assert result.returncode == 126, result.stderr
    assert result.stderr.count(b"\n") == 1


def test_corrupt_headers_are_survived(compile_c: Callable[..., Path]) -> None:
    """Whatever the bytes, the reader gives an answer or says that it is no ELF file."""
    program = compile_c(MAIN)
    whole = program.read_bytes()
    for at in range(len(whole[:1200])):
        program.write_bytes(whole[:at] + b"\xff" * 8 + whole[at + 8 :])
        with contextlib.suppress(elf.NotElfError):
            elf.read(program)


def test_musl_program(run: Run, compile_c: Callable[..., Path]) -> None:
    loader = "-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1"
    refused(run(compile_c(MAIN, loader)), 126, "linked with musl")


def test_missing_loader(run: Run, compile_c: Callable[..., Path]) -> None:
    """What only the kernel finds out is said too."""
    program = compile_c(MAIN, "-Wl,--dynamic-linker=/missing/ld.so")
    refused(run(program), 127, str(program), "cannot be started")


def test_sanitizers(run: Run, compile_c: Callable[..., Path]) -> None:
    shared = compile_c(MAIN, "-fsanitize=address")
    refused(run(shared), 126, "AddressSanitizer")
    static = compile_c(
        "void __tsan_init(void) {}\n" + MAIN, "-Wl,--export-dynamic-symbol=__tsan_init"
    )
    refused(run(static), 126, "ThreadSanitizer")


@pytest.mark.parametrize("before", [(), ("env", "A=1"), ("nice",)])
def test_valgrind(before: tuple[str, ...], run: Run, tmp_path: Path) -> None:
    """It replaces the allocator too, of a program that is as good as any other."""
    path = tmp_path / "valgrind"
    path.write_text('#!/bin/sh\nexec "$@"\n')
    path.chmod(0o755)
    refused(run(*before, path, "true"), 126, "valgrind", "without it")


def test_set_user_id(monkeypatch: pytest.MonkeyPatch, compile_c: Callable[..., Path]) -> None:
    """A program that would change its user is refused; one that is already ours is not."""
    program = compile_c(MAIN)
    program.chmod(0o4755)
    preflight.check_recordable(program)
    monkeypatch.setattr(os, "getuid", lambda: program.stat().st_uid + 1)
    with pytest.raises(LaunchError, match="is set-user-ID") as caught:
        preflight.check_recordable(program)
    assert caught.value.exit_status == 126


def test_set_group_id(monkeypatch: pytest.MonkeyPatch, compile_c: Callable[..., Path]) -> None:
    program = compile_c(MAIN)
    program.chmod(0o2755)
    preflight.check_recordable(program)
    monkeypatch.setattr(os, "getgid", lambda: program.stat().st_gid + 1)
    with pytest.raises(LaunchError, match="is set-group-ID"):
        preflight.check_recordable(program)


def test_file_capabilities(monkeypatch: pytest.MonkeyPatch, compile_c: Callable[..., Path]) -> None:
    program = compile_c(MAIN)
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    preflight.check_recordable(program)
    monkeypatch.setattr(os, "getxattr", lambda path, name: b"\1\0\0\2")
    with pytest.raises(LaunchError, match="file capabilities"):
        preflight.check_recordable(program)


def test_unreadable_program_is_let_through(
    run: Run, compile_c: Callable[..., Path], tmp_path: Path
) -> None:
    """The loader itself, called with a program behind it, is no static program."""
    program = compile_c('#include <stdio.h>\nint main(void) { puts("in"); return 0; }\n')
    loader = elf.read(program).interpreter
    assert loader is not None
    assert run(loader, program).stdout == b"in\n"
    (tmp_path / "r.tide").unlink()


def _run(*words: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*HEAPTIDE, *map(str, words)], capture_output=True)


def test_existing_output(tmp_path: Path) -> None:
    """An existing recording is kept, and the program not run."""
    old = tmp_path / "old.tide"
    old.write_bytes(b"heaptide: precious")
    ran = tmp_path / "ran"
    refused(_run("run", "-o", old, "touch", ran), 125, str(old), "--force")
    assert old.read_bytes() == b"heaptide: precious"
    assert not ran.exists()


@pytest.mark.parametrize("force", [(), ("-f",)])
def test_output_that_is_no_recording(force: tuple[str, ...], tmp_path: Path) -> None:
    """`-f -o server.py server.py` does not cost anybody their program."""
    script = tmp_path / "server.py"
    script.write_text("print('ran')\n")
    refused(_run("run", *force, "-o", script, script), 125, str(script), "is no recording")
    assert script.read_text() == "print('ran')\n"
    empty = tmp_path / "made-by-mktemp"
    empty.touch()
    done = _run("run", "-q", "-f", "-o", empty, script)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"ran\n", b"")


def test_duration_of_nothing(tmp_path: Path) -> None:
    """It is not taken for none at all, and one that is too short is said to be it."""
    output, ran = tmp_path / "r.tide", tmp_path / "ran"
    for nothing in ("0", "0s", "0.0ms"):
        refused(_run("run", "--duration", nothing, "-o", output, "touch", ran), 2, "more than 0")
    assert not ran.exists()
    script = ("sh", "-c", f"sleep 0.3; touch {ran}")
    slow = ("env", "-u", "LD_PRELOAD", *script)
    done = _run("run", "--duration", "0.001ms", "-o", output, *slow)
    assert ran.exists()
    if done.returncode:  # the agent may have been quicker
        refused(done, 125, "--duration")


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("missing/r.tide", "is not a directory"),
        ("folder", "is a directory"),
        ("link", "symbolic link to what is not there"),
        ("file/r.tide", "Not a directory"),
        ("/dev/null", "not a regular file"),
        ("/proc/r.tide", "cannot be written"),
    ],
)
def test_impossible_output(tmp_path: Path, output: str, words: str) -> None:
    """A place where no recording can be is refused before the program runs."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "file").write_text("")
    ran = tmp_path / "ran"
    refused(_run("run", "-f", "-o", tmp_path / output, "touch", ran), 125, words)
    assert not ran.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no program to record"),
        (["-m"], "the name of a module"),
        (["-c"], "needs code"),
        (["--sample", "lots", "true"], "is not a size"),
        (["--sample", "0", "true"], "at least 1 byte"),
        (["--sample", "-5", "true"], "is not a size"),
        (["--duration", "soon", "true"], "is not a time"),
        (["--native", "some", "true"], "--native"),
        (["--no-such-option", "true"], "--no-such-option"),
        (["--max-size"], "--max-size"),
    ],
)
def test_usage(words: list[str], message: str) -> None:
    """A command line that makes no sense is refused with status 2."""
    refused(_run("run", *words), 2, message)


def test_no_stdout(run: Run, tmp_path: Path) -> None:
    """What can show nothing says so."""
    script = 'exec "$@" >&-'
    for words in (["show", "x.tide"], ["show", "--json", "x.tide"], ["open", "--no-browser", "x"]):
        command = ["sh", "-c", script, "sh", *HEAPTIDE, *words]
        refused(subprocess.run(command, capture_output=True), 1, "standard output is closed")


def test_few_descriptors(tmp_path: Path) -> None:
    """Too few to start anything."""
    script = 'ulimit -n 8; exec "$@"'
    command = ["sh", "-c", script, "sh", *HEAPTIDE, "run", "-o", str(tmp_path / "r.tide"), "true"]
    refused(subprocess.run(command, capture_output=True), 125, "file descriptors")


def test_unknown_command() -> None:
    refused(_run("recrod"), 2, "recrod")


def test_not_installed(tmp_path: Path) -> None:
    """Run from a source tree, where nothing native is, it says to install."""
    import heaptide

    package = tmp_path / "heaptide"
    subprocess.run(["cp", "-r", Path(heaptide.__file__).parent, package], check=True)
    subprocess.run(["rm", "-rf", package / "_native"], check=True)
    result = subprocess.run(
        [sys.executable, "-m", "heaptide", "run", "true"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
    )
    refused(result, 125, "pip install")
