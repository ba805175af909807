"""The pytest plugin: warm-ups, repeats and isolation."""

from __future__ import annotations

import os
import re
import sys

import pytest

from tests.testing.runs import mark, run

on_each = pytest.mark.interpreters


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
