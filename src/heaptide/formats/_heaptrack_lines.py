"""The lines of a heaptrack file: its tables, and the events that refer to them."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Final

from heaptide.recording import FrameKind

from ._heaptrack_blocks import Row
from ._names import one_line

if TYPE_CHECKING:
    from ._export import Export

_VERSION: Final = b"v 10400 3\n"
_NO_FILE: Final = "??"
_CHUNK: Final = 1 << 20  # bytes that are handed on at a time
_EVENTS: Final = 1 << 16  # repeated at a time


class Output:
    """Records of the format, each table's row before its first use."""

    def __init__(self, export: Export, file: IO[bytes]) -> None:
        self._export, self._file = export, file
        self._recording, self._locations = export.recording, export.profile.locations
        self._strings: dict[str, int] = {"": 0}
        self._instructions: dict[int, int] = {}
        self._traces: dict[int, int] = {}
        self._infos: dict[tuple[int, int, bool], int] = {}
        self._parts: list[bytes] = []
        self._size = 0
        self._now = -1
        self._said_rss = 0
        self._waiting: tuple[Row, int] | None = None  # a block that comes and goes: and its size
        size = self._recording.meta.get("page_size")
        self._page = size if isinstance(size, int) and 0 < size < 1 << 30 else 4096

    def _put(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size >= _CHUNK:
            self.flush()

    def flush(self) -> None:
        self._file.write(b"".join(self._parts))
        self._parts, self._size = [], 0

    def head(self) -> None:
        command = one_line(" ".join(self._export.command))
        self._put(_VERSION)
        self._put(b"X " + command.encode("utf-8", "backslashreplace") + b"\n")
        self._put(f"I {self._page:x} {(1 << 34) // self._page:x}\n".encode())

    def time(self, ns: int, rss: int) -> None:
        ms = max(ns // 1_000_000, self._now)
        if ms > self._now:
            self._put(f"c {ms:x}\n".encode())
            self._now = ms
        pages = rss // self._page
        if pages and pages != self._said_rss:
            self._put(f"R {pages:x}\n".encode())
            self._said_rss = pages

    def allocate(self, row: Row, size: int, count: int) -> None:
        self._repeat(b"+ %x\n" % self._info(row, size), count)

    def free(self, row: Row, size: int, count: int) -> None:
        self._repeat(b"- %x\n" % self._info(row, size), count)

    def come_and_go(self, row: Row, size: int, count: int, *, at_once: bool, room: int) -> None:
        """A free right after its allocation is what heaptrack calls temporary: two in turn are
        none, of two kinds that differ in nothing. One that is over waits for another."""
        if at_once or 2 * size > room:
            one = self._info(row, size)
            self._repeat(b"+ %x\n- %x\n" % (one, one), count)
            return
        if count > 1:
            one, other = self._info(row, size), self._info(row, size, again=True)
            self._repeat(b"+ %x\n+ %x\n- %x\n- %x\n" % (one, other, one, other), count // 2)
        if count % 2 == 0:
            return
        waiting = self._waiting
        if waiting is None:
            self._waiting = row, size
        elif waiting[1] + size > room:
            self._alone(row, size)
        else:
            one, other = self._info(*waiting), self._info(row, size, again=waiting == (row, size))
            self._put(b"+ %x\n+ %x\n- %x\n- %x\n" % (one, other, one, other))
            self._waiting = None

    def settle(self, room: int) -> None:
        """Before what is live grows and leaves so many bytes of room below the peak."""
        if self._waiting is not None and self._waiting[1] > room:
            self._alone(*self._waiting)
            self._waiting = None

    def _alone(self, row: Row, size: int) -> None:
        one = self._info(row, size)
        self._put(b"+ %x\n- %x\n" % (one, one))

    def _repeat(self, record: bytes, count: int) -> None:
        while count > 0:
            some = min(count, _EVENTS)
            self._put(record * some)
            count -= some

    # Tables.

    def _info(self, row: Row, size: int, *, again: bool = False) -> int:
        key = (row.stack, size, again)
        found = self._infos.get(key)
        if found is None:
            trace = self._trace(row.stack)
            found = self._infos[key] = len(self._infos)
            self._put(f"a {size:x} {trace:x}\n".encode())
        return found

    def _trace(self, stack: int) -> int:
        """The number of a stack, after those of its callers."""
        parents, frames = self._recording.stacks.parent, self._recording.stacks.frame
        todo = []
        while stack >= 0 and stack not in self._traces:
            todo.append(stack)
            stack = int(parents[stack])
        above = self._traces.get(stack, 0)
        for one in reversed(todo):
            instruction = self._instruction(int(frames[one]))
            self._put(f"t {instruction:x} {above:x}\n".encode())
            above = self._traces[one] = len(self._traces) + 1
        return above

    def _instruction(self, frame: int) -> int:
        found = self._instructions.get(frame)
        if found is not None:
            return found
        at, frames = self._locations, self._recording.frames
        first = int(at.first[frame])
        rows = range(first, first + int(at.count[frame]))
        native = int(frames.kind[frame]) == FrameKind.NATIVE
        address = int(frames.offset[frame]) if native else frame + 1
        module = self._string(self._export.profile.module_of(first))
        words = []
        for row in rows:
            one = self._export.function(row)
            # A place without a file cannot be told from the next one.
            file = one.file or (_NO_FILE if len(rows) > 1 else "")
            words.append(f"{self._string(one.name):x}")
            if file:
                words.append(f"{self._string(file):x} {one.line:x}")
        self._put(f"i {address:x} {module:x} {' '.join(words)}\n".encode())
        found = self._instructions[frame] = len(self._instructions) + 1
        return found

    def _string(self, text: str) -> int:
        text = one_line(text)
        found = self._strings.get(text)
        if found is None:
            found = self._strings[text] = len(self._strings)
            data = text.encode("utf-8", "backslashreplace")
            self._put(b"s %x %s\n" % (len(data), data))
        return found
