"""Garbage collection and trim in Python programs, which are not to notice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import heaptide.idle._hooks as hooks

from .running import ONE, READY, SERVER, idle, measured

MB = 1_000_000
pytestmark = pytest.mark.interpreters


def python(folder: Path, code: str, *options: str, **more: str) -> str:
    """What a program prints that is prepared for both."""
    made = hooks.PythonHooks(folder, gc=True, trim=True).environment({**os.environ, **more})
    done = subprocess.run(
        [sys.executable, *options, "-c", code], env=made, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_nothing_is_changed_unless_asked(tmp_path: Path) -> None:
    base = {"PYTHONPATH": "a:b", "X": "1"}
    assert hooks.PythonHooks(tmp_path, gc=False, trim=False).environment(base) == base


def test_the_program_finds_its_path_and_modules(tmp_path: Path) -> None:
    """All but PYTHONPATH, whose beginning children inherit."""
    code = (
        "import sys, json; print(json.dumps([sys.path, sorted(sys.modules), "
        "[str(w) for w in sys.warnoptions]]))"
    )
    (tmp_path / "own").mkdir()
    own = str(tmp_path / "own")
    plain = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": own},
        capture_output=True,
        text=True,
    )
    path, modules, options = json.loads(plain.stdout)
    folder = tmp_path / "answers"
    folder.mkdir()
    ours = json.loads(python(folder, code, PYTHONPATH=own))
    assert ours[0] == path
    assert set(ours[1]) - set(modules) <= {"sitecustomize", "gc", "_signal"}
    assert set(modules) <= set(ours[1])
    assert ours[2] == options


def test_a_sitecustomize_of_the_program(tmp_path: Path) -> None:
    """It is run as if ours were not there, and its errors are told as always."""
    own = tmp_path / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text("import builtins\nbuiltins.found = __file__\n")
    code = "import sitecustomize; print(found, sitecustomize.__file__)"
    shown = python(tmp_path, code, PYTHONPATH=str(own)).split()
    assert shown == [str(own / "sitecustomize.py")] * 2
    (own / "sitecustomize.py").write_text("import not_there\n")
    words = [sys.executable, "-c", "print(1)"]
    ends = []
    for env in (
        {**os.environ, "PYTHONPATH": str(own)},
        hooks.PythonHooks(tmp_path, gc=True, trim=False).environment(
            {**os.environ, "PYTHONPATH": str(own)}
        ),
    ):
        done = subprocess.run(words, env=env, capture_output=True, text=True)
        ends.append((done.returncode, done.stdout, "not_there" in done.stderr))
    assert ends[0] == ends[1]


def test_without_a_place_to_answer(tmp_path: Path) -> None:
    """A program that may not write there runs on."""
    assert python(tmp_path / "gone", "print('fine')") == "fine\n"


def test_a_handler_that_is_there_is_left_alone(tmp_path: Path) -> None:
    """Of a program that was executed with the signal ignored, say."""
    code = f"import signal; print(signal.getsignal({hooks._SIGNAL}) == signal.SIG_IGN)"
    outer = (
        f"import os, signal, sys; signal.signal({hooks._SIGNAL}, signal.SIG_IGN); "
        f"os.execv(sys.executable, [sys.executable, '-c', {code!r}])"
    )
    assert python(tmp_path, outer) == "True\n"


def test_garbage_is_collected(tmp_path: Path) -> None:
    """20 MB in a cycle are there without --gc, and not with it."""
    plain = measured(tmp_path, *ONE, *READY, "--", SERVER, "garbage")["new"]
    clean = measured(tmp_path, *ONE, *READY, "--gc", "--", SERVER, "garbage")["new"]
    before, after = (found["figures"]["uss"]["median"] for found in (plain, clean))
    assert before - after > 19 * MB
    assert plain["starts"][0]["hooks"] == []
    assert clean["starts"][0]["hooks"] == [{"answered": 1, "processes": 1}] * 2


def test_memory_is_given_back(tmp_path: Path) -> None:
    """30 MB of small blocks under one that stays: free, but not the system's until it is asked."""
    program = tmp_path / "free.py"
    program.write_text(
        "import ctypes, time\n"
        "libc = ctypes.CDLL(None)\n"
        "libc.malloc.restype = ctypes.c_void_p\n"
        "libc.free.argtypes = [ctypes.c_void_p]\n"
        "blocks = [libc.malloc(3000) for _ in range(10_000)]\n"
        "for b in blocks: ctypes.memset(b, 1, 3000)\n"
        "for b in blocks[:-1]: libc.free(b)\n"
        "print('ready', flush=True)\n"
        "time.sleep(1000)\n"
    )
    plain = measured(tmp_path, *ONE, *READY, "--", str(program))["new"]
    trimmed = measured(tmp_path, *ONE, *READY, "--trim", "--", str(program))["new"]
    before, after = (found["figures"]["uss"]["median"] for found in (plain, trimmed))
    assert before - after > 25 * MB


def test_all_processes_take_part(tmp_path: Path) -> None:
    """Forked ones have what their parent has."""
    found = measured(tmp_path, *ONE, *READY, "--gc", "--trim", "--", SERVER, "forks", "3")["new"]
    assert found["starts"][0]["hooks"] == [{"answered": 4, "processes": 4}] * 2


@pytest.mark.parametrize(
    "words", [["sh", "-c", "echo ready; sleep 1000"], [sys.executable, "-I", SERVER, "plain"]]
)
def test_others_are_left_alone(tmp_path: Path, words: list[str]) -> None:
    """The signal would end them. It is said that they took no part."""
    done = idle(tmp_path, *ONE, *READY, "--gc", "--", *words)
    assert "did not take part" in " ".join(done.stdout.split())


def test_the_program_does_not_notice(tmp_path: Path) -> None:
    """One that waits in a call, handles signals by itself, and counts what wakes it."""
    program = tmp_path / "waits.py"
    program.write_text(
        "import asyncio, signal, time\n"
        "async def main():\n"
        "    loop = asyncio.get_running_loop()\n"
        "    stop = asyncio.Event()\n"
        "    loop.add_signal_handler(signal.SIGTERM, stop.set)\n"
        "    print('ready', flush=True)\n"
        "    start = time.monotonic()\n"
        "    await asyncio.sleep(0.7)\n"
        "    slept = time.monotonic() - start\n"
        "    await stop.wait()\n"
        "    open('ended', 'w').write(str(slept >= 0.69))\n"
        "asyncio.run(main())\n"
    )
    found = measured(tmp_path, *ONE, *READY, "--gc", "--trim", "--", str(program))["new"]
    assert found["starts"][0]["hooks"] == [{"answered": 1, "processes": 1}] * 2
    assert (tmp_path / "ended").read_text() == "True"
