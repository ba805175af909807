"""Verdicts against the guide's limits, and the notes beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.recording.make import SECOND, Builder, Change, example

from heaptide.profile import Profile, Selection, Summary
from heaptide.recording import Kind, Recording
from heaptide.views.notes import notes
from heaptide.views.verdicts import Verdict, verdicts

CALM = Summary(
    duration_seconds=1.0,
    allocations=90,
    deallocations=90,
    reallocations=10,
    total_bytes=1,
    copied_bytes=0,
    peak_bytes=255_999_999,
    peak_blocks=1,
    peak_time_seconds=0.5,
    peak_rss_bytes=1,
    alive_at_exit_bytes=0,
    alive_at_exit_allocations=0,
    temporary_allocations=49,
    short_lived_allocations=60,
    processes=1,
    threads=1,
)


def statuses(summary: Summary) -> list[str]:
    return [verdict.status for verdict in verdicts(summary, exited=True)]


def test_below_all_limits() -> None:
    assert statuses(CALM) == ["ok", "ok", "ok"]


def test_limits_are_reached_at_their_figure() -> None:
    """The guide says: less than 50 %, less than 256 MB."""
    assert statuses(replace(CALM, temporary_allocations=50)) == ["over", "ok", "ok"]
    assert statuses(replace(CALM, peak_bytes=256_000_000)) == ["ok", "over", "ok"]


def test_what_is_alive_at_exit_is_no_verdict() -> None:
    alive = replace(CALM, alive_at_exit_bytes=1 << 40, alive_at_exit_allocations=9)
    found = verdicts(alive, exited=True)[2]
    assert (found.status, found.value, found.limit) == ("note", 1 << 40, None)
    assert "Not a leak by itself" in found.text


def test_figures_and_limits_are_in_the_sentence() -> None:
    temporary, peak, _ = verdicts(CALM, exited=True)
    assert (temporary.value, temporary.limit) == (0.49, 0.5)
    assert "49.0 %" in temporary.text
    assert "50 %" in temporary.text
    assert all(part in peak.text for part in ("256.0 MB", "244.1 MiB"))


def test_no_calls_no_verdicts() -> None:
    empty: list[Verdict] = []
    assert verdicts(replace(CALM, allocations=0, reallocations=0), exited=True) == empty


def texts(build: Builder, path: Path, *, finished: bool = True) -> list[tuple[str, str]]:
    with Recording.open(build.write(path, finished=finished)) as recording:
        return [(note.level, note.text) for note in notes(Profile(recording))]


def row(**values: int) -> Callable[[Builder], None]:
    def change(build: Builder) -> None:
        build.tables[Kind.PROCESSES].rows[0].update(values)

    return change


@pytest.mark.parametrize(
    ("change", "level", "part"),
    [
        (row(lost_events=3), "warning", "3 events were lost"),
        (row(python_status=2), "warning", "version of Python"),
        (row(python_status=3), "warning", "laid out"),
        (row(allocator=5), "warning", "allocator is linked into it"),
        (row(off_reason=2), "warning", "collector ended"),
        (row(truncated=7), "note", "7 native stacks"),
        (
            row(wait_ns=2 * SECOND),
            "note",
            "waited 2.00 s in all for the recorder to keep up: that time",
        ),
        (lambda build: build.finish(3 * SECOND, "disk-full"), "warning", "disk was full"),
        (lambda build: build.finish(3 * SECOND, "duration"), "note", "--duration"),
        (lambda build: build.finish(3 * SECOND, "max-size"), "note", "--max-size"),
        (lambda build: build.meta["config"].update(sample_interval=524288), "note", "512.0 KiB"),
    ],
)
def test_what_makes_figures_doubtful_is_said(
    tmp_path: Path, change: Callable[[Builder], None], level: str, part: str
) -> None:
    before = texts(example(), tmp_path / "before.tide")
    build = example()
    change(build)
    new = [note for note in texts(build, tmp_path / "after.tide") if note not in before]
    assert [note[0] for note in new] == [level]
    assert part in new[0][1]


def test_processes_of_one_program_share_a_note(tmp_path: Path) -> None:
    build = example()
    for pid, lost in ((11, 2), (12, 3), (13, 0)):
        build.process(pid, "/srv/worker", lost_events=lost)
    found = [text for level, text in texts(build, tmp_path / "a.tide") if level == "warning"]
    assert found == ["worker (2 processes): 5 events were lost: figures are too low"]


def test_a_good_recording_has_only_the_recorders_notes(tmp_path: Path) -> None:
    assert texts(example(), tmp_path / "a.tide") == [("note", "one thing to know")]


def test_a_recording_without_an_end_says_so(tmp_path: Path) -> None:
    build = example()
    build.end = None
    found = texts(build, tmp_path / "a.tide", finished=False)
    assert [level for level, text in found if "has no end" in text] == ["warning"]


def test_a_cut_file_says_so(tmp_path: Path) -> None:
    path = Path(example().write(tmp_path / "a.tide"))
    path.write_bytes(path.read_bytes()[:-40])
    with Recording.open(path) as recording:
        assert recording.warnings
        levels = [
            note.level for note in notes(Profile(recording)) if note.text in recording.warnings
        ]
    assert set(levels) == {"warning"}


def nameless(*, symbols: bool) -> Builder:
    build = Builder()
    build.process(exe="/srv/server")
    build.thread()
    module = build.module(0, "/srv/server")
    frame = build.native(module, 16)
    if symbols:
        build.symbol(build.native(module, 32), "main", "main.c", 1)
    build.slice(0, SECOND, {build.context(stack=build.stack(frame)): Change(1, 8)})
    build.peak({0: (1, 8)})
    build.finish(SECOND)
    return build


def test_a_stripped_program_gets_advice(tmp_path: Path) -> None:
    found = texts(nameless(symbols=True), tmp_path / "a.tide")
    assert len(found) == 1
    assert "server has no symbols (100.0 % of all allocations)" in found[0][1]


def test_advice_that_the_recording_holds_is_not_repeated(tmp_path: Path) -> None:
    build = nameless(symbols=True)
    build.note(0, "/srv/server is stripped: build it with -g")
    assert len(texts(build, tmp_path / "a.tide")) == 1


def test_an_unsymbolized_recording_names_the_command(tmp_path: Path) -> None:
    found = texts(nameless(symbols=False), tmp_path / "a.tide")
    assert len(found) == 1
    assert f"heaptide symbolize {tmp_path / 'a.tide'}" in found[0][1]


def test_nothing_recorded_is_a_warning(tmp_path: Path) -> None:
    build = Builder()
    build.process()
    build.finish(SECOND)
    found = texts(build, tmp_path / "a.tide")
    assert [level for level, _ in found] == ["warning"]
    assert "no allocation was recorded" in found[0][1]


def test_nothing_selected_is_no_empty_recording(tmp_path: Path) -> None:
    with Recording.open(example().write(tmp_path / "a.tide")) as recording:
        for selection in (
            Selection(without_functions=("/./",)),
            Selection(sizes=(26, 26)),
        ):
            found = [note.text for note in notes(Profile(recording, selection))]
            assert any(text.startswith("nothing is in what was selected") for text in found)
            assert not any("no allocation was recorded" in text for text in found)


def test_nothing_until_now_is_no_empty_recording(tmp_path: Path) -> None:
    build = Builder()
    build.process()
    found = [text for _, text in texts(build, tmp_path / "a.tide", finished=False)]
    assert found[-1] == "no allocation was recorded before the last checkpoint"
