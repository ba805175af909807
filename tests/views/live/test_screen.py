"""The screen, driven by keys and the mouse while its recording grows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.recording.make import Change
from textual.pilot import Pilot
from textual.widgets import Input, Static

from heaptide.recording import Recording, finish
from heaptide.views.live.app import LiveApp
from heaptide.views.live.keybar import KeyBar
from heaptide.views.live.model import Model
from heaptide.views.live.rows import Choice
from heaptide.views.live.screen import RecordingPage
from heaptide.views.live.sitetable import SiteTable

from .growth import Growth
from .test_model import HOSTILE

Steps = Callable[["Driver"], Awaitable[None]]

# Looks come as fast as the test asks: it waits for what it expects, never for a time.
_LEAST_SECONDS = 0.01


class Driver:
    """The screen under the pilot."""

    def __init__(self, app: LiveApp, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def page(self) -> RecordingPage:
        page = self.app.screen
        assert isinstance(page, RecordingPage)
        return page

    @property
    def sites(self) -> SiteTable:
        return self.page.query_one(SiteTable)

    def rows(self) -> list[tuple[str, int]]:
        table = self.sites.table
        return [(row.label.name, row.value) for row in table.rows] if table else []

    def names(self) -> list[str]:
        return [name for name, _ in self.rows()]

    def text(self, name: str) -> str:
        return str(self.page.query_one(name, Static).render())

    def screen(self) -> list[str]:
        """What is drawn, line by line."""
        strips = self.app.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip) for strip in strips]

    async def until(self, condition: Callable[[], bool], what: str = "") -> None:
        for _ in range(3000):
            if condition():
                return
            await asyncio.sleep(0.01)  # a pause of the pilot waits for a screen that may have gone
        raise AssertionError(f"{what}: {self.rows()} {self.screen()}")

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)


@pytest.fixture
def growth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Growth]:
    monkeypatch.chdir(tmp_path)
    grown = Growth(tmp_path / "r.tide")
    grown.second("grow", "churn", "hold")
    yield grown
    grown.file.close()


def drive(growth: Growth, steps: Steps, size: tuple[int, int] = (100, 30), **more: Any) -> LiveApp:
    """Runs the steps on a screen of the growth."""
    app = LiveApp(Model(growth.path), Choice(), least_seconds=_LEAST_SECONDS, **more)

    async def run() -> None:
        async with app.run_test(size=size) as pilot:
            driver = Driver(app, pilot)
            await driver.until(lambda: len(driver.rows()) > 0, "the first look")
            await steps(driver)

    asyncio.run(run())
    assert app.failure is None
    return app


def test_changes_in_place(growth: Growth) -> None:
    """Rows, figures and the line of the heap follow the recording."""

    async def steps(driver: Driver) -> None:
        await driver.until(lambda: driver.rows() == [("grow", 10_000), ("hold", 500)])
        growth.second("grow")
        await driver.until(lambda: ("grow", 20_000) in driver.rows())
        assert "live\xa0heap\xa020.5\xa0kB" in driver.text("#figures")
        assert "recording, 2.00 s" in driver.text("#head")
        assert "20.5 kB" in driver.text("#heap")
        assert any("grow" in line and "20.0 kB" in line for line in driver.screen())
        growth.second("grow")
        await driver.until(lambda: any("+10.0 kB/s" in line for line in driver.screen()))

    drive(growth, steps)


def test_pause(growth: Growth) -> None:
    """A paused screen stays, answers keys, and goes on where the program has got to."""

    async def steps(driver: Driver) -> None:
        await driver.until(lambda: driver.rows()[0] == ("grow", 10_000))
        await driver.press("space")
        await driver.until(lambda: "PAUSED" in driver.text("#head"))
        number = driver.page.shown.look.number  # type: ignore[union-attr]
        growth.second("grow")
        await driver.press("m", "m")
        await driver.until(lambda: driver.sites.table.metric.name == "total")  # type: ignore[union-attr]
        assert driver.rows()[0] == ("grow", 10_000)
        assert driver.page.shown.look.number == number  # type: ignore[union-attr]
        await driver.press("space")
        await driver.until(lambda: driver.rows()[0] == ("grow", 20_000))
        assert "PAUSED" not in driver.text("#head")

    drive(growth, steps)


def test_metric(growth: Growth) -> None:
    """All metrics in turn, there and back; each named in words."""

    async def steps(driver: Driver) -> None:
        seen = []
        for _ in range(6):
            table = driver.sites.table
            assert table is not None
            words = table.metric.words
            seen.append(words)
            assert words in driver.text("#told")
            await driver.press("m")
            await driver.until(lambda: driver.sites.table.metric.words != words)  # type: ignore[union-attr] # noqa: B023
        assert seen == [
            "live now",
            "at peak",
            "allocated in total",
            "allocations",
            "temporary allocations",
            "copied by realloc",
        ]
        await driver.press("M")
        await driver.until(lambda: "copied by realloc" in driver.text("#told"))

    drive(growth, steps)


def test_sort(growth: Growth) -> None:
    """By key and by a click on the head of a column."""

    async def steps(driver: Driver) -> None:
        await driver.press("m", "m")
        await driver.until(lambda: driver.names() == ["grow", "churn", "hold"])
        await driver.press("s")
        await driver.until(lambda: "sorted by change" in driver.text("#told"))
        await driver.press("s")
        await driver.until(lambda: driver.names() == ["churn", "grow", "hold"])
        assert "sorted by allocations" in driver.text("#told")
        await driver.press("s")
        await driver.until(lambda: "sorted by name" in driver.text("#told"))
        assert driver.names() == ["churn", "grow", "hold"]
        await driver.press("r")
        await driver.until(lambda: driver.names() == ["hold", "grow", "churn"])
        [head] = [line for line in driver.screen() if "share" in line]
        await driver.pilot.click(SiteTable, offset=(head.index("bytes") + 1, 0))
        await driver.until(lambda: driver.names() == ["grow", "churn", "hold"])
        await driver.pilot.click(SiteTable, offset=(head.index("bytes") + 1, 0))
        await driver.until(lambda: driver.names() == ["hold", "churn", "grow"])
        await driver.pilot.click(SiteTable, offset=(head.index("function") + 1, 0))
        await driver.until(lambda: driver.names() == ["churn", "grow", "hold"])

    drive(growth, steps)


def test_search(growth: Growth) -> None:
    """Found while it is typed; Enter keeps it, Escape undoes it."""

    async def steps(driver: Driver) -> None:
        await driver.press("slash")
        await driver.press(*"hel")
        await driver.until(lambda: driver.names() == ["hold"])
        await driver.press("q")  # a letter of the search, not the key
        await driver.until(lambda: driver.names() == [])
        assert "0 found" in driver.text("#told")
        await driver.press("backspace", "enter")
        await driver.until(lambda: driver.names() == ["hold"])
        assert not driver.page.query_one(Input).display
        growth.second("grow", "hold")
        await driver.until(lambda: driver.rows() == [("hold", 1_000)])
        await driver.press("escape")
        await driver.until(lambda: len(driver.names()) == 2)
        await driver.press("slash", *"u/hel", "slash")
        await driver.until(lambda: driver.page.choice.search == "u/hel/")
        await driver.press("backspace")
        await driver.until(lambda: driver.names() == ["hold"])

    drive(growth, steps)


def test_threads(growth: Growth) -> None:
    async def steps(driver: Driver) -> None:
        await driver.press("t")
        await driver.until(lambda: driver.rows() == [("MainThread", 10_500), ("worker", 0)])
        await driver.press("t")
        await driver.until(lambda: driver.names() == ["grow", "hold"])
        folds = []
        for _ in range(6):
            await driver.press("b")
            await driver.until(lambda: driver.sites.table.choice == driver.page.choice)  # type: ignore[union-attr]
            folds.append(driver.page.choice.by)
        assert folds == ["line", "file", "module", "thread", "process", "function"]

    drive(growth, steps)


def test_processes(growth: Growth) -> None:
    """The list of processes; Enter, or two clicks, choose one; Escape all again."""
    context = growth.fork()
    growth.second("grow", more={context: Change(3, 3_000)})

    async def steps(driver: Driver) -> None:
        await driver.press("p")
        await driver.until(lambda: driver.names() == ["100", "200"])
        await driver.press("down", "enter")
        await driver.until(lambda: driver.rows() == [("work", 3_000)])
        assert "process 200 only" in driver.text("#told")
        assert "live\xa0heap\xa03.0\xa0kB" in driver.text("#figures")
        growth.second(more={context: Change(1, 1_000)})
        await driver.until(lambda: driver.rows() == [("work", 4_000)])
        await driver.press("escape")
        await driver.until(lambda: "grow" in driver.names() and "work" in driver.names())
        await driver.press("p")
        await driver.until(lambda: driver.names() == ["100", "200"])
        await driver.pilot.click(SiteTable, offset=(20, 1))
        await driver.until(lambda: driver.names()[:1] == ["grow"])
        assert "process 100 only" in driver.text("#told")

    drive(growth, steps)


def test_cursor(growth: Growth) -> None:
    """The cursor stays on its row when others pass it; the row's whole name is below."""

    async def steps(driver: Driver) -> None:
        await driver.press("down")
        await driver.until(lambda: driver.sites.cursor == 1)
        assert driver.text("#about").startswith("hold  /home/u/held.py:5")
        growth.second(more={growth.hold: Change(1, 10**6)})
        await driver.until(lambda: driver.names()[0] == "hold")
        assert driver.sites.cursor == 0
        await driver.press("end")
        assert driver.sites.current is not None
        assert driver.sites.current.label.name == "grow"
        await driver.press("home", "pagedown", "pageup", "up")
        assert driver.sites.cursor == 0

    drive(growth, steps)


def test_many_rows_scroll(growth: Growth) -> None:
    """The cursor stays in sight; the head of the table too."""
    build = growth.build
    more = {}
    for number in range(150):
        stack = build.stack(build.python(f"f{number:03}", "/home/u/many.py", number + 1))
        more[build.context(0, stack)] = Change(1, 10**6 - number)
    growth.second(more=more)

    async def steps(driver: Driver) -> None:
        await driver.until(lambda: len(driver.rows()) == 152)
        await driver.press("end")
        await driver.until(lambda: any("hold" in line for line in driver.screen()))
        assert any("function" in line and "share" in line for line in driver.screen())
        await driver.press("home")
        await driver.until(lambda: any("f000" in line for line in driver.screen()))
        await driver.press(*["pagedown"] * 3)
        await driver.until(
            lambda: any(driver.sites.current.label.name in line for line in driver.screen())  # type: ignore[union-attr]
        )
        assert driver.sites.cursor > 20

    drive(growth, steps)


def test_save(growth: Growth, tmp_path: Path) -> None:
    """A snapshot is a recording of what there is; each gets a name of its own."""

    async def steps(driver: Driver) -> None:
        await driver.press("w")
        await driver.until(lambda: "saved r.snapshot-1.tide" in driver.text("#about"))
        growth.second("grow")
        await driver.until(lambda: ("grow", 20_000) in driver.rows())
        await driver.press("w")
        await driver.until(lambda: "saved r.snapshot-2.tide" in driver.text("#about"))

    drive(growth, steps)
    for number, size in ((1, 10_500), (2, 20_500)):
        with Recording.open(tmp_path / f"r.snapshot-{number}.tide") as recording:
            assert int(recording.totals.live_bytes.sum()) == size


def test_save_fails(growth: Growth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be written one line says so, and the screen goes on."""

    async def steps(driver: Driver) -> None:
        monkeypatch.chdir("/proc/self")
        await driver.press("w")
        await driver.until(lambda: "cannot be written" in driver.text("#about"))
        growth.second("grow")
        await driver.until(lambda: ("grow", 20_000) in driver.rows())

    drive(growth, steps)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("key", ["q", "ctrl+c", "ctrl+q"])
def test_quit(growth: Growth, key: str) -> None:
    async def steps(driver: Driver) -> None:
        await driver.press(key)
        await driver.until(lambda: not driver.app.is_running)

    drive(growth, steps)


def test_keys_can_be_clicked(growth: Growth) -> None:
    """The bar at the bottom names the keys; each is a button."""

    async def steps(driver: Driver) -> None:
        [line] = [line for line in driver.screen() if "metric" in line]
        assert all(word in line for word in ("quit", "pause", "sort", "find", "save"))
        await driver.pilot.click(KeyBar, offset=(line.index("metric"), 0))
        await driver.until(lambda: "at peak" in driver.text("#told"))

    drive(growth, steps)


@pytest.mark.parametrize("size", [(80, 24), (40, 10), (200, 60), (20, 5)])
def test_sizes(growth: Growth, size: tuple[int, int]) -> None:
    """Whatever fits is drawn, in any size, and after each change of it."""

    async def steps(driver: Driver) -> None:
        assert max(map(len, driver.screen())) <= size[0]
        if size[1] >= 10:
            assert any("grow" in line for line in driver.screen())
        await driver.pilot.resize_terminal(80, 24)
        await driver.until(lambda: any("grow" in line for line in driver.screen()))
        keys = [line for line in driver.screen() if "metric" in line]
        assert len(keys) == 1 and "w save" in keys[0]

    drive(growth, steps, size)


def test_hostile_names(growth: Growth) -> None:
    """Names are text: no markup, and nothing that moves the cursor."""
    build = growth.build
    stack = build.stack(build.python(HOSTILE, "/x/\x1b[31m[bold]y.py", 1))
    context = build.context(0, stack)
    growth.second(more={context: Change(1, 10**6)})

    async def steps(driver: Driver) -> None:
        await driver.until(lambda: driver.rows()[0][1] == 10**6)
        lines = driver.screen()
        assert all(c.isprintable() or c == "\xa0" for line in lines for c in line)
        assert any("[red]name" in line for line in lines)

    drive(growth, steps, (160, 30))


def test_no_colour(growth: Growth, monkeypatch: pytest.MonkeyPatch) -> None:
    """With NO_COLOR nothing is lost: the cursor's row has a mark."""
    monkeypatch.setenv("NO_COLOR", "1")

    async def steps(driver: Driver) -> None:
        assert any(line.startswith("▸") and "grow" in line for line in driver.screen())

    drive(growth, steps)


def test_end(growth: Growth) -> None:
    """The end, and the finished form that takes the file's place, are noticed."""

    async def steps(driver: Driver) -> None:
        growth.finish()
        await driver.until(lambda: "ended, 1.00 s" in driver.text("#head"))
        finish(growth.path)
        await driver.until(lambda: "finished, 1.00 s" in driver.text("#head"))
        assert driver.rows() == [("grow", 10_000), ("hold", 500)]
        assert "alive at exit" in driver.text("#told")

    drive(growth, steps)


def test_deleted_and_recorded_anew(growth: Growth) -> None:
    """A file that is gone is said to be, and a new one at its place is shown."""

    async def steps(driver: Driver) -> None:
        growth.path.unlink()
        await driver.until(lambda: "was deleted" in driver.text("#head"))
        other = Growth(growth.path, start_time=1.9e9)
        other.second("hold")
        await driver.until(lambda: driver.rows() == [("hold", 500)])
        growth.path.write_bytes(b"something else")
        await driver.until(lambda: "not a heaptide recording" in driver.text("#head"))
        assert driver.rows() == [("hold", 500)]
        other.file.close()

    drive(growth, steps)


def test_defect_is_reported(growth: Growth, monkeypatch: pytest.MonkeyPatch) -> None:
    """What must not happen ends the screen, with the exception for the command to describe."""

    def fail(*_: object) -> None:
        raise KeyError("oops")

    app = LiveApp(Model(growth.path), Choice(), least_seconds=_LEAST_SECONDS)

    async def run() -> None:
        async with app.run_test() as pilot:
            driver = Driver(app, pilot)
            await driver.until(lambda: len(driver.rows()) > 0)
            monkeypatch.setattr("heaptide.views.live.reader.table", fail)
            await driver.until(lambda: not app.is_running)

    asyncio.run(run())
    assert isinstance(app.failure, KeyError)
    assert app.return_code == 1
