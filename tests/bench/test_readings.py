"""The order of runs, and what each tells."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from heaptide.bench import BASE, FIGURES, NEW, Plan, Readings, Side, measure
from heaptide.errors import HeaptideError
from tests.support.building import Builder


def plan(*names: str, **how: object) -> Plan:
    given = {"runs": 3, "warmup": 0, "environment": dict(os.environ), **how}
    return Plan(figures=[FIGURES[name] for name in names], **given)  # type: ignore[arg-type]


def values(readings: Readings, name: str) -> list[float | None]:
    return [reading.value for reading in readings[name]]


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (["wall"], "b n b n n b b n"),
        (["allocations"], "b n B N N B B N"),
        (["allocations", "wall"], "b n b n B N n b N B b n B N"),
    ],
)
def test_rounds_alternate(tmp_path: Path, names: list[str], order: str) -> None:
    """The first two are to warm up. Behind each pair comes one the other way round. Large letters:
    recorded."""
    log = tmp_path / "log"
    script = f"grep -q libheaptide /proc/$$/maps && echo $2 >> {log} || echo $1 >> {log}"
    told = []
    sides = [
        Side(name, ("sh", "-c", script, "sh", name[0], name[0].upper()), tmp_path)
        for name in (BASE, NEW)
    ]

    def progress(done: int, total: int, what: str) -> None:
        told.append((done, total))

    found = measure(sides, plan(*names, warmup=1), progress)
    assert log.read_text().split() == order.split()
    assert told == [(number, len(order.split())) for number in range(len(order.split()))]
    for name in names:
        assert len(found[BASE][name]) == len(found[NEW][name]) == 3


def test_figures_of_a_program(build: Builder, tmp_path: Path) -> None:
    """10,000 blocks of 1,000 bytes and the array of them, every second one freed."""
    words = (str(build("keeps.c")), "10000")
    names = ["peak_heap", "total", "allocations", "reallocations", "copied", "alive", "peak_rss"]
    found = measure([Side(NEW, words, tmp_path)], plan(*names))[NEW]
    all_bytes = 10_000 * 1000 + 10_000 * 8
    [buffer] = {value - all_bytes for value in values(found, "total") if value is not None}
    assert 0 < buffer <= 8192  # of standard output
    assert values(found, "allocations") == [10_002] * 3
    assert values(found, "peak_heap") == [all_bytes + buffer] * 3
    assert values(found, "alive") == [all_bytes - 5_000_000 + buffer] * 3
    assert values(found, "reallocations") == values(found, "copied") == [0] * 3
    assert all(value is not None and 10e6 < value < 20e6 for value in values(found, "peak_rss"))


def test_samples_do_not_tell_temporary_ones(build: Builder, tmp_path: Path) -> None:
    words = (str(build("keeps.c")), "10000")
    how = plan("peak_heap", "temporary", sample=65536)
    found = measure([Side(NEW, words, tmp_path)], how)[NEW]
    assert values(found, "temporary") == [None] * 3
    for value in values(found, "peak_heap"):
        assert value is not None and value == pytest.approx(10e6, rel=0.3)


def test_a_side_has_its_own_place_and_variables(tmp_path: Path) -> None:
    for name in (BASE, NEW):
        (tmp_path / name).mkdir()
    sides = [
        Side(name, ("sh", "-c", 'echo "$WORD" >> here'), tmp_path / name, {"WORD": name})
        for name in (BASE, NEW)
    ]
    measure(sides, plan("total", "wall"))
    for name in (BASE, NEW):
        assert (tmp_path / name / "here").read_text().split() == [name] * 6


def test_modules_of_the_program_are_not_ours(tmp_path: Path) -> None:
    """A directory that has a click.py does not keep us from recording in it."""
    (tmp_path / "click.py").write_text("raise SystemExit(3)\n")
    (tmp_path / "p.py").write_text("import json\n")
    (tmp_path / "json.py").write_text("print('its own')\n")
    side = Side(NEW, ("p.py",), tmp_path, {"PYTHONPATH": str(tmp_path)})
    assert all(values(measure([side], plan("total", "wall"))[NEW], "total"))


@pytest.mark.parametrize(
    ("status", "ignore", "said"),
    [
        ("3", False, "new: .*keeps.* ended with status 3 in run 1: ending with 3; .*--ignore"),
        ("-9", False, "was ended by SIGKILL in run 1: ending with -9"),
        ("-11", True, "was ended by SIGSEGV in run 1"),
    ],
)
@pytest.mark.parametrize("name", ["wall", "total"])
def test_runs_that_fail(build: Builder, name: str, status: str, ignore: bool, said: str) -> None:
    side = Side(NEW, (str(build("keeps.c")), "10", status), Path())
    with pytest.raises(HeaptideError, match=said):
        measure([side], plan(name, ignore_status=ignore))


@pytest.mark.parametrize("name", ["wall", "total"])
def test_failing_may_be_ignored(build: Builder, name: str) -> None:
    side = Side(NEW, (str(build("keeps.c")), "10", "3"), Path())
    assert len(measure([side], plan(name, ignore_status=True))[NEW][name]) == 3


@pytest.mark.parametrize("name", ["wall", "total"])
def test_a_program_that_vanishes(tmp_path: Path, name: str) -> None:
    """It removes itself in its second run."""
    program = tmp_path / "brief"
    program.write_text('#!/bin/sh\n[ -e "$0.once" ] && rm "$0"\n: > "$0.once"\n')
    program.chmod(0o755)
    with pytest.raises(HeaptideError, match=r"new: .*brief.* no such program"):
        measure([Side(NEW, (str(program),), Path())], plan(name))


def test_what_cannot_be_recorded(build: Builder) -> None:
    """Its resident size and times are measured all the same."""
    side = Side(NEW, (str(build("keeps.c", "-static")), "10"), Path())
    with pytest.raises(HeaptideError, match=r"nothing was recorded of .*: .* statically linked"):
        measure([side], plan("total", "peak_rss"))
    assert None not in values(measure([side], plan("peak_rss"))[NEW], "peak_rss")


def test_the_last_recordings_are_kept(build: Builder, tmp_path: Path) -> None:
    from heaptide.recording import Recording

    program = str(build("keeps.c"))
    sides = [Side(BASE, (program, "100"), Path()), Side(NEW, (program, "200"), Path())]
    found = measure(sides, plan("total", keep=tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base.tide", "new.tide"]
    for side in sides:
        with Recording.open(tmp_path / f"{side.name}.tide") as recording:
            assert recording.summary.total_bytes == found[side.name]["total"][-1].value
            assert recording.symbols is not None
