"""The table on the screen: draws the rows that are visible, and keeps the cursor on its row."""

from __future__ import annotations

from typing import Any

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from heaptide.views import units
from heaptide.views.console import Screen
from heaptide.views.labels import GAP, Label, divide, heads, write_label

from . import words
from .rows import Row, Table

_MARK = "▸"
_LEFT = 2  # cells for the mark of the cursor

_BOLD, _DIM, _PLAIN = Style(bold=True), Style(dim=True), Style()
_HEAD, _CURSOR = Style(bold=True, underline=True), Style(reverse=True)
_SORTED = Style(bold=True, reverse=True)
# Cells of a screen from which on there is room for more than the figure, the name and the place.
_WITH_SHARE, _WITH_COMPANION, _WITH_CHANGE = 44, 60, 72


class SiteTable(ScrollView, can_focus=True):
    """Rows of a `Table`. The columns: share, figure, companion, change, name, place."""

    BINDINGS = [  # noqa: RUF012 - as textual declares it
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home,g", "move(-1000000)", show=False),
        Binding("end,G", "move(1000000)", show=False),
        Binding("enter", "pick", show=False),
    ]
    DEFAULT_CSS = "SiteTable { overflow-x: hidden; }"

    class Picked(Message):
        """Enter, or a click on the row of the cursor."""

        def __init__(self, row: Row) -> None:
            super().__init__()
            self.row = row

    class Moved(Message):
        """The cursor is on another row, or its row has other figures."""

    class Sort(Message):
        """A click on the head of a column; ``order`` is one of ``rows.ORDERS``."""

        def __init__(self, order: str) -> None:
            super().__init__()
            self.order = order

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.table: Table | None = None
        self.cursor = 0
        self._lines: list[tuple[list[str], Row]] = []
        self._heads: list[tuple[str, str]] = []  # what a column is ordered by, and its head
        self._clean = Screen()

    @property
    def current(self) -> Row | None:
        """The row of the cursor."""
        rows = self.table.rows if self.table else []
        return rows[self.cursor] if self.cursor < len(rows) else None

    def show(self, table: Table) -> None:
        """Other rows. The cursor stays on what it was on, if that is still there."""
        before = self.current
        same = self.table is not None and self.table.choice.by == table.choice.by
        self.table = table
        keys = {row.key: at for at, row in enumerate(table.rows)}
        if before is not None and same and before.key in keys and self.cursor > 0:
            self.cursor = keys[before.key]
        else:
            self.cursor = min(self.cursor if same else 0, max(len(table.rows) - 1, 0))
        self._fit()
        self.post_message(self.Moved())

    def on_resize(self, event: events.Resize) -> None:
        self._fit()

    def _fit(self) -> None:
        """Cuts all cells to the width there is."""
        table = self.table
        if table is None:
            return
        columns = self._columns(table)
        widths = [max(map(len, cells)) for _, cells in columns]
        used = sum(widths) + GAP * len(widths)
        labels = [self._cleaned(row.label) for row in table.rows]
        head = heads(table.choice.by)
        room = divide([head, *labels], max(self.size.width - _LEFT - 2 - used, 16))
        self._lines = []
        for at, label in enumerate(labels):
            name, place = write_label(self._clean, label, table.choice.by, *room)
            cells = [column[at + 1].rjust(w) for (_, column), w in zip(columns, widths)]
            self._lines.append(([*cells, _padded(name, room[0]), place], table.rows[at]))
        self._heads = [
            *((order, cells[0].rjust(w)) for (order, cells), w in zip(columns, widths)),
            ("name", _padded(head.name, room[0])),
            ("", head.place),
        ]
        self.virtual_size = Size(self.size.width, len(table.rows) + 1)
        self._keep_in_sight()
        self.refresh()

    def _columns(self, table: Table) -> list[tuple[str, list[str]]]:
        """The columns of figures that there is room for: what each is ordered by, and its cells
        with the head."""
        metric, rows, width = table.metric, table.rows, self.size.width
        unit = "bytes" if metric.unit == "bytes" else "count"
        columns = [("value", [unit, *(words.figure(metric, row.value) for row in rows)])]
        if width >= _WITH_SHARE:
            columns.insert(0, ("", ["share", *(units.percent(row.share) for row in rows)]))
        if width >= _WITH_COMPANION:
            beside = [words.companion(metric, row.beside) for row in rows]
            columns.append(("beside", [metric.beside_words, *beside]))
        if width >= _WITH_CHANGE:
            # It keeps its room, so that names do not move as it comes and goes.
            changes = [words.change(metric, row.change) for row in rows]
            head = words.change_head(table.window)
            columns.append(("change", [head.rjust(len("+999.9 kB/s")), *changes]))
        return columns

    def _cleaned(self, label: Label) -> Label:
        label.clean(self._clean)
        return label

    def _keep_in_sight(self) -> None:
        height = max(self.size.height - 1, 1)
        top = int(self.scroll_offset.y)
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False)
        elif self.cursor >= top + height:
            self.scroll_to(y=self.cursor - height + 1, animate=False)

    def render_line(self, y: int) -> Strip:
        """The head stays where it is, rows scroll below it."""
        if y == 0 and self.table is not None:
            segments = [Segment(" " * _LEFT)]
            for order, cell in self._heads:
                text = cell.strip()
                left, _, right = cell.partition(text) if text else (cell, "", "")
                style = _SORTED if order == self.table.choice.order else _HEAD
                segments += [Segment(left), Segment(text, style), Segment(right + " " * GAP)]
            return self._strip(segments)
        index = int(self.scroll_offset.y) + y - 1
        if not 0 <= index < len(self._lines):
            return Strip.blank(self.size.width, self.rich_style)
        cells, row = self._lines[index]
        here = index == self.cursor
        base = _CURSOR if here and self.has_focus else _PLAIN
        whose = _BOLD if row.label.own else _PLAIN
        style_of = {"value": whose, "name": whose, "change": _BOLD if row.change > 0 else _PLAIN}
        styles = [style_of.get(order, _PLAIN) for order, _ in self._heads[:-1]] + [_DIM]
        mark = _MARK if here else " "
        segments = [Segment(mark.ljust(_LEFT), base)]
        for cell, style in zip(cells, styles):
            segments.append(Segment(cell + " " * GAP, base + (_PLAIN if here else style)))
        return self._strip(segments, base)

    def _strip(self, segments: list[Segment], style: Style = _PLAIN) -> Strip:
        width = self.size.width
        return Strip(segments).adjust_cell_length(width, style).apply_style(self.rich_style)

    def action_move(self, step: int) -> None:
        last = max(len(self._lines) - 1, 0)
        self.cursor = min(max(self.cursor + step, 0), last)
        self._keep_in_sight()
        self.refresh()
        self.post_message(self.Moved())

    def action_page(self, step: int) -> None:
        self.action_move(step * max(self.size.height - 2, 1))

    def action_pick(self) -> None:
        if self.current is not None:
            self.post_message(self.Picked(self.current))

    def on_click(self, event: events.Click) -> None:
        if event.y == 0:
            at = _LEFT
            for order, cell in self._heads:
                at += cell_len(cell) + GAP
                if event.x < at:
                    self.post_message(self.Sort(order or "value"))
                    break
            return
        index = int(self.scroll_offset.y) + event.y - 1
        if index == self.cursor:
            self.action_pick()
        elif index < len(self._lines):
            self.action_move(index - self.cursor)


def _padded(text: str, width: int) -> str:
    return text + " " * max(width - cell_len(text), 0)
