"""The pane of the program's output: its lines and colours, and nothing that moves a cursor."""

from __future__ import annotations

import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heaptide.recorder.onscreen import DROPPED, ENDED, INTERRUPT, OUTPUT, SIZE, STARTED
from heaptide.views.live.output import Lines, Program


def shown(*pieces: bytes) -> list[str]:
    lines = Lines()
    for piece in pieces:
        lines.feed(piece)
    return [line.plain for line in [*lines.done, *([lines.last] if lines.last else [])]]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (b"one\r\ntwo\r\n", ["one", "two"]),
        (b"half", ["half"]),
        (b"10 %\r20 %\r30 %", ["30 %"]),
        (b"10 %\r20 %\r30 %\r", ["30 %"]),
        (b"a\tb\n", ["a       b"]),
        (b"\x1b[2J\x1b[1;1Hhome\x1b[K\n", ["home"]),
        (b"\x1b]0;a title\x07text\n", ["text"]),
        (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\\n", ["link"]),
        (b"\x1bPq#0;data\x1b\\text\n", ["text"]),
        (b"\x1b[?1049h\x1b(B\x1b=in\n", ["in"]),
        (b"bell\x07\x00\x08!\n", ["bell!"]),
        ("grün ✓\n".encode(), ["grün ✓"]),
        (b"\xff\xfe\n", ["\ufffd\ufffd"]),
        (b"\n\n", ["", ""]),
    ],
)
def test_lines(written: bytes, expected: list[str]) -> None:
    assert shown(written) == expected


def test_pieces() -> None:
    """Lines, characters and escape sequences may come in parts."""
    whole = "\x1b[31mröt\x1b[0m und\r\nmehr".encode()
    for at in range(len(whole)):
        assert shown(whole[:at], whole[at:]) == ["röt und", "mehr"]


def test_colours() -> None:
    lines = Lines()
    lines.feed(b"\x1b[1;31mred\x1b[0m plain\n")
    [line] = lines.done
    assert line.plain == "red plain"
    assert [(span.start, span.end) for span in line.spans] == [(0, 3)]


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_any_bytes(pieces: list[bytes]) -> None:
    """Nothing that a terminal would obey is left, whatever is written."""
    for line in shown(*pieces):
        assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in line), line


def test_bounds() -> None:
    """Memory is bounded: lines, and a line without an end."""
    lines = Lines(most=100)
    lines.feed(b"x\n" * 1000)
    assert (len(lines.done), lines.count) == (100, 1000)
    for _ in range(100):
        lines.feed(b"y" * 10_000)
    assert lines.last is not None and len(lines.last.plain) <= 2000
    assert len(lines._rest) < 1 << 18


def test_link() -> None:
    """What the recorder says, and what it is told."""
    recorder, viewer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    gone = threading.Event()
    program = Program(viewer)
    program.gone = gone.set
    recorder.send(STARTED)
    assert program.started.wait(30)
    recorder.send(OUTPUT + b"hello\r\n")
    recorder.send(DROPPED + b"12345")
    recorder.send(ENDED + b"exit status 3")
    program.interrupt()
    program.resize(70, 9)
    assert [recorder.recv(100), recorder.recv(100)] == [INTERRUPT, SIZE + b"70 9"]
    recorder.close()
    assert gone.wait(30)
    assert program.ended == "exit status 3"
    assert [line.plain for line in program.lines.done] == [
        "hello",
        "[12,345 bytes of output left out: too fast to show]",
    ]
    program.interrupt()  # nobody is there any more
