"""The pytest plugin: benchmarks and baselines."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.testing.runs import mark, run

BENCH = """
def test_it(memory_benchmark):
    assert memory_benchmark(lambda n: [bytes(1000) for _ in range(n)], {count})
def test_limits():
    pass
@pytest.mark.memory
def test_marked():
    kept = [bytes(1000) for _ in range({count})]
"""


def test_memory_benchmark(pytester: pytest.Pytester) -> None:
    found = run(pytester, BENCH.format(count=10))
    assert found.counts == {"passed": 3}, found.text
    figures = found.results["test_it"]["benchmark"]
    assert isinstance(figures, dict)
    assert 10 <= figures["allocations"] < 20
    assert 10_330 <= figures["bytes"] < 11_000
    assert 10_330 <= figures["peak"] < 12_000  # what the call before has given is gone
    assert figures["iterations"] == 10
    again = run(pytester, BENCH.format(count=10), "--memory-all", "--memory-limit=peak=1GB")
    assert again.results["test_it"]["benchmark"] == figures
    source = """
def test_twice(memory_benchmark):
    memory_benchmark(len, "x")
    memory_benchmark(len, "x")
def test_numbers(memory_benchmark):
    calls = []
    memory_benchmark.pedantic(calls.append, (1,), iterations=3, warmup=1, rounds=2)
    assert len(calls) == 7
def test_none(memory_benchmark):
    memory_benchmark.pedantic(len, ("x",), iterations=0)
"""
    found = run(pytester, source)
    assert found.counts == {"passed": 1, "failed": 2}
    assert "once is all" in found.text
    assert "at least 1" in found.text


def test_benchmarks_that_measure_nothing(pytester: pytest.Pytester) -> None:
    """Each is an error in one line, without frames of heaptide."""
    source = """
import functools
async def later(): return [bytes(10000)]
def test_forgets(memory_benchmark): bytes(10)
def test_later(memory_benchmark): memory_benchmark(later)
def test_lambda(memory_benchmark): memory_benchmark(lambda: later())
def test_rounds(memory_benchmark): memory_benchmark.pedantic(len, ("x",), rounds="x")
def test_args(memory_benchmark): memory_benchmark.pedantic(len, 3)
def test_three(memory_benchmark): memory_benchmark(3)
def test_raises(memory_benchmark): memory_benchmark(lambda: 1 / 0)
def test_skips(memory_benchmark): pytest.skip("today")
"""
    found = run(pytester, source)
    assert found.counts == {"failed": 7, "skipped": 1}, found.text
    assert "memory: nothing was measured: memory_benchmark has not been called. Call" in found.text
    assert found.text.count("E   heaptide.errors.UsageError: memory_benchmark: ") == 4
    assert found.text.count("only makes the coroutine: measure one that runs it") >= 2
    assert "rounds='x': it is a number, at least 1" in found.text
    assert "_benchmark.py" not in found.text
    assert found.results == {}


def test_limits_of_benchmarks(pytester: pytest.Pytester) -> None:
    """Are those of an iteration, and what they limit has to be called."""
    source = """
def make(count):
    return [bytes(1000) for _ in range(count)]
@pytest.mark.memory("15 kB", total="15 kB", allocations=20, temporary="90 %")
def test_keeps(memory_benchmark):
    bytes(9_000_000)
    assert len(memory_benchmark(make, 10)) == 10
@pytest.mark.memory(total="5 kB")
def test_exceeds(memory_benchmark):
    memory_benchmark(make, 10)
@pytest.mark.memory("1 MB")
def test_forgets(memory_benchmark):
    bytes(1000)
@pytest.mark.memory("1 MB")
def test_skips(memory_benchmark):
    pytest.skip("today")
"""
    found = run(pytester, source)
    assert found.counts == {"passed": 1, "failed": 2, "skipped": 1}, found.text
    results = found.results
    assert {name: test["status"] for name, test in results.items()} == {
        "test_keeps": "ok",
        "test_exceeds": "over",
    }
    assert results["test_exceeds"]["limits"] == {"total": 5000}
    assert re.search(r"make.* \(test_it\.py:\d+\)", found.text)
    assert "memory_benchmark has not been called" in found.text
    found = run(pytester, source.replace('total="5 kB"', "leaked=0"))
    assert found.status == pytest.ExitCode.USAGE_ERROR
    assert "leaked cannot be limited in a test with memory_benchmark" in found.errors
    # Of the project's limits those count that can.
    options = ("--memory-limit=leaked=0", "--memory-limit=total=5kB")
    found = run(pytester, BENCH.format(count=10), *options)
    assert found.results["test_it"]["status"] == "over"


def test_baselines(pytester: pytest.Pytester) -> None:
    """New, the same, higher (with what grew and both recordings), written anew."""
    found = run(pytester, BENCH.format(count=10))
    assert found.results["test_marked"]["baseline"] == ""
    found = run(pytester, BENCH.format(count=10), "--memory-update")
    assert found.counts == {"passed": 3}
    document = json.loads((pytester.path / "memory-baseline.json").read_text())
    assert set(document["tests"]) == {"test_it.py::test_it", "test_it.py::test_marked"}
    assert len(document["environments"]) == 1
    found = run(pytester, BENCH.format(count=10))
    assert found.counts == {"passed": 3}, found.text
    assert found.results["test_marked"]["baseline"] == "same"
    assert found.results["test_it"]["baseline"] == "same"

    found = run(pytester, BENCH.format(count=20) + mark("", "bytes(9)", name="test_new"))
    assert found.counts == {"passed": 2, "failed": 2}, found.text
    results = found.results
    assert {name: test["baseline"] for name, test in results.items()} == {
        "test_it": "higher",
        "test_marked": "higher",
        "test_new": "new",
    }
    assert "what grew:" in found.text
    assert "both recordings are kept" in found.text
    recordings = results["test_marked"]["recordings"]
    assert isinstance(recordings, list)
    assert len(recordings) == 2
    assert all(Path(path).exists() for path in recordings)
    # Printed twice where pytest's summary is whole: it is in CI.
    [command] = set(re.findall(r"heaptide open (.*test_marked.*)", found.text))
    assert len(command.split()) == 2

    grown = [line for line in found.text.splitlines() if re.match(r" {4}\S.* \(.*:\d+\)$", line)]
    assert grown and all("test_it.py:" in line for line in grown), found.text

    assert run(pytester, BENCH.format(count=5)).results["test_it"]["baseline"] == "lower"
    assert run(pytester, BENCH.format(count=20), "--memory-update").counts == {"passed": 3}
    assert run(pytester, BENCH.format(count=20)).counts == {"passed": 3}
    assert run(pytester, BENCH.format(count=20)).results["test_it"]["baseline"] == "same"
    leftovers = [path.name for path in (pytester.path / ".heaptide").iterdir()]
    assert not any(name.endswith(".partial") for name in leftovers)


def test_baselines_of_isolated_tests(pytester: pytest.Pytester) -> None:
    """Are held and written by who asks: exactly, with both recordings."""
    source = mark("isolate=True", "kept = bytes({})")
    assert run(pytester, source.format(1_000_000), "--memory-update").counts == {"passed": 1}
    assert run(pytester, source.format(1_000_000)).results["test_it"]["baseline"] == "same"
    found = run(pytester, source.format(2_000_000))
    assert found.counts == {"failed": 1}
    recordings = found.results["test_it"]["recordings"]
    assert isinstance(recordings, list)
    assert len(recordings) == 2
    assert "of another environment" not in found.text
    assert "what grew:" in found.text
    assert run(pytester, source.format(2_000_000), "--memory-update").counts == {"passed": 1}
    assert run(pytester, source.format(2_000_000)).results["test_it"]["baseline"] == "same"


def test_baselines_of_another_environment(pytester: pytest.Pytester) -> None:
    """Are held to within a tolerance."""
    source = mark("", "kept = [bytes(1000) for _ in range({})]")
    run(pytester, source.format(1000), "--memory-update")
    path = pytester.path / "memory-baseline.json"
    document = json.loads(path.read_text())
    [entry] = document["tests"]["test_it.py::test_it"].values()
    document["tests"]["test_it.py::test_it"] = {"another": entry}
    document["environments"] = {"another": {}}
    path.write_text(json.dumps(document))
    assert run(pytester, source.format(1020)).results["test_it"]["baseline"] == "same"
    found = run(pytester, source.format(1200))
    assert found.results["test_it"]["baseline"] == "higher"
    assert "of another environment" in found.text
    pytester.makeini("[pytest]\nmemory_growth = other: 50 %, 1 kB, 50 %, 10\n")
    assert run(pytester, source.format(1200)).results["test_it"]["baseline"] == "same"
    assert run(pytester, source.format(1200), "--memory-update").counts == {"passed": 1}
    assert len(json.loads(path.read_text())["tests"]["test_it.py::test_it"]) == 2
    path.write_text("{]")
    for options in ((), ("--memory-update",)):  # what may be worth something is not overwritten
        found = run(pytester, source.format(1000), *options)
        assert found.status == pytest.ExitCode.USAGE_ERROR
        assert "is no baseline" in found.errors
    assert path.read_text() == "{]"
