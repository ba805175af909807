"""The pytest plugin: where limits come from, and for whom they hold."""

from __future__ import annotations

import pytest

from tests.testing.runs import ALONE, mark, run


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
