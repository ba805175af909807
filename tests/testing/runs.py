"""Pytest run by pytest, with the plugin."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

# Not anew with each pytest that runs in this process.
import heaptide.testing._benchmark
import heaptide.testing._isolate
import heaptide.testing._session  # noqa: F401

ALONE = ("-p", "no:asyncio", "-p", "no:cov", "-p", "no:rerunfailures", "-p", "no:xdist")


class Outcome:
    """What a run of pytest said."""

    def __init__(self, result: pytest.RunResult, path: Path) -> None:
        usage = result.ret == pytest.ExitCode.USAGE_ERROR
        self.counts = {} if usage else result.parseoutcomes()
        self.status = result.ret
        self.text = result.stdout.str()
        self.errors = result.stderr.str()
        self.path = path

    @property
    def results(self) -> dict[str, dict[str, object]]:
        """The tests of --memory-json, by their names."""
        document = json.loads((self.path / "memory.json").read_text())
        assert document["schema_version"] == 1
        return {test["test"].rpartition("::")[2]: test for test in document["tests"]}


def run(pytester: pytest.Pytester, source: str, *options: str, plugins: bool = False) -> Outcome:
    """The tests of ``source``, measured as they say: in this process, or beside all the other
    ``plugins`` in one of its own."""
    (pytester.path / "test_it.py").write_text("import pytest\n" + source)
    (pytester.path / "memory.json").unlink(missing_ok=True)
    if plugins:
        result = pytester.runpytest_subprocess("--memory-json=memory.json", *options)
    else:
        result = pytester.runpytest_inprocess(*ALONE, "--memory-json=memory.json", *options)
    return Outcome(result, pytester.path)


def mark(arguments: str, body: str, *, name: str = "test_it", before: str = "") -> str:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return f"{before}\n@pytest.mark.memory({arguments})\ndef {name}():\n{lines}\n"
