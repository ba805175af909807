"""Leaks and objects that are known: what allows them, and what does not."""

from __future__ import annotations

import pytest

from heaptide.inside import Frame
from heaptide.testing._suppress import allows_object, allows_stack
from tests.testing.runs import mark, run

on_each = pytest.mark.interpreters

FRAMES = (
    Frame("Cache.put", "/srv/app/mylib/cache.py", 7, True),
    Frame("load.<locals>.<listcomp>", "/srv/app/mylib/load.py", 3, True),
)


@pytest.mark.parametrize(
    ("pattern", "allowed"),
    [
        ("put", True),
        ("Cache.*", True),
        ("Cach?.put", True),
        ("cache.py", True),
        ("mylib/cache.py", True),
        ("*/mylib/*", True),
        ("/srv/app/mylib/cache.py", True),
        ("load.py:<listcomp>", True),
        ("cache.py:put", True),
        ("cache.py:load", False),
        ("load.py:put", False),
        ("ache.py", False),
        ("Cache", False),
        ("pu", False),
    ],
)
def test_patterns(pattern: str, allowed: bool) -> None:
    assert allows_stack((pattern,), FRAMES) is allowed
    assert allows_stack(("nothing", pattern), FRAMES) is allowed


def test_objects() -> None:
    assert allows_object((dict,), {})
    assert not allows_object((dict,), [])
    assert allows_object(("dict",), {})
    assert allows_object(("heaptide.*.Frame",), FRAMES[0])
    assert allows_object(("Fram?",), FRAMES[0])
    assert not allows_object(("heaptide",), FRAMES[0])
    assert allows_object((lambda one: one.line == 7,), FRAMES[0])


BEFORE = """
kept = []
def remember():
    kept.append(bytes(1000))
def forget():
    kept.append(bytes(100))
class Note:
    pass
"""


@on_each
@pytest.mark.parametrize(
    ("suppress", "passes"),
    [
        ('"remember"', True),
        ('["nothing", "test_it.py:rem*"]', True),
        ("lambda frames: frames[0].function == 'remember'", True),
        ("lambda frames: any(frame.file.endswith('_body.py') for frame in frames)", False),
        ('"forget"', False),
        ("lambda frames: False", False),
        ("None", False),
    ],
)
def test_leaks(pytester: pytest.Pytester, suppress: str, passes: bool) -> None:
    source = mark(f"leaked=0, growth=0, suppress={suppress}", "remember()", before=BEFORE)
    assert run(pytester, source).counts == ({"passed": 1} if passes else {"failed": 1})


def test_only_what_is_named_is_allowed(pytester: pytest.Pytester) -> None:
    """The rest is told, with its own figure."""
    body = "remember()\nforget()"
    found = run(pytester, mark('leaked=0, suppress="remember"', body, before=BEFORE))
    [test] = found.results.values()
    assert isinstance(test["figures"], dict)
    assert 100 <= test["figures"]["leaked"] < 200
    assert "forget (test_it.py:7)" in found.text
    assert "remember (test_it.py:5)" not in found.text


def test_suppressions_of_a_project(pytester: pytest.Pytester) -> None:
    """Those of the configuration and of marks add up; None in a mark takes the others away."""
    pytester.makeini("[pytest]\nmemory_suppress = remember\nmemory_suppress_objects = Note\n")
    source = (
        BEFORE
        + """
@pytest.mark.memory(leaked=0, suppress="forget")
class TestIt:
    def test_both(self):
        remember()
        forget()
    @pytest.mark.memory(suppress=None)
    def test_none(self):
        remember()
@pytest.mark.memory(live_objects=0)
def test_objects():
    kept.append(Note())
"""
    )
    found = run(pytester, source)
    assert {name: test["status"] for name, test in found.results.items()} == {
        "test_both": "ok",
        "test_none": "over",
        "test_objects": "ok",
    }


@on_each
def test_objects_that_survive(pytester: pytest.Pytester) -> None:
    """By type, with what they say of themselves, and where the blocks come from."""
    source = (
        BEFORE
        + """
@pytest.mark.memory(live_objects=0)
def test_none():
    mine = [Note() for _ in range(10)]
    mine.append(mine)
@pytest.mark.memory(live_objects=10)
def test_too_many():
    for _ in range(10):
        kept.append(Note())
    kept.append([kept[-1]])
@pytest.mark.memory(live_objects=0, suppress_objects=[Note, lambda one: isinstance(one, list)])
def test_allowed():
    kept.append([Note()])
@pytest.mark.memory(live_objects=0, warmup=1)
def test_once():
    bytes(1000)
    if not hasattr(Note, "one"):
        Note.one = Note()
"""
    )
    found = run(pytester, source)
    results = found.results
    assert {name: test["status"] for name, test in results.items()} == {
        "test_none": "ok",
        "test_too_many": "over",
        "test_allowed": "ok",
        "test_once": "ok",
    }, found.text
    assert isinstance(results["test_too_many"]["figures"], dict)
    assert results["test_too_many"]["figures"]["live_objects"] == 11
    problems = results["test_too_many"]["problems"]
    assert isinstance(problems, list)
    at = problems.index("objects alive at the end, by type:")
    assert problems[at + 1] == "  10 test_it.Note"
    assert "Note object at" in problems[at + 2]
    assert problems[at + 3] == "  1 list"
    assert "what was alive at the end:" in problems
    assert "test_too_many (test_it.py:" in found.text


def test_objects_that_cannot_be_counted(pytester: pytest.Pytester) -> None:
    """Are an error, not a pass."""
    source = "import gc\ngc.freeze()\n" + mark("live_objects=0", "bytes(1000)")
    source += "def test_after(): gc.unfreeze()\n"
    found = run(pytester, source)
    assert found.counts == {"passed": 1, "failed": 1}
    assert "was not measured" in found.text
    found = run(pytester, mark("live_objects=0, gc=True", "bytes(1000)"))
    assert found.status == pytest.ExitCode.USAGE_ERROR
    assert "not with gc=True" in found.errors
    found = run(pytester, mark("leaked=0, suppress=[1]", "bytes(1000)"))
    assert found.status == pytest.ExitCode.USAGE_ERROR
    assert "neither a pattern nor a function" in found.errors
