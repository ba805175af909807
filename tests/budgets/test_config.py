"""Budgets in files and options, and errors that point at the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from heaptide.budgets import Budgets, Limit, find_budgets, from_options, load_budgets, program_of
from heaptide.errors import UsageError

pytestmark = pytest.mark.interpreters

WHOLE = """\
[budgets]
preset = "guide"
peak_heap = "300 MiB"
modules = { numpy = "40 %", "libfoo" = "10 MB" }

[budgets.programs.worker]
peak_heap = "1 GB"
alive_blocks = 100

[budgets.programs."other.py"]
preset = "guide"

[budgets.phases.serving]
growth = "1 MB/h"
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def nearest(directory: Path) -> Path | None:
    """The file whose budgets are taken."""
    found = find_budgets(directory)
    return None if found is None else Path(found.source)


def limits(budgets: Budgets) -> dict[str, float]:
    return {name: limit.value for name, limit in budgets.limits.items()}


def test_a_whole_file(tmp_path: Path) -> None:
    path = write(tmp_path / "heaptide.toml", WHOLE)
    found = load_budgets(path).of("any")
    assert limits(found) == {
        "idle_rss": 256e6,
        "peak_heap": 300 * 2**20,
        "temporary": 0.5,
        "leaked": 0,
    }
    assert found.modules == {"numpy": Limit(0.4, "ratio"), "libfoo": Limit(10e6, "bytes")}
    assert limits(found.phases["serving"]) == {"growth": 1e6}
    assert str(path) in found.source and "guide" in found.source


def test_a_program_has_its_own_over_those_of_all(tmp_path: Path) -> None:
    project = load_budgets(write(tmp_path / "heaptide.toml", WHOLE))
    assert list(project.programs) == ["worker", "other.py"]
    found = project.of("worker")
    assert limits(found)["peak_heap"] == 1e9
    assert limits(found)["alive_blocks"] == 100
    assert limits(found)["idle_rss"] == 256e6
    assert limits(found.phases["serving"]) == {"growth": 1e6}


def test_options_go_before_files(tmp_path: Path) -> None:
    file = load_budgets(write(tmp_path / "heaptide.toml", WHOLE)).of_all
    found = from_options(["peak-heap=5MB", "allocations = 7", "modules.numpy=3MB"]).over(file)
    assert found.modules["numpy"] == Limit(3e6, "bytes")
    assert limits(found)["peak_heap"] == 5e6
    assert limits(found)["allocations"] == 7
    assert limits(found)["idle_rss"] == 256e6
    assert limits(from_options(["idle_rss=1MB"], ["guide"]))["idle_rss"] == 1e6


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('peak_heap = "lots"', 2, ("budgets.peak_heap", "'lots' is no limit", '"256 MB"')),
        ('peek_heap = "1 MB"', 2, ("budgets.peek_heap", "no such budget", "peak_heap is meant")),
        ("zzzz = 1", 2, ("budgets.zzzz", "there are peak_heap")),
        ('\nmodules.numpy = "a"', 3, ("budgets.modules.numpy", "is no limit")),
        ("modules = 3", 2, ("budgets.modules", "it has to be a table")),
        ('modules.numpy = "0.4"', 2, ("budgets.modules.numpy", '"40 %" or "10 MB"')),
        ('modules = { "a.b" = "x" }', 2, ("budgets.modules.a.b", "is no limit")),
        ('phases.serving = "1 MB"', 2, ("budgets.phases.serving", "a table of budgets")),
        ("[budgets.programs.a]\nleaked = -1", 3, ("budgets.programs.a.leaked", "-1 is no limit")),
        ('[budgets.programs.b]\nlive = "1 MB"', 3, ("budgets.programs.b.live", "alive is meant")),
        ('preset = "strict"', 2, ("budgets.preset", "there is guide")),
        ("[budgets.phases.a.phases.b]\nleaked = 0", 2, ("budgets.phases.a.phases", "no such")),
        ('[budgets.phases.""]\nleaked = 0', 2, ("a phase has the name of a mark",)),
        (
            'peak_heap = "1 GB"\n[budgets.programs.a]\npeak_heap = "no"',
            4,
            ("budgets.programs.a.peak_heap: 'no'",),
        ),
        ("[budgets.programs.a.programs.b]", 2, ("budgets.programs.a.programs", "no such")),
        ("preset = []", 2, ("budgets.preset", "there is guide")),
    ],
)
def test_errors_point_at_the_key(
    tmp_path: Path, text: str, line: int, words: tuple[str, ...]
) -> None:
    path = write(tmp_path / "heaptide.toml", "[budgets]\n" + text + "\n")
    with pytest.raises(UsageError) as error:
        load_budgets(path)
    message = error.value.message
    assert message.startswith(f"{path}, line {line}: " if line else str(path))
    for word in words:
        assert word in message


def test_errors_in_pyproject_have_its_names(tmp_path: Path) -> None:
    path = write(tmp_path / "pyproject.toml", "[tool.heaptide.budgets]\nleaked = 'x'\n")
    with pytest.raises(UsageError, match=r"line 2: tool\.heaptide\.budgets\.leaked: 'x'"):
        load_budgets(path)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("heaptide.toml", "[budget]\nleaked = 0", "budget: there is no such table"),
        ("heaptide.toml", "budgets = 3", "budgets: it has to be a table"),
        (
            "pyproject.toml",
            "[tool.heaptide.budget]",
            "tool.heaptide.budget: there is no such table",
        ),
        ("pyproject.toml", "[tool.heaptide]\nbudgets = 3", "tool.heaptide.budgets: it has to be"),
        ("pyproject.toml", "tool = 3", "tool: it has to be a table"),
    ],
)
def test_what_is_not_where_budgets_stand(tmp_path: Path, name: str, text: str, words: str) -> None:
    """It would be passed over in silence, and with it the budgets that somebody has written."""
    path = write(tmp_path / name, text)
    with pytest.raises(UsageError, match=words):
        find_budgets(tmp_path)
    with pytest.raises(UsageError, match=words):
        load_budgets(path)


@pytest.mark.parametrize("name", ["heaptide.toml", "pyproject.toml", "other.toml"])
def test_a_file_that_was_named_has_to_have_some(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, "")
    assert nearest(tmp_path) != path
    with pytest.raises(UsageError, match="has no budgets: they stand in"):
        load_budgets(path)


@pytest.mark.parametrize("data", [b"[budgets", b"\xff\xfe", b"a = 1\na = 2"])
def test_what_is_no_toml(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "heaptide.toml"
    path.write_bytes(data)
    with pytest.raises(UsageError, match="is no TOML"):
        load_budgets(path)


def test_the_nearest_file_is_taken(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    top = write(tmp_path / "heaptide.toml", "[budgets]\nleaked = 0\n")
    write(deep / "heaptide.toml", "")
    write(tmp_path / "a" / "pyproject.toml", "[project]\nname = 'none of ours'\n")
    assert nearest(deep) == top
    near = write(tmp_path / "a" / "pyproject.toml", "[tool.heaptide.budgets]\nleaked = 0\n")
    assert nearest(deep) == near
    nearer = write(tmp_path / "a" / "heaptide.toml", "[budgets]\nleaked = 0\n")
    assert nearest(deep) == nearer


@pytest.mark.parametrize("option", ["peak_heap", "peek=1", "peak_heap=much", "=1"])
def test_options_that_make_no_sense(option: str) -> None:
    with pytest.raises(UsageError):
        from_options([option])


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["python3.11", "/srv/worker.py", "-v"], "worker"),
        (["python", "-m", "app.server"], "app.server"),
        (["worker.py"], "worker"),
        (["/usr/bin/server", "x"], "server"),
        (["python", "-c", "pass"], "python"),
        (["python"], "python"),
        (["python", "-u", "env.py"], "env"),
        (["python3", "-X", "dev", "-Wignore", "/a/env.py", "-m", "x"], "env"),
        (["python", "-Im", "env"], "env"),
        (["python", "-mapp"], "app"),
        (["python", "-Bc", "pass"], "python"),
        ([], ""),
    ],
)
def test_names_of_programs(command: list[str], name: str) -> None:
    assert program_of(command) == name
