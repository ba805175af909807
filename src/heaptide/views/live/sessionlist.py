"""The list of all recordings that are being made on this machine."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.message import Message
from textual.screen import Screen as Page
from textual.widgets import DataTable, Static

from heaptide.recorder.sessions import Running, running
from heaptide.views.console import Screen

from . import words
from .keybar import Key, KeyBar

_SECOND = 1_000_000_000


class SessionPage(Page[None]):
    """One row a recording; Enter opens it."""

    CSS = """
    #title { height: 1; text-style: bold; }
    DataTable { height: 1fr; }
    #program { height: 1; }
    """
    BINDINGS: ClassVar[list[Any]] = [Binding("space", "pause", show=False)]

    class Opened(Message):
        def __init__(self, session: Running) -> None:
            super().__init__()
            self.session = session

    def __init__(self, *, seconds: float = 1.0) -> None:
        super().__init__()
        self.sessions: list[Running] = []
        self.paused = False
        self._seconds = seconds
        self._clean = Screen()
        self._before: dict[int, tuple[int, int]] = {}  # collector -> time, calls

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        yield DataTable(cursor_type="row")
        yield Static(id="program", markup=False)
        yield KeyBar(
            [
                Key("q", "quit", "app.leave"),
                Key("Enter", "open", "screen.open"),
                Key("space", "pause", "screen.pause"),
            ]
        )

    def on_mount(self) -> None:
        table: DataTable[Text] = self.query_one(DataTable)
        table.add_columns(*words.SESSION_HEADS)
        table.focus()
        self._update()
        self.set_interval(self._seconds, self._update)

    def action_pause(self) -> None:
        self.paused = not self.paused
        self._draw_title()

    def action_open(self) -> None:
        table: DataTable[Text] = self.query_one(DataTable)
        if 0 <= table.cursor_row < len(self.sessions):
            self.post_message(self.Opened(self.sessions[table.cursor_row]))

    def on_data_table_row_selected(self) -> None:
        self.action_open()

    def on_data_table_row_highlighted(self) -> None:
        self._draw_program()

    def _update(self) -> None:
        if self.paused or not self.is_current:
            return
        table: DataTable[Text] = self.query_one(DataTable)
        at = table.cursor_row
        chosen = self.sessions[at].collector if 0 <= at < len(self.sessions) else 0
        self.sessions = running()
        rows = [self._cells(session) for session in self.sessions]
        same = table.row_count == len(rows)
        if not same:
            table.clear()
            table.add_rows(rows)
        else:
            for y, row in enumerate(rows):
                for x, cell in enumerate(row):
                    table.update_cell_at((y, x), cell, update_width=True)  # type: ignore[arg-type]
        for y, session in enumerate(self.sessions):
            if session.collector == chosen and y != table.cursor_row:
                table.move_cursor(row=y, animate=False)
        self._draw_title()
        self._draw_program()

    def _cells(self, session: Running) -> list[Text]:
        live = session.live
        calls = live.allocations + live.reallocations
        time_ns, before = self._before.get(session.collector, (0, 0))
        if live.elapsed_ns > time_ns:
            self._before[session.collector] = (live.elapsed_ns, calls)
        span = max(live.elapsed_ns - time_ns, 1)
        cells = words.session_cells(session, (calls - before) * _SECOND / span)
        shown = [Text(self._clean.clean(cell), justify="right", no_wrap=True) for cell in cells]
        shown[-1].justify = "left"
        shown[-1].truncate(max(self.size.width - 60, 12), overflow="ellipsis")
        return shown

    def _draw_title(self) -> None:
        count = len(self.sessions)
        what = "1 recording" if count == 1 else f"{count} recordings"
        text = f"{what} being made on this machine" if count else "nothing is being recorded now"
        self.query_one("#title", Static).update(f"{text}{', PAUSED' if self.paused else ''}")

    def _draw_program(self) -> None:
        table: DataTable[Text] = self.query_one(DataTable)
        if 0 <= table.cursor_row < len(self.sessions):
            session = self.sessions[table.cursor_row]
            text = f"{session.name}  {session.recording}"
            self.query_one("#program", Static).update(
                self._clean.tail(self._clean.clean(text), max(self.size.width, 8))
            )
