"""``heaptide stats``: what a process holds, and what its container has left."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING

import click

from heaptide.cli.output import print_json, say
from heaptide.cli.params import DurationType
from heaptide.errors import HeaptideError, UsageError

if TYPE_CHECKING:
    from heaptide.allocators import Looking

_INTERVAL = 2.0  # seconds
_LEAST = 0.1  # the same: below it, reading would be most of what is done


class _Pid(click.IntRange):
    name = "process id"  # click's "integer range" is for who wrote this


@click.command("stats", short_help="Show what a process holds: allocators, RSS, PSS, container.")
@click.argument("pid", required=False, type=_Pid(min=1), metavar="[PID]")
@click.option("--watch", is_flag=True, help="Again and again, until Ctrl-C or the process's end.")
@click.option(
    "--interval",
    type=DurationType(),
    metavar="TIME",
    help=f"With --watch: how often.  [default: {_INTERVAL:g}s]",
)
@click.option("--arenas", is_flag=True, help="Tell the arenas of allocators that have them.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, as docs/monitoring.md has it.")
def command(
    pid: int | None, watch: bool, interval: float | None, arenas: bool, as_json: bool
) -> None:
    """Show what a process holds: RSS, PSS, USS, its children, its container, its allocators.

    Of another process what can be read without attaching to it. Without PID: of this process, for
    its allocators are those that the environment gives to any Python that is started here.
    """
    if sys.stdout is None:
        raise HeaptideError("standard output is closed: there is nowhere to show anything")
    if interval is not None and not watch:
        raise UsageError("--interval is for --watch: say that too")
    if interval is not None and interval < _LEAST:
        raise UsageError(f"--interval must be at least {_LEAST:g}s")
    if arenas and pid not in (None, os.getpid()):
        raise UsageError(
            "--arenas needs the allocator to be asked inside of the process: see "
            "heaptide.allocators.read(arenas=True)"
        )
    from heaptide.allocators import Looking
    from heaptide.views import stats as view

    looking = Looking(pid, arenas=arenas)
    if watch:
        _watch(looking, interval or _INTERVAL, as_json)
    elif as_json:
        print_json(view.as_json(looking.look()))
    else:
        view.print_look(looking.look())


def _watch(looking: Looking, interval: float, as_json: bool) -> None:
    """A screen that is drawn anew on a terminal; elsewhere one below the other, of JSON one a line.

    Ends when the process has. Its first look has to succeed.
    """
    from heaptide.views import stats as view

    clear = not as_json and os.isatty(1) and os.environ.get("TERM", "dumb") != "dumb"
    look = looking.look()
    while True:
        if as_json:
            print(json.dumps(view.as_json(look)), flush=True)
        else:
            view.print_look(look, clear=clear)
            sys.stdout.flush()
        time.sleep(interval)
        try:
            look = looking.look()
        except HeaptideError:
            if looking.runs():
                raise
            say(f"process {look.process.pid} has ended")
            return
