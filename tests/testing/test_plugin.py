"""The pytest plugin: pytest run by pytest, for each option, as it passes and as it fails."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.testing.runs import ALONE, mark, run

on_each = pytest.mark.interpreters

# ------------------------------------------------------------------------------------- limits


@pytest.mark.parametrize(
    ("arguments", "body", "keeps"),
    [
        ('peak="1 MB"', "bytes(900_000)", True),
        ('peak="1 MB"', "bytes(1_100_000)", False),
        ('"1 MiB"', "bytes(1_040_000)", True),
        ('"1 MB"', "bytes(1_040_000)", False),
        ('total="1 MB"', "for _ in range(9): bytes(100_000)", True),
        ('total="1 MB"', "for _ in range(11): bytes(100_000)", False),
        ("allocations=60", "for _ in range(50): bytes(2000)", True),
        ("allocations=60", "for _ in range(70): bytes(2000)", False),
        ("reallocations=5", "bytes(10)", True),
        ("reallocations=5", "x = []\nfor i in range(1000): x.append(i)", False),
        ('copied="1 kB"', "bytes(10)", True),
        ('copied="1 kB"', "x = bytearray()\nfor i in range(9999): x += b'x'", False),
        ('temporary="50 %"', "x = [bytes(2000) for _ in range(100)]", True),
        ('temporary="50 %"', "for _ in range(100): bytes(2000)", False),
        ('live="10 kB"', "bytes(100_000)", True),
        ('live="10 kB"', "global kept\nkept = bytes(100_000)", False),
        ("live_blocks=10", "x = [bytes(100) for _ in range(50)]", True),
        ("live_blocks=10", "global kept\nkept = [bytes(1000) for _ in range(50)]", False),
    ],
)
def test_limits(pytester: pytest.Pytester, arguments: str, body: str, keeps: bool) -> None:
    """Each is kept by what keeps it, and fails what does not, with the line in the report."""
    found = run(pytester, mark(arguments, body))
    assert found.counts == ({"passed": 1} if keeps else {"failed": 1}), found.text
    [test] = found.results.values()
    assert test["status"] == ("ok" if keeps else "over")
    figures, limits = test["figures"], test["limits"]
    assert isinstance(figures, dict)
    assert isinstance(limits, dict)
    whole = [value for name, value in {**figures, **limits}.items() if name != "temporary"]
    assert all(isinstance(value, int) for value in whole)
    if not keeps:
        assert "memory: " in found.text
        assert re.search(r"test_it \(.*test_it\.py:\d+\)", found.text)


@on_each
def test_figures_are_those_of_the_body(pytester: pytest.Pytester) -> None:
    """Not of fixtures, of other tests, or of what runs them; the same each time."""
    source = """
@pytest.fixture
def large():
    yield bytes(50_000_000)
    bytes(40_000_000)

@pytest.mark.parametrize("turn", range(20))
@pytest.mark.memory(peak="2 MB")
def test_it(turn, large, tmp_path):
    kept = [bytes(1000) for _ in range(1000)]

def test_other():
    bytes(70_000_000)
"""
    found = run(pytester, source)
    assert found.counts == {"passed": 21}, found.text
    figures = [test["figures"] for test in found.results.values()]
    assert len(figures) == 20
    assert all(one == figures[0] for one in figures)
    assert isinstance(figures[0], dict)
    assert 1_033_000 <= figures[0]["peak"] < 1_060_000


def test_nothing_but_the_body_is_counted(pytester: pytest.Pytester) -> None:
    """To the byte: a body that gives back all it takes leaves nothing, and its peak is whole."""
    body = "n = 9000\nx = b'x' * n"  # no list of free objects gives or takes any of it
    source = mark("live=0, live_blocks=0", body, name="test_one")
    source += mark("live=0, live_blocks=0, repeats=3", body, name="test_many")
    found = run(pytester, source)
    assert found.counts == {"passed": 2}, found.text
    size = sys.getsizeof(bytes(9000))
    for test in found.results.values():
        assert test["figures"] == {
            "peak": size,
            "total": size,
            "allocations": 1,
            "live": 0,
            "live_blocks": 0,
        }


def test_lines_are_shown_once(pytester: pytest.Pytester) -> None:
    """What differs by its column only is one place; files as they are called from here."""
    body = "x = [bytes(n) for n in (1000, 2000, 3000)], [bytes(n) for n in (1000, 2000, 3000)]"
    found = run(pytester, mark('total="1 kB"', body))
    [test] = found.results.values()
    problems = test["problems"]
    assert isinstance(problems, list)
    places = [line for line in problems if line.startswith("    ")]
    assert "    test_it (test_it.py:5)" in places
    heads = [n for n, line in enumerate(problems) if re.match(r"  \S", line)]
    shown = [tuple(problems[a + 1 : b]) for a, b in zip(heads, [*heads[1:], len(problems)])]
    assert len(shown) == len(set(shown))


def test_a_failing_test_is_not_judged(pytester: pytest.Pytester) -> None:
    source = mark("allocations=0", "bytes(1000)\nassert not 1, 'for itself'")
    found = run(pytester, source)
    assert found.counts == {"failed": 1}
    assert "for itself" in found.text
    assert "memory: calls" not in found.text
    source = mark("allocations=0", "bytes(1000)\npytest.skip('not here')")
    assert run(pytester, source).counts == {"skipped": 1}
    source = "@pytest.mark.xfail(strict=True)" + mark('peak="1 kB"', "bytes(5000)")
    assert run(pytester, source).counts == {"xfailed": 1}


def test_nothing_measured_is_an_error(pytester: pytest.Pytester) -> None:
    """Never a pass; unless that is what is asked for."""
    found = run(pytester, mark('peak="1 MB"', "pass"))
    assert found.counts == {"failed": 1}
    assert "nothing was measured" in found.text
    assert run(pytester, mark("allocations=0", "pass")).counts == {"passed": 1}
    source = """
import unittest.mock
@pytest.mark.memory(peak="1 MB")
def test_it():
    bytes(1000)
"""
    (pytester.path / "conftest.py").write_text(
        "import pytest\n@pytest.hookimpl(tryfirst=True)\n"
        "def pytest_pyfunc_call(pyfuncitem):\n    return True\n"
    )
    found = run(pytester, source)
    assert found.counts == {"failed": 1}
    assert "did not run where it could be seen" in found.text


def test_wrong_marks_are_told(pytester: pytest.Pytester) -> None:
    """Before any test runs, with the test's name."""
    for arguments, words in (
        ('peek="1 MB"', "did you mean peak"),
        ('peak="1 XB"', "is no limit"),
        ("repeats=0", "at least 1"),
        ("isolate=1", "True or False"),
        ('rss="1 MB"', "isolate=True"),
        ('"1 MB", "2 MB"', "one amount"),
    ):
        found = run(pytester, mark(arguments, "bytes(1000)") + "def test_other(): pass\n")
        assert found.status == pytest.ExitCode.USAGE_ERROR, found.text
        assert words in found.errors
        assert "test_it.py::test_it" in found.errors
        assert "Traceback" not in found.errors + found.text


# -------------------------------------------------------------------- defaults, and for whom


def test_command_line_and_ini(pytester: pytest.Pytester) -> None:
    """A limit for all tests; those of a folder before it, a test's own before these."""
    source = "def test_it(): bytes(1_500_000)\n"
    assert run(pytester, source).counts == {"passed": 1}
    assert run(pytester, source, "--memory-limit", "peak=1MB").counts == {"failed": 1}
    pytester.makeini("[pytest]\nmemory_limits =\n  peak = 1 MB\n  sub: peak = 2 MB\n")
    (pytester.path / "sub").mkdir()
    (pytester.path / "sub" / "test_sub.py").write_text(source.replace("test_it", "test_sub"))
    own = mark('peak="3 MB"', "bytes(2_500_000)", name="test_own")
    free = mark("peak=None", "bytes(9_500_000)", name="test_free")
    found = run(pytester, source + own + free)
    assert {name: test["status"] for name, test in found.results.items()} == {
        "test_it": "over",
        "test_sub": "ok",
        "test_own": "ok",
        "test_free": "ok",
    }
    pytester.makeini("[pytest]\nmemory_limits = peak 1 MB\n")
    found = run(pytester, source)
    assert found.status == pytest.ExitCode.USAGE_ERROR
    assert "memory_limits: 'peak 1 MB' is no limit" in found.errors


@pytest.mark.parametrize(
    ("ini", "options", "words"),
    [
        ("memory_limits = no/where: peak = 1 kB", (), "memory_limits: no/where: peak = 1 kB: no "),
        ("memory_suppress = :", (), "memory_suppress: ':' is no pattern"),
        ("memory_suppress_objects = a:", (), "memory_suppress_objects: 'a:' is no pattern"),
        ("memory_threads = maybe", (), "memory_threads: invalid truth value 'maybe'"),
        ("memory_isolate = 2", (), "memory_isolate: invalid truth value '2'"),
        ("memory_repeats = 0", (), "memory_repeats=0: it is a number"),
        ("", ("--memory-top=-1",), "--memory-top=-1: it is a number"),
        ("", ("--memory-limit=peak",), "--memory-limit: 'peak' is no limit"),
        ("", ("--memory-limit=rss=1MB",), "--memory-limit: rss can be measured in a process of"),
        ("memory_limits = rss = 1 MB", (), "memory_limits: rss can be measured in a process of"),
    ],
)
def test_wrong_settings_are_told(
    pytester: pytest.Pytester, ini: str, options: tuple[str, ...], words: str
) -> None:
    """By what they stand in."""
    pytester.makeini(f"[pytest]\n{ini}\n")
    found = run(pytester, mark("", "bytes(1000)"), *options)
    assert found.status == pytest.ExitCode.USAGE_ERROR, found.text
    assert f"ERROR: memory: {words}" in found.errors


def test_a_baseline_that_is_not_there(pytester: pytest.Pytester) -> None:
    """Is told, if one was named."""
    source = mark("", "bytes(1000)")
    assert "there is no baseline" not in run(pytester, source).text
    found = run(pytester, source, "--memory-baseline=none/b.json")
    assert found.counts == {"passed": 1}
    assert "memory: there is no baseline none/b.json: nothing is compared" in found.text
    assert found.results["test_it"]["baseline"] == "new"
    pytester.makeini("[pytest]\nmemory_baseline = b.json\n")
    assert "there is no baseline b.json" in run(pytester, source).text
    assert "there is no" not in run(pytester, source, "--memory-update").text
    assert run(pytester, source).results["test_it"]["baseline"] == "same"


def test_conftest_of_a_folder(pytester: pytest.Pytester) -> None:
    (pytester.path / "sub").mkdir()
    (pytester.path / "sub" / "conftest.py").write_text(
        "def pytest_heaptide_limits(item): return {'peak': '1 MB'}\n"
    )
    (pytester.path / "sub" / "test_sub.py").write_text("def test_sub(): bytes(1_500_000)\n")
    found = run(pytester, "def test_it(): bytes(1_500_000)\n")
    assert {name: test["status"] for name, test in found.results.items()} == {"test_sub": "over"}
    assert found.counts == {"passed": 1, "failed": 1}
    for value, words in (('{"peek": 1}', "did you mean peak"), ("3", "no dictionary")):
        (pytester.path / "sub" / "conftest.py").write_text(
            f"def pytest_heaptide_limits(item): return {value}\n"
        )
        found = run(pytester, "def test_it(): pass\n")
        assert found.status == pytest.ExitCode.USAGE_ERROR, found.text
        assert words in found.errors
        assert "pytest_heaptide_limits for sub/test_sub.py::test_sub" in found.errors


def test_all_are_shown(pytester: pytest.Pytester) -> None:
    found = run(pytester, "def test_it(): bytes(1_500_000)\n", "--memory-all")
    assert found.counts == {"passed": 1}
    assert "memory of tests" in found.text
    assert "1.5 MB" in found.text
    found = run(pytester, "def test_it(): bytes(1_500_000)\n", "--memory-all", "--memory-top=0")
    assert "memory of tests" not in found.text
    found = run(pytester, "def test_it(): pass\n", "--memory-all")
    assert found.counts == {"passed": 1}, found.text
    assert run(pytester, "def test_it(): pass\n", "--memory-limit=peak=1MB").counts == {"passed": 1}


def test_silent_until_used(pytester: pytest.Pytester) -> None:
    """Without a mark nothing is imported, no test runs in another way, nothing is said."""
    source = """
import sys
def test_it(request):
    assert not any(name.startswith("heaptide.inside") for name in sys.modules)
    assert "numpy" not in sys.modules
    assert "runtest" not in vars(request.node)
"""
    (pytester.path / "test_it.py").write_text(source)
    result = pytester.runpytest_subprocess(*ALONE)
    assert result.parseoutcomes() == {"passed": 1}
    assert "memory" not in result.stdout.str()


# -------------------------------------------------------------- warm-ups, repeats, isolation


def test_warm_up_and_repeats(pytester: pytest.Pytester) -> None:
    """What happens once is not measured after a warm-up; the body has run as often as said."""
    before = "runs, kept = [0], []\n"
    body = "if not runs[0]: kept.append(bytes(5_000_000))\nruns[0] += 1\nbytes(1000)"
    source = mark('peak="1 MB", warmup=1, repeats=3', body, before=before)
    source += "def test_after(): assert runs[0] == 4\n"
    found = run(pytester, source)
    assert found.counts == {"passed": 2}, found.text
    assert found.results["test_it"]["repeats"] == 3
    assert run(pytester, mark('peak="1 MB"', body, before=before)).counts == {"failed": 1}


def test_defaults_of_how_it_is_measured(pytester: pytest.Pytester) -> None:
    """By ini and by option; a mark goes before both."""
    source = "runs = [0]\n" + mark("", "runs[0] += 1\nbytes(1000)")
    source += "def test_after(): assert runs[0] == {}\n"
    options = ("--memory-warmup=2", "--memory-repeats=4")
    assert run(pytester, source.format(6), *options).counts == {"passed": 2}
    pytester.makeini("[pytest]\nmemory_warmup = 1\nmemory_repeats = 3\n")
    assert run(pytester, source.format(4)).counts == {"passed": 2}
    assert run(pytester, source.format(5), "--memory-repeats=4").counts == {"passed": 2}
    own = source.replace("memory()", "memory(warmup=0, repeats=1)")
    assert run(pytester, own.format(1)).counts == {"passed": 2}
    pytester.makeini("[pytest]\nmemory_isolate = true\nmemory_threads = true\n")
    apart = "import os\nparent = os.getpid()\n" + mark("", "assert os.getpid() != parent")
    found = run(pytester, apart.replace("parent = os.getpid()", "parent = " + str(os.getpid())))
    assert found.counts == {"passed": 1}, found.text
    pytester.makeini("[pytest]\nmemory_warmup = some\n")
    assert run(pytester, own.format(1)).status == pytest.ExitCode.USAGE_ERROR


def test_places_of_baselines(pytester: pytest.Pytester) -> None:
    """Of the file and of the recordings, by ini below the root, by option from here."""
    pytester.makeini("[pytest]\nmemory_baseline = base/a.json\nmemory_recordings = base/kept\n")
    (pytester.path / "base").mkdir()
    source = mark("", "bytes(1000)")
    assert run(pytester, source, "--memory-update").counts == {"passed": 1}
    assert {path.name for path in (pytester.path / "base").iterdir()} == {"a.json", "kept"}
    assert len(list((pytester.path / "base" / "kept").glob("*.base.tide"))) == 1
    options = ("--memory-baseline=b.json", "--memory-recordings=kept", "--memory-update")
    assert run(pytester, source, *options).counts == {"passed": 1}
    assert (pytester.path / "b.json").exists()
    found = run(pytester, source, "--memory-baseline=missing/b.json", "--memory-update")
    assert "cannot be written" in found.text + found.errors
    assert found.status != 0
    found = run(pytester, mark("baseline=False", "bytes(9000)"))
    assert found.counts == {"passed": 1}
    assert found.results["test_it"]["baseline"] == "off"


def test_repeats_have_to_agree(pytester: pytest.Pytester) -> None:
    before = "runs = []\n"
    body = "runs.append(1)\nkept = [bytes(1000) for _ in range(100 + len(runs))]"
    found = run(pytester, mark("repeats=3", body, before=before))
    assert found.counts == {"failed": 1}
    assert "do not agree" in found.text
    found = run(pytester, mark('repeats=3, vary="10 %"', body, before=before))
    assert found.counts == {"passed": 1}, found.text


def test_a_body_that_cannot_be_repeated(pytester: pytest.Pytester) -> None:
    source = mark("repeats=2", "assert not runs\nruns.append(1)", before="runs = []\n")
    found = run(pytester, source)
    assert found.counts == {"failed": 1}
    if sys.version_info >= (3, 11):
        assert "has to be repeatable" in found.text


def test_isolated(pytester: pytest.Pytester) -> None:
    """In a process of its own, which tells its resident size; failures and skips come back."""
    here = mark("isolate=True", "import os\nassert os.getpid() != parent", name="test_pid")
    source = f"""
import os
parent = int(os.environ.setdefault("TEST_PARENT", str(os.getpid())))
{here}
@pytest.mark.memory(rss="2 MB", isolate=True)
@pytest.mark.parametrize("size", [1_000_000, 20_000_000])
def test_rss(size, tmp_path):
    kept = b"x" * size

@pytest.mark.memory(isolate=True)
def test_fails():
    assert 1 == 2

@pytest.mark.memory(isolate=True)
def test_skips():
    pytest.skip("not today")

@pytest.mark.memory(isolate=True)
def test_dies():
    os._exit(3)
"""
    found = run(pytester, source, "-rs")
    assert found.counts == {"passed": 2, "failed": 3, "skipped": 1}, found.text
    assert "assert 1 == 2" in found.text
    assert "not today" in found.text
    assert "ended with status 3" in found.text
    results = found.results
    assert results["test_rss[1000000]"]["status"] == "ok"
    assert results["test_rss[20000000]"]["status"] == "over"
    figures = results["test_rss[20000000]"]["figures"]
    assert isinstance(figures, dict)
    assert 20_000_000 <= figures["rss"] < 25_000_000


def test_isolated_tests_report_as_others(pytester: pytest.Pytester) -> None:
    """Output, warnings, properties and the line of a skip; fixtures are of one process only."""
    source = """
import logging, os, sys, warnings
isolated = pytest.mark.memory(isolate=True)
@pytest.fixture(scope="session")
def server():
    with open("servers", "a") as file:
        print(os.getpid(), file=file)
@pytest.fixture
def breaks():
    yield
    raise RuntimeError("at the end")
@isolated
def test_fails(server, record_property):
    print("to stdout")
    print("to stderr", file=sys.stderr)
    logging.warning("to the log")
    warnings.warn("deprecated since long", FutureWarning)
    record_property("colour", "blue")
    assert 1 == 2
@isolated
def test_skips():
    pytest.skip("not today")
@isolated
def test_ends_badly(breaks):
    assert bytes(10)
@isolated
@pytest.mark.xfail(raises=ValueError)
def test_known():
    raise ValueError(bytes(10))
@isolated
@pytest.mark.xfail(strict=True)
def test_known_no_more():
    assert bytes(10)
def test_here(server):
    with open("servers") as file:
        pids = file.read().split()
    assert len(pids) == 2 and pids[1] == str(os.getpid())
"""
    found = run(pytester, source, "-rs", "--junitxml=junit.xml", "--basetemp=temporary")
    assert found.counts == {
        "passed": 1,
        "failed": 3,
        "skipped": 1,
        "xfailed": 1,
        "warnings": 1,
    }, found.text
    for section, words in (
        ("stdout", "to stdout"),
        ("stderr", "to stderr"),
        ("log", "to the log"),
    ):
        assert re.search(f"Captured {section} call -+\n.*{words}", found.text)
    assert "FutureWarning: deprecated since long" in found.text
    line = 2 + source[: source.index("    pytest.skip")].count("\n")
    assert f"test_it.py:{line}: not today" in found.text
    assert found.text.count("RuntimeError: at the end") == 1
    assert "XPASS(strict)" in found.text
    assert 'name="colour" value="blue"' in (pytester.path / "junit.xml").read_text()


def test_others_threads(pytester: pytest.Pytester) -> None:
    """Not counted unless asked for, but told."""
    source = """
import threading
def work():
    bytes(3_000_000)
def body():
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
@pytest.mark.memory(peak="1 MB")
def test_own(): body()
@pytest.mark.memory(peak="1 MB", threads=True)
def test_all(): body()
"""
    found = run(pytester, source)
    assert found.counts == {"passed": 1, "failed": 1}, found.text
    results = found.results
    assert results["test_all"]["status"] == "over"
    others = results["test_own"]["others"]
    assert isinstance(others, dict)
    assert others["total"] >= 3_000_000
    assert run(pytester, source, "--memory-threads").counts == {"failed": 2}


def test_collections_are_under_control(pytester: pytest.Pytester) -> None:
    source = """
import gc, sys
@pytest.mark.memory
def test_off():
    assert not gc.isenabled() and sys.dont_write_bytecode
    list(range(10))
@pytest.mark.memory(gc=True)
def test_on():
    assert gc.isenabled()
    list(range(10))
def test_after():
    assert gc.isenabled() and not gc.get_freeze_count()
"""
    assert run(pytester, source).counts == {"passed": 3}


# ------------------------------------------------------------------------------------- leaks


@on_each
def test_leaks_by_repetition(pytester: pytest.Pytester) -> None:
    """What each run leaves behind is found, with its line; what fills up once is not a leak."""
    source = """
import functools, itertools
kept, cache, seen = [], {}, []
numbers, all_seen = itertools.count(1000), set()

def remember():
    kept.append(bytes(1000))

@pytest.mark.memory(leaked=0)
def test_leaks():
    remember()

@pytest.mark.memory(leaked="2 kB")
def test_allowed():
    remember()

@pytest.mark.memory(leaked=0, growth=0)
def test_fills():
    seen.append(None)
    cache[len(seen) % 50] = bytes(1000)
    del seen[100:]

@pytest.mark.memory(leaked=0)
def test_small():
    all_seen.add(next(numbers))

@pytest.mark.memory(growth=0)
def test_clean():
    [bytes(1000) for _ in range(10)]
"""
    found = run(pytester, source)
    assert found.counts == {"passed": 3, "failed": 2}, found.text
    assert found.results["test_small"]["status"] == "over"
    figures = found.results["test_leaks"]["figures"]
    assert isinstance(figures, dict)
    assert 1000 <= figures["leaked"] < 1200
    assert re.search(r"remember \(.*test_it\.py:8\)", found.text)
    assert found.results["test_clean"]["repetitions"] == 64


# --------------------------------------------------------------------- benchmark, baselines


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


# ---------------------------------------------------------------------- beside other plugins


def test_xdist(pytester: pytest.Pytester) -> None:
    """Workers measure, the results come together; baselines are written and read."""
    source = """
@pytest.mark.parametrize("turn", range(6))
@pytest.mark.memory(peak="1 MB")
def test_it(turn):
    kept = bytes(200_000 * (turn + 1))
"""
    options = ("-p", "no:asyncio", "-p", "no:cov", "-n2")
    found = run(pytester, source, *options, plugins=True)
    assert found.counts == {"passed": 4, "failed": 2}, found.text
    assert len(found.results) == 6
    assert "memory of tests" in found.text
    source = source.replace('peak="1 MB"', "")
    run(pytester, source, *options, "--memory-update", plugins=True)
    found = run(pytester, source, *options, plugins=True)
    assert {test["baseline"] for test in found.results.values()} == {"same"}


@on_each
def test_asyncio(pytester: pytest.Pytester) -> None:
    """A coroutine is measured from its first step to its end, not the loop around it."""
    pytester.makeini(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
    )
    source = """
import asyncio
@pytest.fixture
async def large():
    return bytes(9_000_000)
@pytest.mark.memory(peak="1 MB", repeats=3, warmup=1, vary="20 %")
async def test_it(large):
    await asyncio.sleep(0)
    return None
@pytest.mark.memory(peak="1 MB")
async def test_over():
    await asyncio.sleep(0)
    bytes(2_000_000)
kept = []
@pytest.mark.memory(leaked=0)
async def test_leaks():
    kept.append(bytes(1000))
"""
    found = run(pytester, source, "-p", "no:xdist", plugins=True)
    assert found.counts == {"passed": 1, "failed": 2}, found.text
    figures = found.results["test_it"]["figures"]
    assert isinstance(figures, dict)
    assert figures["allocations"] < 30


@on_each
def test_cov(pytester: pytest.Pytester) -> None:
    """Lines are covered as ever; after a warm-up its own allocations are not counted."""
    (pytester.path / "module.py").write_text("def make(n):\n    return [bytes(1000)] * n\n")
    source = "from module import make\n" + mark("warmup=1", "make(10)")
    found = run(pytester, source, "-p", "no:xdist", "--cov=module", plugins=True)
    assert found.counts == {"passed": 1}, found.text
    assert re.search(r"module\.py\s+2\s+0\s+100%", found.text)
    covered = found.results["test_it"]["figures"]
    assert run(pytester, source).results["test_it"]["figures"] == covered


def test_reruns_and_classes(pytester: pytest.Pytester) -> None:
    """Run again, a test is measured again; methods, class fixtures, unittest."""
    source = """
import unittest
runs = []
@pytest.mark.memory(peak="1 MB")
def test_again():
    runs.append(1)
    bytes(2_000_000 if len(runs) == 1 else 1000)
class TestIt:
    @pytest.fixture(autouse=True, scope="class")
    def large(self):
        yield bytes(5_000_000)
    @pytest.mark.memory(peak="1 MB")
    def test_method(self):
        bytes(1000)
@pytest.mark.memory(peak="1 MB")
class TestCase(unittest.TestCase):
    def setUp(self):
        self.large = bytes(5_000_000)
    def test_ok(self):
        for n in range(3):
            with self.subTest(n=n):
                bytes(1000 * n)
    def test_over(self):
        bytes(2_000_000)
"""
    found = run(pytester, source, "-p", "no:xdist", "-p", "no:asyncio", "--reruns=1", plugins=True)
    assert found.counts["passed"] == 3, found.text
    assert found.counts["failed"] == 1
    assert found.results["test_again"]["status"] == "ok"
    assert found.results["test_over"]["status"] == "over"


def test_coroutines_of_unittest(pytester: pytest.Pytester) -> None:
    """Are measured from their first step to their end, without what the loop does around them."""
    source = """
import asyncio
import unittest
@pytest.mark.memory(peak="1 MB")
class TestCase(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.large = bytes(5_000_000)
    async def test_ok(self):
        await asyncio.sleep(0)
        assert bytes(500_000)
    async def test_over(self):
        await asyncio.sleep(0)
        assert bytes(2_000_000)
    def test_plain(self):
        assert bytes(600_000)
    async def test_skipped(self):
        self.skipTest("not today")
    async def test_fails(self):
        self.assertEqual(len(bytes(1000)), 1)
    @pytest.mark.memory(leaked=0)
    async def test_leaks(self):
        self.large += bytes(1000)
"""
    found = run(pytester, source, "-rs")
    assert found.counts == {"passed": 2, "failed": 3, "skipped": 1}, found.text
    assert "1000 != 1" in found.text
    results = found.results
    peaks = {name: one["figures"]["peak"] for name, one in results.items()}  # type: ignore[index]
    assert 500_000 <= peaks["test_ok"] < 600_000 <= peaks["test_plain"] < 700_000
    assert results["test_over"]["status"] == results["test_leaks"]["status"] == "over"
    assert 1000 <= results["test_leaks"]["figures"]["leaked"] < 1100  # type: ignore[index]


# ------------------------------------------------------------------------------ for machines


def test_junit(pytester: pytest.Pytester) -> None:
    found = run(pytester, mark('peak="1 MB"', "bytes(500_000)"), "--junitxml=junit.xml")
    assert found.counts == {"passed": 1}
    root = ElementTree.parse(pytester.path / "junit.xml").getroot()
    properties = {one.get("name"): one.get("value") for one in root.iter("property")}
    assert 500_000 <= float(properties["memory.peak"] or 0) < 510_000
    assert properties["memory.limit.peak"] == "1000000"
    assert properties["memory.status"] == "ok"
    assert "heaptide" not in properties


def test_files_that_cannot_be_written(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Are told; what the tests have to say is not lost for it."""
    source = mark("", "bytes(1000)")
    (pytester.path / "test_it.py").write_text("import pytest\n" + source)
    (pytester.path / "folder").mkdir()
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path / "none" / "summary.md"))
    for options in ((), ("--memory-json=folder",), ("--memory-update", "--memory-baseline=no/b")):
        result = pytester.runpytest_subprocess(*ALONE, *options)
        assert result.parseoutcomes() == {"passed": 1}
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        text = result.stdout.str()
        assert text.count("cannot be written") == (2 if options else 1)
        assert "Traceback" not in text + result.stderr.str()


def test_github(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table in the summary, and a warning at the line that allocates."""
    summary = pytester.path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(pytester.path))
    source = "def make():\n    return bytes(2_000_000)\n" + mark('peak="1 MB"', "make()")
    run(pytester, source + mark("", "bytes(1000)", name="test_ok"))
    text = summary.read_text()
    assert text.count("| OVER | test_it.py::test_it | 2.0 MB |") == 1
    assert text.count("| ok | test_it.py::test_ok |") == 1
    found = run(pytester, source)
    [line] = [one for one in found.text.splitlines() if one.startswith("::warning")]
    assert "file=test_it.py,line=3," in line
    assert "limit 1.0 MB" in line
    found = run(pytester, mark("", "pass"))
    [line] = [one for one in found.text.splitlines() if one.startswith("::warning")]
    assert "file=test_it.py,line=3," in line
    assert "nothing was measured" in line
