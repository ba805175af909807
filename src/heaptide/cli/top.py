"""``heaptide top``: watch a recording while it is made."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from heaptide.cli.output import print_json
from heaptide.cli.reading import prepare_to_read
from heaptide.errors import HeaptideError, UsageError

if TYPE_CHECKING:
    from heaptide.recorder.sessions import Running

# Named here, for --help must not pay for NumPy. A test keeps them equal.
METRICS = ("live", "peak", "total", "allocations", "temporary", "copied")
FOLDS = ("function", "line", "file", "module", "thread", "process")
_DEFAULT_TOP = 15
_NAMES_SECONDS = 20.0  # that --once waits for the names of native frames


@click.command("top", short_help="Watch a recording while it is made.")
@click.argument("target", required=False, metavar="[SESSION|RECORDING|PID]")
@click.option(
    "--metric", type=click.Choice(METRICS), default="live", show_default=True, help="Order by this."
)
@click.option(
    "--by", type=click.Choice(FOLDS), default="function", show_default=True, help="Fold by this."
)
@click.option("--once", is_flag=True, help="Print what there is now, and end.")
@click.option("--json", "as_json", is_flag=True, help="The same as JSON, see docs/json.md.")
@click.option(
    "--top",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"With --once and --json: how many rows.  [default: {_DEFAULT_TOP}; with --json all]",
)
def command(
    target: str | None, metric: str, by: str, once: bool, as_json: bool, top: int | None
) -> None:
    """Watch a recording while it is made: one, or all that are being made on this machine.

    SESSION is a part of the program's command or of the recording's name; PID any process of the
    recording. The program is not touched, and never waits. Without a terminal, and with --once,
    the figures of the moment are printed.
    """
    if sys.stdout is None:
        raise HeaptideError("standard output is closed: there is nowhere to show anything")
    once = once or as_json or not on_terminal()
    prepare_to_read(on_screen=not once)
    sessions = _running()
    if target is None:
        session = sessions[0] if len(sessions) == 1 and not as_json else None
        if not sessions:
            raise HeaptideError(
                "nothing is being recorded on this machine by this user; "
                "start with: heaptide run PROGRAM"
            )
        path = None if session is None else session.recording
    else:
        path, session = find(target, sessions)
    if not once:
        require_textual()
        from heaptide.views.live.app import watch

        watch(path, session, metric=metric, by=by)
    elif path is None:
        _print_sessions(sessions, as_json)
    else:
        _print_once(path, session, metric, by, as_json, top)


def find(target: str, sessions: list[Running]) -> tuple[str, Running | None]:
    """The recording that ``target`` means, and how it is being made, if it is.

    Raises UsageError if there is none, or if it could be several.
    """
    from heaptide.recorder.sessions import involves, session_of_recording

    if target.isdecimal():
        found = [one for one in sessions if involves(one, int(target))]
        if found:
            return found[0].recording, found[0]
        if not Path(target).exists():
            raise UsageError(
                f"process {target} is not being recorded{_those(sessions)}; "
                "heaptide top lists what is"
            )
    named = [
        one
        for one in sessions
        if target and (target in one.name or target in Path(one.recording).name)
    ]
    # A script's name is its file's as well: what is meant is its recording.
    is_path = os.path.isdir(target) or _begins_as_recording(target)  # noqa: PTH112
    if os.path.exists(target) and (not named or is_path):  # noqa: PTH110
        return target, session_of_recording(target)
    if len(named) == 1:
        return named[0].recording, named[0]
    if named:
        pids = ", ".join(str(one.root) for one in named[:8])
        raise UsageError(f"{target!r} fits {len(named)} recordings: name one by its pid ({pids})")
    raise UsageError(
        f"{target or repr(target)} is no recording, and no program that is being recorded"
        f"{_those(sessions)}; heaptide top lists what is"
    )


def _begins_as_recording(path: str) -> bool:
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return file.read(8) == b"heaptide"
    return False


def _those(sessions: list[Running]) -> str:
    pids = ", ".join(str(one.root) for one in sessions[:8])
    return f" (recorded are {pids})" if pids else ""


def on_terminal() -> bool:
    """Whether a screen can be shown: keys come in, and the cursor can be moved."""
    return os.isatty(0) and os.isatty(1) and os.environ.get("TERM", "dumb") != "dumb"


def require_textual(exit_status: int = 1) -> None:
    """Raises HeaptideError if the screen's library is missing."""
    if importlib.util.find_spec("textual") is None:
        raise HeaptideError(
            "the live screen needs textual: pip install 'heaptide[live]'", exit_status=exit_status
        )


def _running() -> list[Running]:
    from heaptide.recorder.sessions import running

    return running()


def _print_sessions(sessions: list[Running], as_json: bool) -> None:
    from heaptide.views.live.snapshot import print_sessions, sessions_document

    if as_json:
        print_json(sessions_document(sessions))
    else:
        print_sessions(sessions)


def _print_once(
    path: str, session: Running | None, metric: str, by: str, as_json: bool, top: int | None
) -> None:
    from heaptide.views.live.model import Model
    from heaptide.views.live.rows import Choice, table
    from heaptide.views.live.snapshot import document, print_look

    model = Model(path, session)
    try:
        model.look()
        model.finder.wait_until_idle(_NAMES_SECONDS)
        look = model.look()
        most = top or (sys.maxsize if as_json else _DEFAULT_TOP)
        found = table(look, Choice(metric, by, most=most))
        if as_json:
            print_json(document(look, found))
        else:
            print_look(look, found)
    finally:
        model.close()
