"""The screen of one recording: figures, the heap over time, the table, and what keys do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.message import Message
from textual.screen import Screen as Page
from textual.widgets import Input, Static

from heaptide.errors import HeaptideError
from heaptide.views import units
from heaptide.views.console import Screen

from . import words
from .keybar import Key, KeyBar
from .model import Look, Model
from .output import OutputPane, Program
from .reader import Reader, Shown
from .rows import Choice
from .sitetable import SiteTable

_ORDER_WORDS = {"value": "", "change": "by change", "beside": "by {beside}", "name": "by name"}
_LEAST_SECONDS = 1.0
_PROGRAM_SECONDS = 0.2  # until its end is shown


class RecordingPage(Page[None]):
    """Key figures, the heap over time, the table; below them what the program prints, if it is
    this one that runs it."""

    CSS = """
    #head { height: auto; text-style: bold; }
    #figures, #heap, #told, #about { height: auto; }
    #table { height: 1fr; min-height: 4; }
    #search { display: none; height: 1; border: none; padding: 0; }
    .low #heap, .low #about { display: none; }
    .low #figures, .low KeyBar { max-height: 1; }
    """
    BINDINGS: ClassVar[list[Any]] = [
        Binding("space", "pause", show=False),
        Binding("m", "metric(1)", show=False),
        Binding("M", "metric(-1)", show=False),
        Binding("s", "sort", show=False),
        Binding("r", "reverse", show=False),
        Binding("b", "fold", show=False),
        Binding("t", "by('thread')", show=False),
        Binding("p", "by('process')", show=False),
        # At once: the letters that follow may have been typed already.
        Binding("slash", "search", show=False, priority=True),
        Binding("w", "save", show=False),
        Binding("o", "output", show=False),
        Binding("escape", "back", show=False),
    ]

    class News(Message):
        """The reader has something to show."""

        def __init__(self, shown: Shown) -> None:
            super().__init__()
            self.shown = shown

    class Failed(Message):
        """The reader has met a defect, and ended."""

        def __init__(self, error: Exception) -> None:
            super().__init__()
            self.error = error

    def __init__(
        self,
        model: Model,
        choice: Choice,
        program: Program | None = None,
        *,
        least_seconds: float = _LEAST_SECONDS,
    ) -> None:
        super().__init__()
        self.choice = choice
        self.process: int | None = None
        self.shown: Shown | None = None
        self.said = ""  # the answer to the last key
        self.model = model
        self.program = program
        self.reader = Reader(
            model,
            choice,
            lambda shown: self.post_message(self.News(shown)),
            lambda error: self.post_message(self.Failed(error)),
            least_seconds=least_seconds,
        )
        self._program_ended = ""
        self._by_before = "function"
        self._clean = Screen()

    def compose(self) -> ComposeResult:
        yield Static(id="head", markup=False)
        yield Static(id="figures", markup=False)
        yield Static(id="heap", markup=False)
        yield Static(id="told", markup=False)
        with Vertical():
            yield SiteTable(id="table")
            yield Input(id="search", placeholder="part of a function, file or module")
            yield Static(id="about", markup=False)
        if self.program is not None:
            yield OutputPane(self.program)
        yield KeyBar(_keys(self.program is not None))

    def on_mount(self) -> None:
        self.query_one(SiteTable).focus()
        self.query_one("#head", Static).update("reading the recording …")
        self.reader.start()
        if self.program is not None:
            self.set_interval(_PROGRAM_SECONDS, self._look_at_program)

    def _look_at_program(self) -> None:
        if self.program is not None and self.program.ended != self._program_ended:
            self._program_ended = self.program.ended
            self._draw()

    def on_unmount(self) -> None:
        self.reader.stop()
        self.reader.join()
        self.model.close()

    def on_resize(self) -> None:
        self.set_class(self.size.height < 18, "low")
        self._draw()

    def on_recording_page_news(self, message: News) -> None:
        self.shown = message.shown
        if self.process is not None and message.shown.look.process is None:
            self.process = None  # another recording has come to the path
        self.query_one(SiteTable).show(message.shown.table)
        self._draw()

    def on_recording_page_failed(self, message: Failed) -> None:
        raise message.error

    # What is drawn.

    def _draw(self) -> None:
        if self.shown is None:
            return
        look, clean = self.shown.look, self._clean.clean
        width = max(self.size.width, 20)
        head = Text(clean(self._clean.head(clean(words.headline(look)), width)), "bold")
        head.append("\n")
        head.append(clean(self._status(look)), "not bold")
        self.query_one("#head", Static).update(head)
        figures = Text()
        for at, (name, value) in enumerate(words.key_figures(look.figures)):
            figures.append(f"{'   ' if at else ''}{name.replace(' ', chr(160))}{chr(160)}", "dim")
            figures.append(value.replace(" ", chr(160)), "bold")
        self.query_one("#figures", Static).update(figures)
        self.query_one("#heap", Static).update(self._heap(look, width))
        self.query_one("#told", Static).update(self._told())
        self._draw_about()

    def _status(self, look: Look) -> str:
        parts = [words.status(look)]
        if self.reader.paused:
            parts.insert(0, "PAUSED")
        if self.program is not None and self.program.ended:
            parts.append(f"program: {self.program.ended}")
        if self.shown is not None and self.shown.trouble:
            parts.append(self.shown.trouble)
        return ", ".join(parts)

    def _heap(self, look: Look, width: int) -> Text:
        text = Text(no_wrap=True, overflow="crop")
        history = look.history
        room = max(width - 10 - 11, 8)
        for name, values in (("live heap", history.live_bytes), ("RSS", history.rss_bytes)):
            top = units.size(int(values.max(initial=0)))
            text.append(f"{name:<10}", "dim")
            text.append(words.spark(history, values, room, words.EIGHTHS), "green")
            text.append(f" {top:>10}" + ("\n" if name != "RSS" else ""))
        return text

    def _told(self) -> Text:
        """What the table shows."""
        assert self.shown is not None
        table = self.shown.table
        metric, choice = table.metric, table.choice
        parts = [f"{metric.words}, by {choice.by}"]
        order = _ORDER_WORDS[choice.order].format(beside=metric.beside_words)
        if order:
            parts.append(f"sorted {order}")
        if choice.reverse:
            parts.append("reversed")
        if self.process is not None:
            pid = int(self.shown.look.recording.processes.pid[self.process])
            parts.append(f"process {pid} only (Esc: all)")
        if choice.search:
            parts.append(f"search {self._clean.clean(choice.search)!r} (Esc: all)")
        found = table.groups
        parts.append(table.unknown or f"{found:,} found" if choice.search else f"{found:,}")
        return Text(" · ".join(parts), "italic", no_wrap=True, overflow="crop")

    def _draw_about(self) -> None:
        """The whole of the row that the cursor is on, or what the last key led to."""
        text = self.said
        row = self.query_one(SiteTable).current
        if not text and row is not None:
            text = f"{row.label.name}  {row.label.place}"
            if row.label.tag:
                text += f"  ({row.label.tag})"
        shown = self._clean.tail(self._clean.clean(text), max(self.size.width, 8))
        self.query_one("#about", Static).update(Text(shown, "bold" if self.said else "dim"))

    def on_site_table_moved(self) -> None:
        self._draw_about()

    def on_site_table_sort(self, message: SiteTable.Sort) -> None:
        same = message.order == self.choice.order
        self._choose(
            replace(self.choice, order=message.order, reverse=same and not self.choice.reverse)
        )

    def on_site_table_picked(self, message: SiteTable.Picked) -> None:
        """Of processes: only that one from here on."""
        if self.choice.by == "process" and message.row.entity >= 0:
            self.process = message.row.entity
            self._choose(replace(self.choice, by=self._by_before, search=""))

    # What keys do.

    def _choose(self, choice: Choice) -> None:
        self.choice, self.said = choice, ""
        self.reader.choose(choice, self.process)

    def action_pause(self) -> None:
        self.reader.pause(not self.reader.paused)
        self.said = ""
        self._draw()

    def action_metric(self, step: int) -> None:
        self._choose(self.choice.next_metric(step))

    def action_sort(self) -> None:
        self._choose(self.choice.next_order())

    def action_reverse(self) -> None:
        self._choose(replace(self.choice, reverse=not self.choice.reverse))

    def action_fold(self) -> None:
        self._choose(self.choice.next_fold())

    def action_by(self, fold: str) -> None:
        """Threads or processes; the same key again goes back."""
        if self.choice.by == fold:
            self._choose(replace(self.choice, by=self._by_before))
            return
        if self.choice.by not in ("thread", "process"):
            self._by_before = self.choice.by
        self._choose(replace(self.choice, by=fold))

    def action_search(self) -> None:
        field = self.query_one("#search", Input)
        if self.focused is field:
            field.insert_text_at_cursor("/")
            return
        field.display = True
        self.set_focus(field)
        field.value = self.choice.search

    def on_input_changed(self, event: Input.Changed) -> None:
        if self.query_one("#search").display and event.value != self.choice.search:
            self._choose(replace(self.choice, search=event.value))

    def on_input_submitted(self) -> None:
        self._close_search()

    def _close_search(self) -> None:
        self.query_one("#search").display = False
        self.set_focus(self.query_one(SiteTable))

    def action_back(self) -> None:
        """Undoes one thing: the search, the choice of a process, the fold; then leaves the page."""
        if self.query_one("#search").display or self.choice.search:
            self._close_search()
            self._choose(replace(self.choice, search=""))
        elif self.process is not None:
            self.process = None
            self._choose(self.choice)
        elif self.choice.by in ("thread", "process"):
            self._choose(replace(self.choice, by=self._by_before))
        elif self.said:
            self.said = ""
            self._draw_about()
        elif len(self.app.screen_stack) > 2:  # below the first there is the list
            self.app.pop_screen()

    def action_output(self) -> None:
        if self.program is not None:
            pane = self.query_one(OutputPane)
            pane.display = not pane.display

    def action_save(self) -> None:
        """Writes what there is to a file of its own, in the directory that heaptide runs in."""
        name = Path(self.model.follower.path).name
        stem = name[: -len(".tide")] if name.endswith(".tide") else name
        number = 1
        while (path := Path(f"{stem}.snapshot-{number}.tide")).exists():
            number += 1
        self.said = f"saving {path} …"
        self._draw_about()
        self.run_worker(lambda: self._save(path), thread=True)

    def _save(self, path: Path) -> None:
        """In a thread: a large recording takes its time."""
        try:
            size = self.model.follower.save(path)
            self.said = f"saved {path} ({units.size(size)}); look at it: heaptide show {path}"
        except (OSError, HeaptideError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            self.said = f"{path} cannot be written: {reason}"
        self.app.call_from_thread(self._draw_about)


def _keys(program: bool) -> list[Key]:
    keys = [
        Key("q", "quit", "app.leave"),
        Key("space", "pause", "screen.pause"),
        Key("m", "metric", "screen.metric(1)"),
        Key("s", "sort", "screen.sort"),
        Key("r", "rev", "screen.reverse"),
        Key("b", "by", "screen.fold"),
        Key("t", "threads", "screen.by('thread')"),
        Key("p", "procs", "screen.by('process')"),
        Key("/", "find", "screen.search"),
        Key("w", "save", "screen.save"),
    ]
    if program:
        keys[0] = Key("q", "leave", "app.leave")
        keys += [Key("o", "output", "screen.output"), Key("^C", "interrupt", "app.interrupt")]
    return keys
