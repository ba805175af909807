"""Where the memory of a failed test came from: what is listed, and pointed at on GitHub."""

from __future__ import annotations

import re

import pytest

from tests.testing.runs import mark, run

on_each = pytest.mark.interpreters

# Allocates much that goes at once, and holds little more.
BEFORE = """
kept = []
def churn():
    for _ in range(100):
        bytes(50_000)
def hold():
    return list(map(bytes, [1000] * {count}))
"""
CHURN, HOLD = 6, 8  # the lines, below that of the import


def listed(lines: object) -> dict[str, list[str]]:
    """By heading, the innermost functions of the stacks below it."""
    assert isinstance(lines, list)
    found: dict[str, list[str]] = {}
    sized = False
    for line in lines:
        if line.endswith(":") and not line.startswith(" "):
            found[line] = names = []
        elif re.match(r"  \d", line):
            sized = True
        elif sized:
            name = line.split()[0].partition(".")[0]
            names += [name] if name not in names else []
            sized = False
    return found


def places(text: str) -> list[str]:
    """Of the warnings of a workflow."""
    return re.findall(r"^::warning file=([^:]*?),title=", text, re.MULTILINE)


@on_each
def test_a_peak_is_told_by_who_held_it(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by who allocated most in total, before it or after it."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(pytester.path))
    source = BEFORE.format(count=200) + mark(
        '"100 kB"', "churn()\nmine = hold()\ndel mine\nchurn()"
    )
    found = run(pytester, source)
    [test] = found.results.values()
    assert listed(test["problems"]) == {"what held the peak:": ["hold"]}
    assert places(found.text) == [f"test_it.py,line={HOLD}"]


def test_peaks_of_small_tests_and_of_repeats(pytester: pytest.Pytester) -> None:
    """What a warm-up, another repeat or a leak check holds is not the peak's."""
    before = BEFORE.format(count=3) + "runs = [0]\n"
    body = "runs[0] += 1\nmine = hold() if runs[0] != 1 else bytes(9_000_000)"
    options = "warmup=1, repeats=3, leaked='9 MB'"
    found = run(pytester, mark(f'"1 kB", {options}', body, before=before))
    [test] = found.results.values()
    assert listed(test["problems"]) == {"what held the peak:": ["hold"]}
    assert found.counts == {"failed": 1}
    assert run(pytester, mark(f'"5 kB", {options}', body, before=before)).counts == {"passed": 1}


@pytest.mark.parametrize(("threads", "holders"), [(False, ["hold"]), (True, ["work"])])
def test_peaks_beside_other_threads(
    pytester: pytest.Pytester, threads: bool, holders: list[str]
) -> None:
    """What others held is listed where it counts."""
    before = BEFORE.format(count=200) + (
        "import threading\nfree, done = threading.Event(), threading.Event()\n"
        "def work():\n    large = bytes(90_000_000)\n    done.set()\n    free.wait()\n"
    )
    body = (
        "thread = threading.Thread(target=work)\nthread.start()\ndone.wait()\n"
        "free.set()\nthread.join()\nmine = hold()"
    )
    found = run(pytester, mark(f'"100 kB", threads={threads}', body, before=before))
    [test] = found.results.values()
    assert listed(test["problems"]) == {"what held the peak:": holders}


def test_peaks_of_tests_that_measure(pytester: pytest.Pytester) -> None:
    """A block that is measured within a test leaves the test's peak as it is."""
    body = "mine = hold()\ndel mine\nwith heaptide.measure() as m:\n    churn()\nassert m.peak"
    before = "import heaptide\n" + BEFORE.format(count=200)
    found = run(pytester, mark('"100 kB"', body, before=before))
    [test] = found.results.values()
    assert listed(test["problems"]) == {"what held the peak:": ["hold"]}


def test_other_limits(pytester: pytest.Pytester) -> None:
    """What is alive at the end, and what was allocated, each under its heading."""
    before = BEFORE.format(count=10)
    body = "churn()\nkept.append(hold())"
    found = run(pytester, mark('"1 kB", live="1 kB", total="1 kB"', body, before=before))
    [test] = found.results.values()
    assert listed(test["problems"]) == {
        "what held the peak:": ["churn"],
        "what was alive at the end:": ["hold"],
        "most was allocated in:": ["churn"],
    }


def test_benchmarks(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    source = (
        BEFORE.format(count=200)
        + """
def both():
    churn()
    return hold()
@pytest.mark.memory("100 kB")
def test_it(memory_benchmark):
    memory_benchmark(both)
"""
    )
    found = run(pytester, source)
    [test] = found.results.values()
    assert listed(test["problems"]) == {"what held the peak:": ["hold"]}
    assert places(found.text) == [f"test_it.py,line={HOLD}"]


# -------------------------------------------------------------------------------- baselines


@pytest.mark.parametrize(
    "test",
    [
        mark("", "churn()\nmine = hold()"),
        mark("isolate=True", "churn()\nmine = hold()"),
        (
            "def both():\n    churn()\n    return hold()\n"
            "def test_it(memory_benchmark):\n    memory_benchmark(both)\n"
        ),
    ],
    ids=["test", "isolated", "benchmark"],
)
def test_what_has_grown_is_pointed_at(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, test: str
) -> None:
    """The line that holds more, and the same in the summary of the step; also where the recording
    of the baseline is not there."""
    summary = pytester.path / "summary.md"
    assert run(pytester, BEFORE.format(count=200) + test, "--memory-update").counts == {"passed": 1}
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_WORKSPACE", str(pytester.path))
    found = run(pytester, BEFORE.format(count=400) + test)
    [result] = found.results.values()
    headings = listed(result["problems"])
    [peak] = [names for heading, names in headings.items() if "holds more at the peak" in heading]
    [total] = [names for heading, names in headings.items() if "what grew" in heading]
    assert peak == total == ["hold"]
    assert places(found.text) == [f"test_it.py,line={HOLD}"]
    assert "what holds more at the peak:" in summary.read_text()
    for path in (pytester.path / ".heaptide").glob("*.base.tide"):
        path.unlink()
    found = run(pytester, BEFORE.format(count=400) + test)
    [result] = found.results.values()
    headings = listed(result["problems"])
    assert headings["what holds the peak:"] == ["hold"]
    assert places(found.text) == [f"test_it.py,line={HOLD}"]


def test_what_is_the_same_is_not_pointed_at(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    source = BEFORE.format(count=200) + mark("", "churn()\nmine = hold()")
    run(pytester, source, "--memory-update")
    assert places(run(pytester, source).text) == []


def test_more_allocations_point_at_what_allocates_them(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same peak as before."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    source = BEFORE.format(count=200) + mark("", "churn()\nmine = hold()")
    run(pytester, source, "--memory-update")
    found = run(pytester, source.replace("range(100)", "range(300)"))
    [result] = found.results.values()
    assert listed(result["problems"])["what grew:"] == ["churn"]
    assert places(found.text) == [f"test_it.py,line={CHURN}"]


def test_what_runs_the_test_is_no_growth(pytester: pytest.Pytester) -> None:
    """A baseline of one process, compared by workers: only what the body has more."""
    options = ("-p", "no:asyncio", "-p", "no:cov")
    source = BEFORE + mark("", "churn()\nmine = hold()\nother = [bytes(5000) for _ in range(9)]")
    found = run(pytester, source.format(count=200), *options, "--memory-update", plugins=True)
    assert found.counts == {"passed": 1}, found.text
    found = run(pytester, source.format(count=400), *options, "-n1", plugins=True)
    [result] = found.results.values()
    headings = listed(result["problems"])
    assert headings["what holds more at the peak:"] == headings["what grew:"] == ["hold"]
