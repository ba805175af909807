"""A test in a process of its own: another pytest that runs this one test."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from heaptide.testing._results import TestResult

if TYPE_CHECKING:
    from heaptide.testing._project import Project

OPTION = "--memory-isolated"
SKIPPED = "skipped"

# With their values, of the whole session and not of one of its tests.
_VALUED = frozenset(
    [
        "-n",
        "--numprocesses",
        "--dist",
        "--maxprocesses",
        "--junitxml",
        "--junit-xml",
        "--memory-json",
        "-k",
        "-m",
        "--deselect",
        "--reruns",
        "--log-file",
        "--maxfail",
    ]
)
_ALONE = frozenset(
    [
        "--lf",
        "--last-failed",
        "--ff",
        "--failed-first",
        "--nf",
        "--new-first",
        "-x",
        "--sw",
        "--stepwise",
        "--exitfirst",
        "--pdb",
        "--trace",
        "--memory-update",
        "-v",
        "-vv",
    ]
)
_BEGINNINGS = ("--cov", "--html", "--memory-top")


def recording_beside(answer: Path) -> Path:
    """Where the test's own process records to, by where it answers."""
    return answer.with_name("recording.tide")


def run_apart(item: pytest.Item, project: Project, kept: Path | None) -> TestResult:
    """Runs the test there and gives its result; its recording goes to ``kept``. Skips, or fails
    with its report, as it does."""
    __tracebackhide__ = True
    with tempfile.TemporaryDirectory(prefix="heaptide-") as folder:
        answer = Path(folder) / "result.json"
        command = [
            sys.executable,
            "-m",
            "pytest",
            *_arguments(project.arguments, item.config),
            item.nodeid,
            f"--rootdir={item.config.rootpath}",
            OPTION,
            os.fspath(answer),
            "--color=no",
            "-q",
        ]
        done = subprocess.run(
            command,
            cwd=item.config.invocation_params.dir,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        try:
            found = json.loads(answer.read_text())
        except (OSError, ValueError):
            found = None
        if kept is not None and recording_beside(answer).exists():
            shutil.move(os.fspath(recording_beside(answer)), kept)
    if found is None:
        pytest.fail(
            f"memory: the test's own process ended with status {done.returncode} and no result:\n"
            + (done.stdout + done.stderr)[-4000:],
            pytrace=False,
        )
    if SKIPPED in found:
        pytest.skip(found[SKIPPED])
    if "failed" in found:
        pytest.fail(f"in a process of its own:\n{found['failed']}", pytrace=False)
    return TestResult.from_json(json.dumps(found["result"]))


def _arguments(arguments: Sequence[str], config: pytest.Config) -> list[str]:
    """Those of this session but for what is about all its tests, and which they are."""
    chosen = set(map(str, config.option.file_or_dir or ()))
    kept: list[str] = []
    words = iter(arguments)
    for word in words:
        name = word.partition("=")[0]
        if name in _VALUED:
            if "=" not in word:
                next(words, None)
        elif word.startswith("-n") and word[2:].isdigit():
            continue
        elif word not in chosen and word not in _ALONE and not word.startswith(_BEGINNINGS):
            kept.append(word)
    if config.pluginmanager.hasplugin("xdist"):
        kept += ["-n0"]
    return kept


def _environment() -> dict[str, str]:
    """Sets and strings in the same order each time; no bytecode written."""
    hidden = ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_CURRENT_TEST")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    kept.setdefault("PYTHONHASHSEED", "0")
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1"}
