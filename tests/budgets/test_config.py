"""Budgets in files and options, and errors that point at the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from heaptide.budgets import Budgets, Limit, find_file, from_options, load_budgets, program_of
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


def limits(budgets: Budgets) -> dict[str, float]:
    return {name: limit.value for name, limit in budgets.limits.items()}


def test_a_whole_file(tmp_path: Path) -> None:
    path = write(tmp_path / "heaptide.toml", WHOLE)
    found = load_budgets(path)
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
    found = load_budgets(write(tmp_path / "heaptide.toml", WHOLE), "worker")
    assert limits(found)["peak_heap"] == 1e9
    assert limits(found)["alive_blocks"] == 100
    assert limits(found)["idle_rss"] == 256e6
    assert limits(found.phases["serving"]) == {"growth": 1e6}


def test_options_go_before_files(tmp_path: Path) -> None:
    file = load_budgets(write(tmp_path / "heaptide.toml", WHOLE))
    found = from_options(["peak-heap=5MB", "allocations = 7"]).over(file)
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
        ('\nmodules.numpy = "a"', 0, ("budgets.modules.numpy", "is no limit")),
        ("modules = 3", 2, ("budgets.modules", "it has to be a table")),
        ('phases.serving = "1 MB"', 0, ("budgets.phases.serving", "a table of budgets")),
        ("[budgets.programs.a]\nleaked = -1", 3, ("budgets.programs.a.leaked", "-1 is no limit")),
        ('[budgets.programs.b]\nlive = "1 MB"', 3, ("budgets.programs.b.live", "alive is meant")),
        ('preset = "strict"', 2, ("budgets.preset", "there is guide")),
        ("[budgets.phases.a.phases.b]\nleaked = 0", 0, ("budgets.phases.a.phases", "no such")),
        ("[budgets.programs.a.programs.b]", 0, ("budgets.programs.a.programs", "no such")),
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
    write(tmp_path / "a" / "pyproject.toml", "[project]\nname = 'none of ours'\n")
    assert find_file(deep) == top
    near = write(tmp_path / "a" / "pyproject.toml", "[tool.heaptide.budgets]\nleaked = 0\n")
    assert find_file(deep) == near
    nearer = write(tmp_path / "a" / "heaptide.toml", "[budgets]\nleaked = 0\n")
    assert find_file(deep) == nearer


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
        ([], ""),
    ],
)
def test_names_of_programs(command: list[str], name: str) -> None:
    assert program_of(command) == name
