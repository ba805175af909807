"""CPython's own tests give the same results with and without recording."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tempfile

import pytest

from tests.conftest import Record

pytestmark = pytest.mark.system

# Modules that allocate, fork, start threads and programs, take signals, map memory.
MODULES = [
    "test_json",
    "test_list",
    "test_dict",
    "test_set",
    "test_bytes",
    "test_thread",
    "test_subprocess",
    "test_threadsignals",
    "test_fork1",
    "test_mmap",
    "test_generators",
    "test_coroutines",
    "test_exceptions",
    "test_gc",
    "test_weakref",
    "test_ctypes",
    "test_sys_setprofile",
    "test_sys_settrace",
    "test_code",
    "test_popen",
    "test_pty",
    "test_tracemalloc",
]

_RAN = re.compile(r"^Ran (\d+) tests?", re.MULTILINE)
_LAST = re.compile(r"^(OK|FAILED|NO TESTS RAN)(?: \((.*)\))?$", re.MULTILINE)


def outcome(status: int, output: str) -> tuple[int, list[str], str, list[str]]:
    """Exit status, tests run, verdict with its counts, and what failed."""
    failed = sorted(set(re.findall(r"^(?:FAIL|ERROR): .*$", output, re.MULTILINE)))
    last = _LAST.findall(output)
    return status, _RAN.findall(output), str(last[-1:]), failed


@pytest.mark.parametrize("module", MODULES)
def test_same_outcome(module: str, record: Record) -> None:
    """Every test of a module ends as it does without the recorder."""
    if importlib.util.find_spec("test") is None or not importlib.util.find_spec(f"test.{module}"):
        pytest.skip(f"this interpreter has no test.{module}")
    # In a session of its own: what these tests send to their process group must not reach this one.
    command = ["setsid", "-w", sys.executable, "-m", "unittest", "-v", f"test.{module}"]
    with tempfile.TemporaryDirectory() as directory:
        plain = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            stdin=subprocess.DEVNULL,
            cwd=directory,
            env={**os.environ, "TMPDIR": directory},
        )
        expected = outcome(plain.returncode, plain.stderr)
        assert expected[1], plain.stderr
        if plain.returncode != 0:
            pytest.skip(f"test.{module} does not pass here without recording: {expected[3]}")
        recorded = record(command, env={"TMPDIR": directory})
    assert outcome(recorded.status, recorded.stderr) == expected, recorded.stderr[-5000:]
    assert recorded.summary["allocations"] > 1000
