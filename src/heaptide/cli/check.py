"""``heaptide check``: whether a program keeps to its memory budget."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, NoReturn

import click

from heaptide._write import add_to_job_summary, write_file
from heaptide.cli.budgeting import BehindDashes, budget_options, read_budgets
from heaptide.cli.output import print_json
from heaptide.cli.reading import TerminatedError, open_input, prepare_to_read
from heaptide.cli.selecting import unpickle_option
from heaptide.errors import HeaptideError, UsageError

if TYPE_CHECKING:
    from heaptide.budgets import Budgets, Result


class _Check(BehindDashes):
    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return ["[OPTIONS]", "RECORDING | -- COMMAND..."]


@click.command("check", cls=_Check, short_help="Hold a program to its memory budget.")
@click.argument("path", required=False, type=click.Path(path_type=Path), metavar="RECORDING")
@budget_options(
    "A budget, as peak_heap=256MB",
    default="the nearest heaptide.toml, or pyproject.toml with [tool.heaptide.budgets]",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Keep the recording of the command.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, as docs/budgets.md has it.")
@click.option("--junit", type=click.Path(path_type=Path), metavar="FILE", help="Write JUnit XML.")
@unpickle_option
@click.pass_obj
def command(
    words: list[str] | None,
    path: Path | None,
    options: tuple[str, ...],
    presets: tuple[str, ...],
    config: Path | None,
    no_config: bool,
    program: str | None,
    output: Path | None,
    as_json: bool,
    junit: Path | None,
    unpickle: bool,
) -> NoReturn:
    """Hold a recording, or a command that is recorded for it, to its memory budget.

    A line for each budget: figure, limit, margin. The status is 0 if all are kept, 1 if one is
    exceeded, 2 if one could not be measured. In a workflow on GitHub a table goes to its summary.
    """
    if bool(words) == (path is not None):
        raise UsageError("name a recording, or a command behind --")
    if path is not None and output is not None:
        raise UsageError("-o keeps the recording of a command: this one there is already")
    env = dict(os.environ)  # what follows changes it for NumPy's sake
    with ExitStack() as stack:
        prepare_to_read()
        from heaptide.budgets import check, exit_status, program_of
        from heaptide.profile import Profile
        from heaptide.views.commands import recorded_command

        given, project = read_budgets(options, presets, config, no_config)
        if not given and not project:
            raise UsageError(
                "there is no budget: say --budget peak_heap=256MB or --preset guide, or write "
                "[tool.heaptide.budgets] into pyproject.toml"
            )
        if path is None:
            assert words
            path = _recorded(words, output, stack, env, out=sys.stderr if as_json else None)
        recording = stack.enter_context(open_input(path, unpickle=unpickle, quiet=as_json))
        name = program or program_of(recording.command)
        budgets = given if project is None else given.over(project.of(name))
        if not budgets:
            assert project is not None
            raise UsageError(
                f"{project.source} has no budget for {name}: it has some for "
                f"{', '.join(project.programs)}; --program chooses one"
            )
        results = check(Profile(recording), budgets)
        title = recorded_command(recording) or recording.path
        kept = None if words and output is None else str(path)
        _tell(results, budgets, title, kept, as_json=as_json, junit=junit)
    raise click.exceptions.Exit(exit_status(results))


def _recorded(
    words: list[str],
    output: Path | None,
    stack: ExitStack,
    env: dict[str, str],
    out: IO[str] | None,
) -> Path:
    """Records a command, in a process of its own; where to."""
    for word in words:
        if not word.startswith("-"):
            break
        if word in ("-h", "--help") or word.startswith(("-o", "--output")):
            raise UsageError(f"{word} stands behind --, where the command begins: say it before")
    path = output
    if path is None:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="heaptide-check-"))
        path = Path(directory) / "checked.tide"
    elif path.exists():
        raise UsageError(f"{path} exists; choose another name")
    status = _run(
        [sys.executable, "-m", "heaptide", "run", "-q", "-o", str(path), *words], env, out
    )
    if not path.exists():
        raise HeaptideError(f"nothing was recorded of {words[0]}: {_ended(status)}")
    if status:
        raise HeaptideError(
            f"{words[0]} {_ended(status)}: what a run that fails does with memory says nothing; "
            "mend it, or check a recording of it (heaptide run -o FILE)"
        )
    return path


def _run(command: list[str], env: dict[str, str], out: IO[str] | None) -> int:
    """Signals that are for us are for the program: what it leaves is not left by us."""
    asked = []

    def pass_on(number: int, _frame: object) -> None:
        asked.append(number)
        child.send_signal(number)

    previous = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    # A terminal's SIGINT goes to all of its group; the command ends by it, or not, as it likes.
    previous[signal.SIGINT] = signal.signal(signal.SIGINT, lambda *_: asked.append(signal.SIGINT))
    child = subprocess.Popen(command, stdout=out, env=env)
    try:
        for number in (signal.SIGTERM, signal.SIGHUP):
            if previous[number] is not signal.SIG_IGN:
                signal.signal(number, pass_on)
        status = child.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if asked and status:
        if signal.SIGINT in asked:
            raise KeyboardInterrupt
        raise TerminatedError
    return status


def _ended(status: int) -> str:
    from heaptide.recorder.child import Ended

    if status >= 0:
        return f"ended with status {status}"
    return f"was ended by {Ended(128 - status, -status)}"


def _tell(
    results: list[Result],
    budgets: Budgets,
    title: str,
    path: str | None,
    *,
    as_json: bool,
    junit: Path | None,
) -> None:
    from heaptide.views import budgets as view

    # Files first: of the screen nobody knows whether it takes anything.
    if junit is not None:
        write_file(junit, view.junit(results, title=title))
    add_to_job_summary(view.markdown(results, title=title))
    if as_json:
        print_json(view.as_json(results, recording=path, source=budgets.source))
    else:
        view.print_results(results, title=title, source=budgets.source)
