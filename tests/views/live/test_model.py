"""What a live view shows: figures to the byte, whatever happens to the file meanwhile."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.profile.random_recording import random_recording
from tests.recording.make import SECOND, Change

from heaptide.errors import RecordingError
from heaptide.profile import FOLDS
from heaptide.recorder import Live
from heaptide.recorder._wire import State
from heaptide.recorder.sessions import Running
from heaptide.recording import Kind, finish
from heaptide.views.live import model as model_module
from heaptide.views.live import words
from heaptide.views.live.figures import Phase, rate
from heaptide.views.live.model import Model
from heaptide.views.live.rows import ORDERS, SHOWN, Choice, table
from heaptide.views.live.snapshot import document, print_look
from heaptide.views.live.words import status

from .growth import Growth

Follow = Callable[..., Model]


def live(**more: object) -> Live:
    values = dict.fromkeys(Live.__dataclass_fields__, 0)
    return Live(**{**values, "state": State.RECORDING, **more})  # type: ignore[arg-type]


@pytest.fixture
def growth(tmp_path: Path) -> Iterator[Growth]:
    grown = Growth(tmp_path / "r.tide")
    yield grown
    grown.file.close()


@pytest.fixture
def follow(growth: Growth, monkeypatch: pytest.MonkeyPatch) -> Iterator[Follow]:
    """``follow(figures)``: a model of the growth; ``figures()``: what its collector says."""
    models = []

    def follow(figures: Callable[[], Live | None]) -> Model:
        monkeypatch.setattr(model_module, "live_of", lambda collector: figures())
        monkeypatch.setattr(model_module, "processes_of", lambda collector: [])
        session = Running(1, 2, 100, str(growth.path), False, ("python3", "app.py"), live())
        models.append(Model(growth.path, session))
        return models[-1]

    yield follow
    for one in models:
        one.close()


def rows(model: Model, choice: Choice, process: int | None = None) -> list[tuple[str, int]]:
    return [(row.label.name, row.value) for row in table(model.look(process), choice).rows]


def test_figures_of_the_file(growth: Growth) -> None:
    """Without a collector to ask, figures are those of the last checkpoint."""
    growth.second("grow", "churn", "hold")
    growth.second("grow", "churn")
    model = Model(growth.path)
    look = model.look()
    figures = look.figures
    assert (figures.live_bytes, figures.live_blocks) == (20_500, 21)
    assert (figures.peak_bytes, figures.peak_time_ns) == (20_500, 2 * SECOND)
    assert (figures.allocations, figures.total_bytes) == (221, 22_500)
    assert figures.rss_bytes == 20_500 * 2 + 1_000_000
    assert figures.elapsed_ns == 2 * SECOND
    assert figures.allocations_per_second == 221 / 2
    assert (figures.processes, figures.threads) == (1, 2)
    assert look.history.live_bytes.tolist() == [10_500, 20_500]
    assert look.phase is Phase.RECORDING
    assert look.command == "python3 app.py" and look.pid == 100
    model.close()


def test_figures_of_the_moment(growth: Growth, follow: Follow) -> None:
    """What the collector says now is newer than its last checkpoint, and shown."""
    growth.second("grow")
    said = live(
        live_bytes=77_000, peak_bytes=99_000, elapsed_ns=5 * SECOND, rss_bytes=7, allocations=3
    )
    model = follow(lambda: said)
    look = model.look()
    assert look.figures.live_bytes == 77_000
    assert (look.figures.peak_bytes, look.figures.elapsed_ns) == (99_000, 5 * SECOND)
    assert look.figures.rss_bytes == 7
    assert look.history.live_bytes.tolist() == [10_000, 77_000]
    assert look.history.time_ns.tolist() == [SECOND, 5 * SECOND]


def test_grows_in_place(growth: Growth) -> None:
    """Each look has what came since; an older look stays as it was."""
    model = Model(growth.path)
    growth.second("grow")
    first = model.look()
    assert rows(model, Choice()) == [("grow", 10_000)]
    growth.second("grow", "hold")
    assert rows(model, Choice()) == [("grow", 20_000), ("hold", 500)]
    assert [row.value for row in table(first, Choice()).rows] == [10_000]
    model.close()


def test_change(growth: Growth) -> None:
    """What grows a second, by each fold, is told by looks before."""
    model = Model(growth.path)
    for _ in range(3):
        growth.second("grow", "churn")
        look = model.look()
    for by in FOLDS:
        found = table(look, Choice(by=by)).rows
        assert sum(row.change for row in found) == 10_000, by
    changes = {row.label.name: row.change for row in table(look, Choice("total")).rows}
    assert changes == {"grow": 10_000, "churn": 1_000}
    growth.second(more={growth.grow: Change(0, 0, 30, 30_000)})
    [row] = [r for r in table(model.look(), Choice("total")).rows if r.label.name == "grow"]
    assert row.change == pytest.approx(20_000 / 3)
    falls = table(model.look(), Choice("live")).rows
    assert [round(r.change) for r in falls if r.label.name == "grow"] == [round(-10_000 / 3)]
    model.close()


def test_what_changes_are_of(growth: Growth) -> None:
    """Of the last seconds; where looks are seldom, of longer. A peak changes in one leap."""
    model = Model(growth.path)
    windows = []
    for seconds in (1, 1, 1, 1, 1, 1, 1, 20):
        for _ in range(seconds):
            growth.second("grow")
        windows.append(table(model.look(), Choice()).window)
    assert windows == [0, 1, 2, 3, 4, 5, 5, 20]
    assert (words.change_head(5.0), words.change_head(20.0)) == ("change", "in 20.0 s")
    peak = table(model.look(), Choice("peak"))
    assert peak.window is None and words.change_head(peak.window) == ""
    assert not any(row.change for row in peak.rows)
    model.close()


def test_metrics(growth: Growth) -> None:
    """Each metric, in the words that are true while the program runs."""
    for _ in range(2):
        growth.second("grow", "churn")
    model = Model(growth.path)
    assert rows(model, Choice("temporary"))[0] == ("churn", 180)
    assert rows(model, Choice("allocations"))[0] == ("churn", 200)
    assert rows(model, Choice("peak")) == [("grow", 20_000)]
    assert table(model.look(), Choice("live")).metric.words == "live now"
    growth.finish()
    assert table(model.look(), Choice("live")).metric.words == "alive at exit"
    model.close()


def test_sampled(growth: Growth) -> None:
    """Of samples it is not known which were temporary; the table says so."""
    growth.build.meta["config"]["sample_interval"] = 4096
    growth.file.append(Kind.META, {"json_bytes": json.dumps(growth.build.meta).encode()})
    growth.second("churn")
    model = Model(growth.path)
    found = table(model.look(), Choice("temporary"))
    assert found.rows == [] and "--sample" in found.unknown
    model.close()


def test_search(growth: Growth) -> None:
    """A part of a function, a file or a thread, whatever its case."""
    growth.second("grow", "churn", "hold")
    model = Model(growth.path)
    assert rows(model, Choice(search="GRO")) == [("grow", 10_000)]
    assert [name for name, _ in rows(model, Choice("total", search="churn.py"))] == ["churn"]
    assert rows(model, Choice(search="nothing like it")) == []
    assert [name for name, _ in rows(model, Choice("total", "thread", search="WORK"))] == ["worker"]
    # Threads and processes by what they hold, with all that they have.
    assert rows(model, Choice(by="process", search="grow")) == [("100", 10_500)]
    assert rows(model, Choice(by="process", search="churn")) == []  # which holds nothing now
    assert [n for n, _ in rows(model, Choice("total", "thread", search="churn"))] == ["worker"]
    found = table(model.look(), Choice("total", search="app.py"))
    assert (found.groups, found.total) == (1, 11_500)
    model.close()


def test_orders(growth: Growth) -> None:
    growth.second("grow", "churn", "hold")
    model = Model(growth.path)
    model.look()
    growth.second("churn")
    model.look()

    def names(order: str, reverse: bool = False) -> list[str]:
        return [name for name, _ in rows(model, Choice("total", order=order, reverse=reverse))]

    assert names("value") == ["grow", "churn", "hold"]
    assert names("beside")[0] == "churn"
    assert names("name") == ["churn", "grow", "hold"]
    assert names("name", True) == ["hold", "grow", "churn"]
    assert names("change")[0] == "churn"
    assert set(ORDERS) == {"value", "beside", "name", "change"}
    model.close()


def test_processes(growth: Growth) -> None:
    """One process alone; what one that has ended left behind lives no more."""
    context = growth.fork()
    growth.second("grow", more={context: Change(3, 3_000)})
    model = Model(growth.path)
    assert {name for name, _ in rows(model, Choice(by="process"))} == {"100", "200"}
    assert rows(model, Choice(), growth.child) == [("work", 3_000)]
    only = model.look(growth.child)
    assert only.figures.live_bytes == 3_000
    assert only.figures.processes == 1
    shown = model.look().processes
    assert [(row.pid, row.alive, row.command) for row in shown] == [
        (100, True, "python3 /home/u/app.py"),
        (200, True, "tool --fast"),
    ]
    growth.end_child()
    growth.second()
    look = model.look()
    assert look.figures.live_bytes == 10_000
    assert rows(model, Choice(by="process")) == [("100", 10_000), ("200", 0)]
    assert [row.alive for row in look.processes] == [True, False]
    model.close()


@pytest.mark.parametrize("metric", SHOWN)
@pytest.mark.parametrize("by", FOLDS)
def test_sums(metric: str, by: str, tmp_path: Path) -> None:
    """Whatever the fold, rows add up to the recording's own total."""
    for seed in range(12):
        path = tmp_path / f"{seed}.tide"
        random_recording(seed, path).close()
        model = Model(path)
        look = model.look()
        found = table(look, Choice(metric, by, most=10**6))
        figures = look.figures
        assert sum(row.value for row in found.rows) == found.total
        if metric == "total":
            assert found.total == figures.total_bytes == look.recording.summary.total_bytes
        if metric == "live":
            assert found.total == figures.live_bytes
        assert len({row.key for row in found.rows}) == len(found.rows)
        model.close()


def test_phases(growth: Growth, follow: Follow) -> None:
    """From before the recording's start to its finished form."""
    said: list[Live | None] = [live(state=State.PAUSED)]
    model = follow(lambda: said[0])
    assert model.look().phase is Phase.WAITING
    said[0] = live()
    growth.second("grow")
    assert model.look().phase is Phase.RECORDING
    said[0] = live(state=State.STOPPED)
    assert model.look().phase is Phase.STOPPED
    said[0] = None
    assert model.look().phase is Phase.ABANDONED
    growth.finish()
    assert model.look().phase is Phase.ENDED
    finish(growth.path)
    look = model.look()
    assert look.phase is Phase.FINISHED
    assert look.figures.live_bytes == 10_000
    assert table(look, Choice()).rows[0].label.name == "grow"


def test_why_it_ended(growth: Growth) -> None:
    """A recording that ends before its program says why."""
    growth.second("grow")
    growth.finish("disk-full")
    model = Model(growth.path)
    assert "recording ended, the disk is full, 1.00 s" in status(model.look())
    model.close()


def test_recorded_by_another_user(growth: Growth) -> None:
    """Where no collector can be found, a file that is being written is being recorded."""
    growth.second("grow")
    model = Model(growth.path)
    assert model.look().phase is Phase.RECORDING
    os.utime(growth.path, (0, 1_000_000))
    assert model.look().phase is Phase.ABANDONED
    model.close()


def test_deleted(growth: Growth) -> None:
    growth.second("grow")
    model = Model(growth.path)
    model.look()
    growth.path.unlink()
    look = model.look()
    assert look.deleted and look.figures.live_bytes == 10_000
    model.close()


def test_other_recording_at_the_path(growth: Growth, tmp_path: Path) -> None:
    """Nothing of the one before is mixed in: neither changes nor the chosen process."""
    context = growth.fork()
    growth.second("grow", more={context: Change(1, 10)})
    model = Model(growth.path)
    model.look(growth.child)
    other = Growth(tmp_path / "other.tide", start_time=1.8e9)
    other.second("hold")
    other.file.close()
    other.path.replace(growth.path)
    look = model.look(growth.child)
    assert look.process is None
    assert [row.label.name for row in table(look, Choice()).rows] == ["hold"]
    model.close()


def test_rate() -> None:
    """Calls a second over the last two seconds; of one row nothing is known."""

    class Rows:
        def __init__(self, *points: tuple[float, int]) -> None:
            self.time = np.array([int(t * SECOND) for t, _ in points], dtype=np.int64)
            self.allocations = np.array([n for _, n in points], dtype=np.int64)

        def __len__(self) -> int:
            return len(self.time)

    assert rate(Rows()) == 0  # type: ignore[arg-type]
    assert rate(Rows((1, 50))) == 0  # type: ignore[arg-type]
    assert rate(Rows((1, 50), (2, 100))) == 75  # type: ignore[arg-type]
    assert rate(Rows((1, 10**6), (8, 0), (9, 20), (10, 40))) == 30  # type: ignore[arg-type]
    assert rate(Rows((1, 10**6), (100, 99))) == 1  # type: ignore[arg-type]


def test_nothing_to_follow(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="does not exist"):
        Model(tmp_path / "none.tide")


def test_empty(growth: Growth) -> None:
    """A recording that has only begun."""
    model = Model(growth.path)
    look = model.look()
    assert look.figures.live_bytes == 0
    assert table(look, Choice()).rows == []
    text = io.StringIO()
    print_look(look, table(look, Choice()), file=text)
    assert "nothing yet" in text.getvalue()
    model.close()


HOSTILE = "evil\x1b[2J\x07\n[red]name\u202e"


def test_hostile_names(growth: Growth) -> None:
    """Names move no cursor and are no markup."""
    build = growth.build
    stack = build.stack(build.python(HOSTILE, "/x/\x1b]0;title\x07.py", 1))
    context = build.context(0, stack)
    growth.second(more={context: Change(1, 10**6)})
    model = Model(growth.path)
    look = model.look()
    text = io.StringIO()
    print_look(look, table(look, Choice()), file=text)
    assert all(c.isprintable() or c == "\n" for c in text.getvalue())
    assert "[red]name" in text.getvalue()
    model.close()


@pytest.mark.parametrize("by", FOLDS)
def test_text_fits(by: str, growth: Growth) -> None:
    """80 columns, in a file; the figures are in it."""
    context = growth.fork()
    for _ in range(3):
        growth.second("grow", "churn", "hold", more={context: Change(5, 123_456_789)})
    model = Model(growth.path)
    look = model.look()
    for metric in SHOWN:
        text = io.StringIO()
        print_look(look, table(look, Choice(metric, by)), file=text)
        assert max(map(len, text.getvalue().splitlines())) <= 80
        assert "370.4 MB" in text.getvalue()  # the live heap
    model.close()


def test_document(growth: Growth) -> None:
    """JSON: the figures and all rows."""
    growth.second("grow", "churn")
    model = Model(growth.path)
    look = model.look()
    found = document(look, table(look, Choice("total", most=10**6)))
    assert found["phase"] == "recording"
    assert found["figures"]["live_bytes"] == 10_000
    assert found["table"]["total"] == 11_000
    assert found["table"]["rows"][0] == {
        "name": "grow",
        "place": "/home/u/app.py:10",
        "own": True,
        "value": 10_000,
        "share": 10 / 11,
        "beside": 10,
    }
    assert found["figures"]["elapsed_seconds"] == 1.0
    assert found["table"]["beside_words"] == "allocations"
    assert found["processes"][0]["pid"] == 100
    model.close()
