"""What the recorded program prints, in a pane below the figures.

The program writes to a terminal of its own; its lines are shown with their colours, without
anything that moves a cursor. A line that is written over (a progress bar) shows as it was last.
"""

from __future__ import annotations

import codecs
import contextlib
import re
import socket
import threading
from collections import deque
from collections.abc import Callable

from rich.segment import Segment
from rich.text import Text
from textual import events
from textual.binding import Binding
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from heaptide.recorder.onscreen import DROPPED, ENDED, INTERRUPT, OUTPUT, SIZE, STARTED

_MOST_LINES = 5000
_MOST_CHARACTERS = 2000  # of a line that are shown
_MESSAGE_BYTES = 1 << 17
_UPDATE_SECONDS = 0.1  # however much comes
# Escape sequences that are no colours, commands to the terminal with their text, and lone ones.
_OTHER = re.compile(
    r"\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b\[[0-?]*[ -/]*[@-ln-~]|\x1b[ -/]*[0-Zf-~\\]"
)
_CONTROLS = dict.fromkeys(n for n in (*range(32), *range(127, 160)) if n not in (9, 27))


class Lines:
    """Bytes of a terminal as lines: decoded, cleaned, the last one perhaps not whole yet."""

    def __init__(self, most: int = _MOST_LINES) -> None:
        self.done: deque[Text] = deque(maxlen=most)
        self.count = 0  # of all lines there were
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def feed(self, data: bytes) -> None:
        text = self._rest + self._decoder.decode(data)
        *whole, self._rest = text.split("\n")
        for line in whole:
            self._add(line)
        if len(self._rest) > _MESSAGE_BYTES:
            self._rest = _overwritten(self._rest)[-_MOST_CHARACTERS:]

    def say(self, text: str) -> None:
        """A line of ours among the program's."""
        self.done.append(Text(text, "italic dim"))
        self.count += 1

    def _add(self, line: str) -> None:
        self.done.append(_shown(line))
        self.count += 1

    @property
    def last(self) -> Text | None:
        """The line that is being written."""
        return _shown(self._rest) if self._rest else None


def _overwritten(line: str) -> str:
    """What stays of a line after carriage returns and erasures."""
    line = line.rstrip("\r")
    kept = line.rpartition("\r")[2]
    return kept or line.replace("\r", "")


def _shown(line: str) -> Text:
    text = _OTHER.sub("", _overwritten(line))[:_MOST_CHARACTERS].expandtabs()
    shown = Text.from_ansi(text.translate(_CONTROLS), no_wrap=True)
    if "\x1b" in shown.plain:
        shown = Text(shown.plain.replace("\x1b", ""), no_wrap=True)
    return shown


class Program:
    """The program of ``heaptide run --live``, seen from the viewer: what it prints, how it ended.

    ``link``: the socket to the recorder, which a thread reads.
    """

    def __init__(self, link: socket.socket) -> None:
        self.lines = Lines()
        self.ended = ""
        self.version = 0  # counts up with what comes
        self.gone: Callable[[], object] = lambda: None  # called when the recorder is, from a thread
        self.started = threading.Event()
        self.lock = threading.Lock()
        self._link = link
        self._thread = threading.Thread(target=self._listen, name="output", daemon=True)
        self._thread.start()

    def interrupt(self) -> None:
        self._send(INTERRUPT)

    def resize(self, columns: int, rows: int) -> None:
        self._send(SIZE + f"{columns} {rows}".encode())

    def _send(self, message: bytes) -> None:
        with contextlib.suppress(OSError):
            self._link.send(message)

    def _listen(self) -> None:
        while True:
            try:
                message = self._link.recv(_MESSAGE_BYTES)
            except OSError:
                message = b""
            if not message:
                break
            kind, body = message[:1], message[1:]
            with self.lock:
                if kind == OUTPUT:
                    self.lines.feed(body)
                elif kind == DROPPED:
                    self.lines.say(f"[{int(body):,} bytes of output left out: too fast to show]")
                elif kind == ENDED:
                    self.ended = body.decode("utf-8", "replace")
            if kind == STARTED:
                self.started.set()
            self.version += 1
        self.started.set()
        self._link.close()
        self.gone()


class OutputPane(ScrollView, can_focus=True):
    """The lines, the last ones unless one has scrolled up."""

    DEFAULT_CSS = """
    OutputPane { height: 35%; min-height: 3; max-height: 16; border-top: solid $primary; }
    """
    BORDER_TITLE = "program's output"
    BINDINGS = [  # noqa: RUF012 - as textual declares it
        Binding("tab", "app.focus_next", show=False),
    ]

    def __init__(self, program: Program) -> None:
        super().__init__()
        self._program = program
        self._drawn: list[Text] = []
        self._version = -1

    def on_mount(self) -> None:
        self.set_interval(_UPDATE_SECONDS, self._update)

    def _update(self) -> None:
        if self._program.version == self._version:
            return
        self._version = self._program.version
        at_end = self.scroll_offset.y >= self.max_scroll_y
        with self._program.lock:
            lines = self._program.lines
            last = lines.last
            self._drawn = [*lines.done, *([last] if last is not None else [])]
        widest = max((line.cell_len for line in self._drawn), default=0)
        self.virtual_size = Size(widest, len(self._drawn))
        if at_end:
            self.scroll_end(animate=False)
        self.refresh()

    def on_resize(self, event: events.Resize) -> None:
        self._program.resize(self.size.width, max(self.size.height, 1))

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        x, top = self.scroll_offset
        at = int(top) + y
        if at >= len(self._drawn):
            return Strip.blank(width, self.rich_style)
        segments: list[Segment] = list(self._drawn[at].render(self.app.console))
        strip = Strip([one for one in segments if one.text != "\n"])
        return strip.crop_extend(int(x), int(x) + width, self.rich_style).apply_style(
            self.rich_style
        )
