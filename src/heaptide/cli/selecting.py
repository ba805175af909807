"""The options that choose a part of a recording."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from heaptide.cli.params import DurationType, SizeType
from heaptide.errors import UsageError

if TYPE_CHECKING:
    from heaptide.profile import Selection
    from heaptide.recording import Recording

    _ParamType = click.ParamType[Any]  # generic only in the newest click
else:
    _ParamType = click.ParamType

_Command = TypeVar("_Command", bound=Callable[..., Any])


class SizesType(_ParamType):
    """``4096``, or ``1KiB..64KiB`` with an end left open: the least and the most, in bytes."""

    name = "size"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int | None]:
        low, ranged, high = str(value).partition("..")
        if not ranged:
            high = low
        if not low and not high:
            self.fail(f"{value!r} is not a size: say 4096, 1KiB..64KiB or 1MiB..", param, ctx)
        least = SizeType().convert(low, param, ctx) if low else 0
        most = SizeType().convert(high, param, ctx) if high else None
        if most is not None and most < least:
            self.fail(f"{value!r} ends before it begins", param, ctx)
        return least, most


def unpickle_option(command: _Command) -> _Command:
    """Adds the option that ``open_recording`` takes as ``unpickle``."""
    return click.option(
        "--unpickle",
        is_flag=True,
        help="Read snapshots of tracemalloc too. They are pickles: of a file that you do not "
        "trust, do not.",
    )(command)


def selection_options(command: _Command, *, end: str = "--to") -> _Command:
    """Adds the options whose values ``selection_from`` takes, by their names.

    ``end``: the one for the end of the time, where a command has another use for ``--to``.
    """
    several = "a part of the name, or /regex/; may be given again"
    for option in reversed(
        (
            click.option("--process", type=int, metavar="PID", help="Only this process."),
            click.option(
                "--from",
                "start",
                type=DurationType(),
                metavar="TIME",
                help="Only what happened from this time on.",
            ),
            click.option(
                end,
                "end",
                type=DurationType(),
                metavar="TIME",
                help="Only what happened until then; alive is what was live then.",
            ),
            click.option(
                "--thread",
                "threads",
                multiple=True,
                metavar="THREAD",
                help=f"Only threads like this: an id, {several}.",
            ),
            click.option(
                "--function",
                "functions",
                multiple=True,
                metavar="NAME",
                help=f"Only stacks with a function like this: {several}, and each must be there.",
            ),
            click.option(
                "--module",
                "modules",
                multiple=True,
                metavar="NAME",
                help="Likewise, with code of a module: a Python module, a program or library.",
            ),
            click.option(
                "--exclude",
                "without_functions",
                multiple=True,
                metavar="NAME",
                help="No stacks with a function like this.",
            ),
            click.option(
                "--exclude-module",
                "without_modules",
                multiple=True,
                metavar="NAME",
                help="No stacks with code of a module like this.",
            ),
            click.option(
                "--size",
                "sizes",
                type=SizesType(),
                metavar="SIZE",
                help="Only stacks that asked for blocks of this size class: 4096, 1KiB..64KiB, "
                "1MiB.. .",
            ),
        )
    ):
        command = option(command)
    return command


def selection_from(
    recording: Recording,
    *,
    process: int | None,
    start: float | None,
    end: float | None,
    threads: tuple[str, ...],
    functions: tuple[str, ...],
    modules: tuple[str, ...],
    without_functions: tuple[str, ...],
    without_modules: tuple[str, ...],
    sizes: tuple[int, int | None] | None,
) -> Selection:
    """Raises UsageError for a process that is not there, and for what makes no sense together."""
    from heaptide.profile import Selection, rows_of_pid, size_class
    from heaptide.recording import SIZE_BOUNDS

    if end is not None and end <= 0:
        raise UsageError("nothing has happened until time 0: give a later --to")
    classes = None
    if sizes is not None:
        least, most = sizes
        last = len(SIZE_BOUNDS) if most is None else size_class(most)
        classes = (size_class(least), last)
    return Selection(
        processes=None if process is None else tuple(rows_of_pid(recording, process)),
        start=start,
        end=end,
        threads=threads,
        functions=functions,
        modules=modules,
        without_functions=without_functions,
        without_modules=without_modules,
        sizes=classes,
    )
