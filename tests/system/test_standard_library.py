"""CPython's own tests give the same results with and without recording."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from tests.conftest import Record
from tests.support.building import PROGRAMS
from tests.support.recorded import Recorded

pytestmark = pytest.mark.system

# On every interpreter: what concerns frames, code objects, allocators, hooks, threads, forks.
EVERYWHERE = [
    "test_capi.test_mem",
    "test_code",
    "test_coroutines",
    "test_cprofile",
    "test_ctypes",
    "test_fork1",
    "test_gc",
    "test_generators",
    "test_mmap",
    "test_monitoring",
    "test_sys",
    "test_sys_setprofile",
    "test_sys_settrace",
    "test_thread",
    "test_threadsignals",
    "test_tracemalloc",
]
# On the main interpreter: programs started and forked, signals, files, C libraries.
HERE = [
    "test_asyncio.test_base_events",
    "test_asyncio.test_subprocess",
    "test_bdb",
    "test_bytes",
    "test_cmd_line",
    "test_concurrent_futures.test_process_pool",
    "test_concurrent_futures.test_thread_pool",
    "test_dict",
    "test_exceptions",
    "test_faulthandler",
    "test_json",
    "test_list",
    "test_multiprocessing_main_handling",
    "test_os",
    "test_pdb",
    "test_popen",
    "test_posix",
    "test_pty",
    "test_set",
    "test_signal",
    "test_sqlite3",
    "test_subprocess",
    "test_threading",
    "test_weakref",
    "test_zlib",
]

# Tests that ask the interpreter which allocator it uses: with hooks on it, none that it knows. They
# must end differently, or this list is out of date.
ASK_FOR_THE_ALLOCATOR = {
    "test.test_cmd_line.CmdLineTest.test_pythonmalloc",
    "test.test_cmd_line.CmdLineTest.test_xdev",
}
if sys.version_info >= (3, 11):  # earlier, it asks for the freelists only
    ASK_FOR_THE_ALLOCATOR.add("test.test_sys.SysModuleTest.test_debugmallocstats")
# The beginnings of ids, and why these tests say nothing here.
WITHOUT = {
    "test_os.TimerfdTests": "fail on a machine that is busy for a millisecond",
    "test_signal.ItimerTest.test_itimer_prof": "skipped or not by how busy the machine is",
    "test_signal.ItimerTest.test_itimer_virtual": "skipped or not by how busy the machine is",
    "test_subprocess.ProcessTestCaseNoPoll": "ProcessTestCase once more, without poll()",
    "test_tracemalloc.TestTracemallocEnabled.test_snapshot": "looks at one trace of a hash table",
}


def is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(f"test.{module}") is not None
    except ImportError:
        return False


class Suite:
    """Runs a test module of the standard library, plainly or recorded."""

    def __init__(self, module: str, record: Record, directory: Path) -> None:
        self.module = module
        self._record = record
        self._directory = directory

    def _command(self, outcomes: Path, only: Iterable[str]) -> list[str]:
        # In a session of their own: what these tests send to their process group, and their
        # terminal, must not be this one's. The bound is against a hang only.
        apart = ["setsid", "-w", "timeout", "-k", "10", "500"]
        command = [*apart, sys.executable, str(PROGRAMS / "suite.py"), str(outcomes), self.module]
        without = [name for name in WITHOUT if name.startswith(f"{self.module}.")]
        if without:
            command += ["--without", *without]
        return [*command, "--only", *only] if only else command

    def _place(self, name: str) -> tuple[Path, Path, dict[str, str]]:
        """Where outcomes are written, a new directory to run in, and what tells of it."""
        work = self._directory / name
        work.mkdir()
        return self._directory / f"{name}.json", work, {"TMPDIR": str(work)}

    def plain(self) -> dict[str, str]:
        outcomes, work, env = self._place("plain")
        done = subprocess.run(
            self._command(outcomes, ()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            cwd=work,
            env={**os.environ, **env},
        )
        assert outcomes.exists(), done.stdout[-5000:].decode(errors="replace")
        read: dict[str, str] = json.loads(outcomes.read_text())
        return read

    def recorded(self, name: str, only: Sequence[str] = ()) -> tuple[dict[str, str], Recorded]:
        outcomes, work, env = self._place(name)
        options = ("--quiet", "--no-symbols")
        done = self._record(self._command(outcomes, only), *options, env=env, cwd=work, input="")
        assert outcomes.exists(), done.stderr[-5000:]
        return json.loads(outcomes.read_text()), done


def differing(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    """Tests that do not end as they do plainly. Of a test that fails plainly nothing is said."""
    names = sorted({*expected, *found})
    said = [name for name in names if expected.get(name) not in ("failure", "error")]
    return [name for name in said if found.get(name) != expected.get(name)]


@pytest.mark.parametrize(
    "module",
    [*(pytest.param(name, marks=pytest.mark.interpreters) for name in EVERYWHERE), *HERE],
)
def test_same_outcomes(module: str, record: Record, tmp_path: Path) -> None:
    """Every test of a module ends as it does without the recorder."""
    if not is_there(module):
        pytest.skip(f"this interpreter has no test.{module}")
    suite = Suite(module, record, tmp_path)
    expected = suite.plain()
    assert sum(outcome == "success" for outcome in expected.values()) > 0, expected
    found, recorded = suite.recorded("recorded")
    different = differing(expected, found)
    changed = ASK_FOR_THE_ALLOCATOR.intersection(expected)
    assert changed.issubset(different), "these may be compared now"
    different = [name for name in different if name not in changed]
    if different:
        # Tests of timing fail by chance, plainly too; as CPython's own runs do, those that failed
        # are run again by themselves.
        again, _ = suite.recorded("again", different)
        found.update(again)
        different = [name for name in differing(expected, found) if name not in changed]
    report = {name: (expected.get(name), found.get(name)) for name in different}
    assert not report, recorded.stderr[-5000:]
    assert recorded.summary["allocations"] > 1000
