"""Whether a program is ready: what tells it is a port, an answer, a line, or a command."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from heaptide.errors import UsageError

from ._errors import StartError

if TYPE_CHECKING:
    from ._hooks import Commands
    from ._program import Program

_ANSWER = 2.0  # seconds for one try
_OFTEN, _SELDOM = 0.05, 0.25  # seconds between tries, at first and later
_LINE = 1 << 16  # bytes of a line without an end that a pattern is looked for in


class Probe(Protocol):
    """One sign of being ready. ``words`` name it; ``said``: what was seen last, for messages."""

    words: str
    said: str

    def ready(self, program: Program) -> bool: ...

    def taken(self) -> bool:
        """Whether something else gives this sign before the program runs."""
        ...


class PortProbe:
    """A TCP port that takes connections."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        shown = f"[{host}]" if ":" in host else host
        self.words = f"port {port}" if host == "127.0.0.1" else f"port {shown}:{port}"
        self.said = ""

    def ready(self, program: Program) -> bool:
        return self.taken()

    def taken(self) -> bool:
        try:
            with socket.create_connection(self._address, _ANSWER) as connection:
                # A port of the kernel's choice for our end may be the very one we ask for.
                return bool(connection.getsockname() != connection.getpeername())
        except OSError as error:
            self.said = error.strerror or str(error)
            return False


class HttpProbe:
    """An address that answers a GET with a status below 400; where it points to is not asked."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._secure = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._secure else 80)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self.words = url
        self.said = ""

    def ready(self, program: Program) -> bool:
        connection: http.client.HTTPConnection
        if self._secure:
            # A server on this machine names itself by a certificate of its own, if at all.
            context = ssl._create_unverified_context()
            connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=_ANSWER, context=context
            )
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=_ANSWER)
        try:
            connection.request("GET", self._path, headers={"Connection": "close"})
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            self.said = getattr(error, "strerror", None) or str(error) or type(error).__name__
            return False
        finally:
            connection.close()
        self.said = f"it answered {status}"
        return status < 400

    def taken(self) -> bool:
        return PortProbe(self._host, self._port).taken()


class LogProbe:
    """A line of the program's output, standard or error, that a pattern is found in."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._pattern = pattern
        self._begun = b""
        self._found = False
        self.words = f"a line with {pattern.pattern}"
        self.said = ""

    def see(self, text: bytes) -> None:
        """Takes what was printed since the last call."""
        *lines, rest = (self._begun + text).split(b"\n")
        self._begun = rest[-_LINE:]
        self._found = self._found or any(map(self._matches, [*lines, self._begun]))

    def _matches(self, line: bytes) -> bool:
        return self._pattern.search(line.decode(errors="replace")) is not None

    def ready(self, program: Program) -> bool:
        return self._found

    def taken(self) -> bool:
        return False


class CommandProbe:
    """A command of the shell that ends with status 0."""

    def __init__(self, command: str, commands: Commands, timeout: float) -> None:
        self._command = command
        self._commands = commands
        self._timeout = timeout
        self.words = f"the command {command}"
        self.said = ""

    def ready(self, program: Program) -> bool:
        status = self._commands.run(self._command, program, "while waiting", self._timeout)
        self.said = "it took too long" if status is None else f"its status was {status}"
        return status == 0

    def taken(self) -> bool:
        return False


@dataclass(frozen=True)
class Ready:
    """All of these have to be seen, within ``timeout`` seconds of the start; nothing given: a
    program is ready when it runs. Patterns are compiled, addresses and ports are checked."""

    ports: Sequence[tuple[str, int]] = ()
    urls: Sequence[str] = ()
    patterns: Sequence[re.Pattern[str]] = ()
    commands: Sequence[str] = ()
    timeout: float = 60.0

    def probes(self, commands: Commands) -> list[Probe]:
        """For one start."""
        return [
            *(LogProbe(pattern) for pattern in self.patterns),
            *(PortProbe(host, port) for host, port in self.ports),
            *(HttpProbe(url) for url in self.urls),
            *(CommandProbe(command, commands, self.timeout) for command in self.commands),
        ]

    def words(self) -> str:
        """What is waited for, for people; "": nothing."""
        ports = [PortProbe(host, port).words for host, port in self.ports]
        patterns = [f"a line with {pattern.pattern}" for pattern in self.patterns]
        commands = [f"the command {command}" for command in self.commands]
        return ", ".join([*patterns, *ports, *self.urls, *commands])


def parse_port(text: str) -> tuple[str, int]:
    """Of ``8000``, ``host:8000``, ``[::1]:8000``. Raises UsageError."""
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise UsageError(f"{text!r} is no port: say 8000 or HOST:8000")
    return host or "127.0.0.1", int(port)


def parse_url(text: str) -> str:
    """Raises UsageError: it is none that can be asked."""
    try:
        parts = urlsplit(text)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known or not text.isascii() or any(c.isspace() or not c.isprintable() for c in text):
        raise UsageError(f"{text!r} is no address: say http://127.0.0.1:8000/health")
    return text


def parse_pattern(text: str) -> re.Pattern[str]:
    """Raises UsageError: it is no regular expression."""
    try:
        return re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(f"--ready-log {text!r} is no regular expression: {error}") from None


def check_free(probes: Sequence[Probe]) -> None:
    """Raises StartError: what is to tell that the program is ready is there before it is."""
    for probe in probes:
        if probe.taken():
            raise StartError(
                f"{probe.words} answers before the program is started: something else has the "
                "port; end it, or choose another port"
            )


def wait_ready(
    program: Program,
    probes: Sequence[Probe],
    timeout: float,
    tick: Callable[[Program], None] = lambda _: None,
) -> None:
    """``tick`` is called between tries. Raises StartError: the program has ended, or is not ready
    in time."""
    clock = program.clock
    start = clock.now()
    waiting = list(probes)
    while True:
        program.check("before it was ready")
        text = program.log.read()
        for probe in waiting:
            if isinstance(probe, LogProbe):
                probe.see(text)
        waiting = [probe for probe in waiting if not probe.ready(program)]
        if not waiting:
            program.check("before it was ready")
            return
        waited = clock.now() - start
        if waited >= timeout:
            last = f" ({waiting[0].said})" if waiting[0].said else ""
            raise StartError(
                f"{program.name} was not ready within {timeout:g} s: no sign of "
                f"{', '.join(probe.words for probe in waiting)}{last}; correct it, or wait longer "
                "with --ready-timeout",
                program.log,
            )
        tick(program)
        clock.sleep(_OFTEN if waited < 3 else _SELDOM)
