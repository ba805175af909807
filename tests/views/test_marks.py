"""Marks, as views name them."""

from __future__ import annotations

import io
from pathlib import Path

from tests.recording.make import SECOND, Builder, Change

from heaptide.profile import METRICS, Profile
from heaptide.recording import Recording
from heaptide.views import text
from heaptide.views.document import document
from heaptide.views.marks import MOST, Mark, in_words, marks_of


def profile(path: Path, marks: list[tuple[int, str]], *processes: int) -> Profile:
    build = Builder()
    build.process(pid=4711, end=3 * SECOND, peak_bytes=100, peak_time=SECOND)
    build.thread()
    context = build.context(stack=build.stack(build.python("f", "/a.py", 1)))
    build.slice(0, 3 * SECOND, {context: Change(1, 100)})
    build.timeline(SECOND, live=100)
    other = build.process(pid=9, end=SECOND)
    for time, name in marks:
        build.mark(time, name, process=other if name.startswith("other") else 0)
    return Profile(Recording.open(build.write(path)), processes or None)


def printed(marked: Profile) -> list[str]:
    file = io.StringIO()
    text.print_summary(marked.recording, file=file, width=100)
    return file.getvalue().splitlines()


def test_by_time_and_of_the_chosen_processes(tmp_path: Path) -> None:
    marks = [(2 * SECOND, "late"), (SECOND, "early"), (SECOND // 2, "other")]
    found = marks_of(profile(tmp_path / "a.tide", marks))
    assert found == [Mark("other", 0.5, 9), Mark("early", 1.0, 4711), Mark("late", 2.0, 4711)]
    assert marks_of(profile(tmp_path / "b.tide", marks, 1)) == found[:1]
    assert marks_of(profile(tmp_path / "c.tide", marks, 0)) == found[1:]


def test_words() -> None:
    turns = [Mark("turn", float(second), 1) for second in range(1, 50)]
    assert in_words([Mark("start", 0.25, 1), *turns]) == "start at 250 ms, turn at 1.00 s"
    many = [Mark(f"m{number}", 1.0, 1) for number in range(20)]
    assert in_words(many).endswith("m7 at 1.00 s and 12 more")
    assert in_words([]) == ""


def test_in_text_and_json(tmp_path: Path) -> None:
    marked = profile(tmp_path / "a.tide", [(SECOND, "serving\x1b[31m"), (2 * SECOND, "closing")])
    lines = printed(marked)
    [line] = [line for line in lines if "marks:" in line]
    assert line.endswith("[31m at 1.00 s, closing at 2.00 s") and "\x1b" not in line
    assert lines[lines.index(line) - 1] == "Live heap over time"
    assert document(marked, marked.fold("function", METRICS["peak"]))["marks"] == [
        {"name": "serving\x1b[31m", "seconds": 1.0, "pid": 4711},
        {"name": "closing", "seconds": 2.0, "pid": 4711},
    ]
    assert not any("marks:" in line for line in printed(profile(tmp_path / "b.tide", [])))


def test_thousands(tmp_path: Path) -> None:
    marked = profile(tmp_path / "a.tide", [(turn, "turn") for turn in range(MOST + 500)])
    assert len(marks_of(marked)) == MOST
    assert len(document(marked, marked.fold("function", METRICS["peak"]))["marks"]) == MOST
