"""A program whose output goes into a pane of a screen: its terminal, and who looks at it.

The program runs in a session of its own, on a terminal of its own, which this process reads as
fast as the program writes. The viewer is another process: what it cannot take in time is left out
there, and neither the program nor the recorder ever waits for it. When the viewer has ended, the
program's output goes on to the real terminal.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import socket
import struct
import termios
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

from heaptide.errors import LaunchError
from heaptide.recorder.child import Child, Ended, _stop_self
from heaptide.recorder.target import Target

# Messages between recorder and viewer: one letter, then text or bytes.
OUTPUT, DROPPED, ENDED, STARTED = b"o", b"d", b"e", b"r"  # to the viewer
INTERRUPT, SIZE = b"i", b"s"  # from it

_PIECE = 16 << 10
_KEPT_BYTES = 1 << 20  # of output, to be printed once more when the screen is gone
_DRAIN_MS = 100  # that a program's end waits for output on its way
_LOOK_SECONDS = 0.1  # between looks whether the terminal is still there, once the program has ended
_LEAVING_SECONDS = 15.0  # that a viewer gets to end by itself when it is not
# Back from the alternate screen, with cursor, without mouse reports: for a viewer that was killed.
_RESET = (
    b"\x1b[?1049l\x1b[?25h\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[<u\x1b[0m"
)


class PaneChild(Child):
    """A program on a terminal of its own; what was redirected stays where it goes.

    Its standard input, where that would be the terminal that the screen has, is empty.
    """

    def __init__(
        self, target: Target, environment: Mapping[str, str], master: int, slave: int
    ) -> None:
        super().__init__(target, environment)
        self._master = master
        self._slave = slave

    def start(self) -> None:
        """As the base class. SIGHUP stays blocked when the program has ended: the recording is
        still to be completed, and the program's end to be passed on, whatever the terminal does.
        """
        super().start()
        self._mask.add(signal.SIGHUP)

    def _execute(self, errors: int) -> NoReturn:
        with contextlib.suppress(OSError):
            os.setsid()
            fcntl.ioctl(self._slave, termios.TIOCSCTTY, 0)
        with contextlib.suppress(OSError):
            for fd in (1, 2):
                if os.isatty(fd):
                    os.dup2(self._slave, fd)
            if os.isatty(0):
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        super()._execute(errors)

    def _pass_on(self, number: int, *, sent: bool) -> None:
        """The real terminal does not know the program: what it sends goes on to it from here."""
        if number == signal.SIGWINCH:
            return
        if number == signal.SIGTSTP and not sent:
            self.signal_all(signal.SIGSTOP)
            _stop_self(signal.SIGTSTP)
        elif sent and number != signal.SIGCONT:
            os.kill(self.pid, number)
        else:
            self.signal_all(number)

    def signal_all(self, number: int) -> None:
        """To all in the foreground of the program's terminal, as its keys do."""
        with contextlib.suppress(OSError):
            os.killpg(os.tcgetpgrp(self._master) or self.pid, number)


class OnScreen:
    """The viewer of one program and the program's terminal, from the recorder's side.

    ``view(path, link)`` runs in the viewer: a forked process whose standard descriptors are the
    terminal. Everything but ``child``, ``started`` and the rest of the calls below happens in a
    thread.
    """

    def __init__(self, path: Path, view: Callable[[Path, socket.socket], int]) -> None:
        """Raises LaunchError if there is no terminal to be had for the program."""
        self.watching = False  # the viewer has the terminal
        self._path = path
        self._view = view
        self._child: PaneChild | None = None
        self._viewer = 0
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        try:
            self._terminal = _terminal()
            self._modes = termios.tcgetattr(self._terminal)
            self._master, self._slave = pty.openpty()
            modes = termios.tcgetattr(self._slave)
            modes[1] &= ~termios.ONLCR  # the real terminal, where it all goes in the end, does that
            termios.tcsetattr(self._slave, termios.TCSANOW, modes)
        except (OSError, termios.error) as error:
            raise LaunchError(
                f"there is no terminal for the program: {error}", exit_status=125
            ) from error
        self._resize(*os.get_terminal_size(self._terminal))
        self._ours, self._viewers = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._kept: deque[bytes] = deque()
        self._kept_bytes = self._forgotten = 0
        self._dropped = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._pump = threading.Thread(target=self._run, name="output", daemon=True)

    def child(self, target: Target, environment: Mapping[str, str]) -> Child:
        """What runs the program."""
        self._child = PaneChild(target, environment, self._master, self._slave)
        return self._child

    def started(self) -> None:
        """The program runs: the viewer begins."""
        os.close(self._slave)
        self._slave = -1
        self._viewer = os.fork()
        if self._viewer == 0:
            self._become_viewer()
        self._viewers.close()
        self.watching = True
        self._ours.setblocking(False)
        self._pump.start()
        self._send(STARTED)

    def _become_viewer(self) -> NoReturn:
        status = 1
        try:
            os.close(self._master)
            self._ours.close()
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            for fd in (0, 1, 2):
                os.dup2(self._terminal, fd)
            status = self._view(self._path, self._viewers)
        finally:
            os._exit(status)

    def ended_child(self, pid: int, how: Ended) -> None:
        """A child of this process has ended, the viewer perhaps."""
        if pid == self._viewer:
            self._left(clean=how.status == 0)

    def _left(self, *, clean: bool) -> None:
        with contextlib.suppress(OSError, termios.error):
            if not clean:
                os.write(self._terminal, _RESET)
            termios.tcsetattr(self._terminal, termios.TCSADRAIN, self._modes)
        with self._lock:
            self.watching = False
            self._print_kept()

    def program_ended(self, how: Ended) -> None:
        """What it has written is on its way; the viewer is told."""
        self._ended.set()
        self._pump.join()
        self._send(ENDED + str(how).encode())

    def wait_left(self) -> None:
        """Until the viewer has ended, at most some seconds after its terminal has gone."""
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        left_until = float("inf")
        try:
            while self.watching:
                self._reap_viewer(os.WNOHANG)
                signal.sigtimedwait({signal.SIGCHLD}, _LOOK_SECONDS if self.watching else 0)
                told = signal.SIGHUP in signal.sigpending()
                if has_gone(self._terminal):
                    left_until = min(left_until, time.monotonic() + _LEAVING_SECONDS)
                    if time.monotonic() > left_until and self.watching:
                        os.kill(self._viewer, signal.SIGKILL)
                        self._reap_viewer(0)
                elif told:  # by somebody, not by the terminal: it is meant for us
                    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _reap_viewer(self, options: int) -> None:
        try:
            pid, status = os.waitpid(self._viewer, options)
        except ChildProcessError:
            self._left(clean=False)
        else:
            if pid:
                self._left(clean=status == 0)

    def close(self) -> None:
        """Gives everything back; a viewer that is still there ends."""
        self._ended.set()
        if self._viewer:
            self._pump.join()
            self._ours.shutdown(socket.SHUT_RDWR)
            self.wait_left()
        else:
            self._viewers.close()
        self._ours.close()
        if has_gone(self._terminal):
            signal.sigtimedwait({signal.SIGHUP}, 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        for fd in (self._master, self._terminal, self._slave):
            if fd >= 0:
                os.close(fd)

    # In the thread.

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._master, select.POLLIN)
        poll.register(self._ours.fileno(), select.POLLIN)
        listening = True
        while True:
            ready = dict(poll.poll(_DRAIN_MS))
            if self._master in ready:
                if not self._take_output():
                    poll.unregister(self._master)
                    if self._ended.is_set():
                        return
                    if not listening:
                        self._ended.wait()
            elif self._ended.is_set():
                return
            if listening and self._ours.fileno() in ready and not self._take_message():
                poll.unregister(self._ours.fileno())
                listening = False

    def _take_output(self) -> bool:
        """False: nobody has the program's terminal open any more."""
        try:
            data = os.read(self._master, 65536)
        except OSError:
            return False
        with self._lock:
            if not self.watching:
                self._print(data)
                return bool(data)
            self._kept.append(data)
            self._kept_bytes += len(data)
            while self._kept_bytes > _KEPT_BYTES and len(self._kept) > 1:
                self._forgotten += len(self._kept[0])
                self._kept_bytes -= len(self._kept.popleft())
        if self._dropped and self._send(DROPPED + str(self._dropped).encode()):
            self._dropped = 0
        for at in range(0, len(data), _PIECE):
            piece = data[at : at + _PIECE]
            if self._dropped or not self._send(OUTPUT + piece):
                self._dropped += len(piece)
        return bool(data)

    def _take_message(self) -> bool:
        try:
            message = self._ours.recv(4096)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if message[:1] == INTERRUPT and self._child is not None:
            self._child.signal_all(signal.SIGINT)
        elif message[:1] == SIZE:
            with contextlib.suppress(ValueError):
                columns, rows = map(int, message[1:].split())
                self._resize(columns, rows)
        return bool(message)

    def _send(self, message: bytes) -> bool:
        try:
            self._ours.send(message)
        except OSError:
            return False  # full, or the viewer is gone
        return True

    def _resize(self, columns: int, rows: int) -> None:
        with contextlib.suppress(OSError, struct.error):
            size = struct.pack("HHHH", rows, columns, 0, 0)
            fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    def _print_kept(self) -> None:
        if self._forgotten:
            text = f"heaptide: {self._forgotten:,} bytes of output before this are not repeated\n"
            self._print(text.encode())
        while self._kept:
            self._print(self._kept.popleft())

    def _print(self, data: bytes) -> None:
        """To the real terminal, if it is still there."""
        with contextlib.suppress(OSError):
            while data:
                data = data[os.write(self._terminal, data) :]


def _terminal() -> int:
    """A descriptor of the terminal that the screen is to have. Raises OSError."""
    for fd in (2, 1, 0):
        if os.isatty(fd):
            return os.open(os.ttyname(fd), os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
    raise OSError("no standard descriptor is one")


def has_gone(terminal: int) -> bool:
    """Whether the terminal of this descriptor has hung up."""
    poll = select.poll()
    poll.register(terminal, 0)
    return bool(poll.poll(0))  # POLLHUP and POLLERR: nothing else was asked for


def has_terminal() -> bool:
    """Whether a screen can be shown: in the foreground of a terminal that moves its cursor."""
    if os.environ.get("TERM", "dumb") == "dumb":
        return False
    with contextlib.suppress(OSError):
        fd = _terminal()
        try:
            return os.tcgetpgrp(fd) == os.getpgrp()
        finally:
            os.close(fd)
    return False
