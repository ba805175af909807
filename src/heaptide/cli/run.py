"""``heaptide run``: run a program and record where its memory goes."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from heaptide._printable import shell_word
from heaptide.cli.errors import describe
from heaptide.cli.live import Saying, on_screen
from heaptide.cli.params import DurationType, SizeType
from heaptide.cli.reading import prepare_to_read
from heaptide.recorder import (
    Child,
    Config,
    Live,
    Outcome,
    default_output,
    end_like,
    is_shell_alone,
    parent_of_meant,
    record,
    resolve,
)
from heaptide.recorder.descriptors import let_go

if TYPE_CHECKING:
    from heaptide.recorder.onscreen import OnScreen

_RECORDING_FAILED = 125


class _RunCommand(click.Command):
    """A command whose options end where the program begins, as those of ``python`` do."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        valued = {
            name
            for param in self.params
            if isinstance(param, click.Option) and not param.is_flag
            for name in param.opts
        }
        options, words = split_at_program(args, valued)
        return super().parse_args(ctx, [*options, "--", *words])


def split_at_program(args: list[str], valued: set[str]) -> tuple[list[str], list[str]]:
    """Parts ``args`` into our options and the program's words.

    The program begins at the first word that is no option, at ``-m`` or ``-c``, or behind ``--``.
    ``valued`` names the options that take the next word as their value.
    """
    at = 0
    while at < len(args):
        word = args[at]
        if word == "--":
            return args[:at], args[at + 1 :]
        if not word.startswith("-") or word == "-":
            break
        taken = 1
        if word.startswith("--"):
            taken += word in valued
        else:
            for place, letter in enumerate(word[1:], 1):
                if letter in "mc":
                    before = [word[:place]] if place > 1 else []
                    return [*args[:at], *before], ["-" + word[place:], *args[at + 1 :]]
                if "-" + letter in valued:
                    taken += place == len(word) - 1
                    break
        at += taken
    return args[:at], args[at:]


@click.command(
    "run",
    cls=_RunCommand,
    short_help="Run a program and record where its memory goes.",
    options_metavar="[OPTIONS]",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The recording. Default: heaptide-PROGRAM.PID.tide in the current directory.",
)
@click.option("-f", "--force", is_flag=True, help="Overwrite an existing recording.")
@click.option(
    "--python-objects/--no-python-objects",
    default=True,
    help="Record each allocation of Python objects, or only what Python asks of the C library.",
    show_default=True,
)
@click.option(
    "--native",
    type=click.Choice(["auto", "all", "off"]),
    default="auto",
    show_default=True,
    help="Native frames: wherever memory does not come from Python's object allocators, always, "
    "or never.",
)
@click.option(
    "--sample",
    type=SizeType(),
    metavar="BYTES",
    help="Record one allocation per BYTES on average (512KiB, 1MB) instead of every one.",
)
@click.option(
    "--follow/--no-follow",
    default=True,
    show_default=True,
    help="Record child processes too, each apart, in the same recording.",
)
@click.option(
    "--start-after", type=DurationType(), metavar="TIME", help="Begin recording later (10s, 5min)."
)
@click.option(
    "--duration",
    type=DurationType(above_zero=True),
    metavar="TIME",
    help="Record for this long only.",
)
@click.option(
    "--max-size",
    type=SizeType(),
    metavar="BYTES",
    help="Keep the file below this size: time becomes coarser, then the recording ends.",
)
@click.option(
    "--usable-sizes",
    is_flag=True,
    help="Count what the allocator set aside for a block, not what was asked for.",
)
@click.option(
    "--no-symbols", is_flag=True, help="Leave finding function names to heaptide symbolize."
)
@click.option(
    "--live",
    is_flag=True,
    help="Show the figures on a screen, as heaptide top does, and the program's output below.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@click.argument(
    "words",
    nargs=-1,
    type=click.UNPROCESSED,
    metavar="SCRIPT.py|-m MODULE|-c CODE|PROGRAM [ARGS]...",
)
def command(
    words: tuple[str, ...],
    output: Path | None,
    force: bool,
    python_objects: bool,
    native: str,
    sample: int | None,
    follow: bool,
    start_after: float | None,
    duration: float | None,
    max_size: int | None,
    usable_sizes: bool,
    no_symbols: bool,
    live: bool,
    quiet: bool,
) -> None:
    """Run a program and record where its memory goes.

    The program runs as it would without heaptide: its arguments, input, output, exit status and
    signals are its own. What heaptide has to say goes to stderr.
    """
    config = Config(
        python_objects=python_objects,
        native=native,
        sample_interval=sample or 0,
        follow=follow,
        usable_sizes=usable_sizes,
        start_after=start_after or 0.0,
        duration=duration,
        max_size=max_size,
    )
    target = resolve(words)
    path = output or default_output(target.name)
    view = on_screen(path) if live else None
    if view is None and not quiet and is_shell_alone(target.argv) and os.isatty(0) and os.isatty(2):
        _say(f"heaptide: recording {target.name} and what it starts until it exits (exit, Ctrl-D)")
    screen = _Screen(config, quiet, view)

    def started() -> None:
        if view is not None:
            view.started()
        let_go()

    try:
        outcome = record(
            target,
            config,
            path,
            force=force,
            started=started,
            tick=screen.tick,
            finishing=screen.finishing,
            child_of=Child if view is None else view.child,
            other_ended=None if view is None else view.ended_child,
        )
        if view is not None:
            view.program_ended(outcome.ended)
        complete = _report(path, outcome, symbols=not no_symbols, quiet=quiet, view=view)
        wrapper = None if follow or quiet else parent_of_meant(target.argv)
        if wrapper is not None:
            _say(
                f"heaptide: {wrapper} ran the program as a child process, which --no-follow leaves "
                "out; record it without --no-follow"
            )
    finally:
        screen.erase()
        if view is not None:
            view.close()
    if outcome.ended.status == 0 and not complete:
        sys.exit(_RECORDING_FAILED)
    end_like(outcome.ended)


class _Screen:
    """The status line, where there is a terminal for it that nothing else is drawn on."""

    def __init__(self, config: Config, quiet: bool, view: OnScreen | None) -> None:
        from heaptide.cli.status import StatusLine, wants_status_line

        self._config = config
        self._view = view
        self._live: Live | None = None
        self._rate = Rate()
        self._line = None
        if not quiet and wants_status_line(2):
            self._line = StatusLine(2, self._text)
        self.tick = None if self._line is None else self._tick

    def _tick(self, live: Live) -> None:
        assert self._line is not None
        self._live = live
        self._rate.add(time.monotonic(), live.allocations)
        if self._view is None or not self._view.watching:
            self._line.update()

    def finishing(self) -> None:
        self.erase()

    def erase(self) -> None:
        if self._line is not None:
            self._line.erase()

    def _text(self, columns: int) -> str:
        assert self._live is not None
        return status_text(self._live, self._rate.per_second, columns)


class Rate:
    """A count's growth per second, over about the last second."""

    def __init__(self) -> None:
        self.per_second = 0.0
        self._points: list[tuple[float, int]] = []

    def add(self, now: float, count: int) -> None:
        self._points = [point for point in self._points if point[0] > now - 1.1][-32:]
        self._points.append((now, count))
        (first, base), (last, top) = self._points[0], self._points[-1]
        if last > first:
            self.per_second = (top - base) / (last - first)


def status_text(live: Live, rate: float, columns: int) -> str:
    """The status line's words: live heap, peak, allocations per second, time."""
    from heaptide.recorder._wire import State
    from heaptide.views.units import count, duration, size

    if live.state is State.PAUSED:
        return "heaptide: not recording yet"
    clock = duration(live.elapsed_ns / 1e9)
    parts = [
        f"live heap {size(live.live_bytes)}",
        f"peak {size(live.peak_bytes)}",
        f"{count(round(rate))} allocations/s",
        clock,
    ]
    if live.state is State.STOPPED:
        parts[2] = "recording ended"
    if live.processes_live > 1:
        parts.append(f"{live.processes_live} processes")
    text = "heaptide: " + ", ".join(parts)
    if len(text) < columns:
        return text
    return ", ".join(parts[:2])


def _report(
    path: Path, outcome: Outcome, *, symbols: bool, quiet: bool, view: OnScreen | None
) -> bool:
    """Finishes the recording and prints what it shows; whether it is what was asked for.

    What is printed waits until ``view`` is left.
    """
    say = Saying(_say, view)
    problem = outcome.problem()
    if problem:
        say(f"heaptide: {problem}")
    complete = outcome.complete
    if not outcome.in_place:
        say.wait_for_terminal()
        return False
    if outcome.processes == 0 or path.stat().st_size == 0:
        path.unlink(missing_ok=True)
        say.wait_for_terminal()
        return False
    prepare_to_read()
    try:
        _finish(path, symbols=symbols, quiet=quiet or view is not None, say=say)
        say.wait_for_terminal()
        if not quiet:
            with _whoever_reads_it():
                _summarise(path, outcome)
    except KeyboardInterrupt:
        word = shell_word(str(path))
        say(f"heaptide: interrupted; heaptide symbolize {word} will complete the recording")
        raise
    except Exception as error:  # whatever is wrong with us, the program's end is passed on
        say(f"heaptide: {describe(error)}")
        complete = False
        say.wait_for_terminal()
    return complete


@contextlib.contextmanager
def _whoever_reads_it() -> Iterator[None]:
    """What is said on stderr may find nobody there, or no room: no failure of the recording."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise


def _finish(path: Path, *, symbols: bool, quiet: bool, say: Saying) -> None:
    from heaptide.cli.progress import progress_bar
    from heaptide.recording import finish

    with progress_bar("names in", quiet=quiet) as progress:
        finished = finish(path, symbols=symbols, progress=progress)
    if not finished.compacted:
        for line in finished.warnings:
            say(f"heaptide: {line}")


def _summarise(path: Path, outcome: Outcome) -> None:
    from heaptide.recording import Recording
    from heaptide.views.text import print_summary

    with Recording.open(path) as recording:
        print_summary(recording, file=sys.stderr)
    if len(os.sched_getaffinity(0)) == 1:
        _say(
            "heaptide: there was one CPU only, shared by program and collector, which slows the "
            "program down more than two would; --sample 512KiB is lighter"
        )
    if outcome.still_running:
        count = outcome.still_running
        who = "1 process was" if count == 1 else f"{count} processes were"
        _say(f"heaptide: {who} still running when the program ended, and recorded until then")


def _say(line: str) -> None:
    """One line on stderr, if anybody still reads it: the program's end must not depend on that."""
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)
