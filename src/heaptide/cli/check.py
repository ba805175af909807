"""``heaptide check``: whether a program keeps to its memory budget."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from heaptide.cli.reading import open_input, prepare_to_read
from heaptide.cli.selecting import unpickle_option
from heaptide.errors import HeaptideError, OutputError, UsageError

if TYPE_CHECKING:
    from heaptide.budgets import Budgets, Result
    from heaptide.recording import Recording

_NOT_MEASURED = 2  # the exit status for whatever keeps us from an answer


class _Check(click.Command):
    """Keeps what stands behind ``--`` apart: click would take it for the recording."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            place = args.index("--")
            ctx.obj = args[place + 1 :]
            args = args[:place]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return ["[OPTIONS]", "RECORDING | -- COMMAND..."]


@click.command("check", cls=_Check, short_help="Hold a program to its memory budget.")
@click.argument("path", required=False, type=click.Path(path_type=Path), metavar="RECORDING")
@click.option(
    "-b",
    "--budget",
    "options",
    multiple=True,
    metavar="NAME=LIMIT",
    help="A budget, as peak_heap=256MB; before those of files.",
)
@click.option("--preset", "presets", multiple=True, help="Budgets by name: guide.")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where the budgets are.  [default: the nearest heaptide.toml, or pyproject.toml with "
    "[tool.heaptide.budgets]]",
)
@click.option("--no-config", is_flag=True, help="Take no budgets from files.")
@click.option("--program", metavar="NAME", help="The program's name in budgets.")
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
) -> None:
    """Hold a recording, or a command that is recorded for it, to its memory budget.

    A line for each budget: figure, limit, margin. The status is 0 if all are kept, 1 if one is
    exceeded, 2 if one could not be measured. In a workflow on GitHub a table goes to its summary.
    """
    try:
        status = _check(
            words,
            path,
            options,
            presets,
            config,
            no_config,
            program,
            output,
            as_json,
            junit,
            unpickle,
        )
    except HeaptideError as error:  # 1 is for budgets that are exceeded
        raise HeaptideError(error.message, exit_status=_NOT_MEASURED) from None
    raise click.exceptions.Exit(status)


def _check(
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
) -> int:
    if bool(words) == (path is not None):
        raise UsageError("name a recording, or a command behind --")
    if path is not None and output is not None:
        raise UsageError("-o keeps the recording of a command: this one there is already")
    if config is not None and no_config:
        raise UsageError("--config and --no-config exclude each other")
    with ExitStack() as stack:
        prepare_to_read()
        from heaptide.budgets import check, exit_status, find_file
        from heaptide.profile import Profile
        from heaptide.views.commands import recorded_command

        if config is None and not no_config:
            config = find_file(Path.cwd())
        # Before a program runs for it, perhaps for long: what is wrong with the budgets.
        _budgets(words or [], options, presets, config, program)
        if path is None:
            assert words
            path = _recorded(words, output, stack, out=sys.stderr if as_json else None)
        recording = stack.enter_context(open_input(path, unpickle=unpickle, quiet=as_json))
        budgets = _budgets(_words(recording), options, presets, config, program)
        results = check(Profile(recording), budgets)
        title = recorded_command(recording) or recording.path
        kept = None if words and output is None else str(path)
        _tell(results, budgets, title, kept, as_json=as_json, junit=junit)
        return exit_status(results)


def _recorded(words: list[str], output: Path | None, stack: ExitStack, out: IO[str] | None) -> Path:
    """Records a command, in a process of its own; where to."""
    path = output
    if path is None:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="heaptide-check-"))
        path = Path(directory) / "checked.tide"
    elif path.exists():
        raise UsageError(f"{path} exists; choose another name")
    run = [sys.executable, "-m", "heaptide", "run", "-q", "-o", str(path), *words]
    status = subprocess.run(run, check=False, stdout=out).returncode
    if not path.exists():
        raise HeaptideError(f"nothing was recorded of {words[0]}: {_ended(status)}")
    if status:
        raise HeaptideError(
            f"{words[0]} {_ended(status)}: what a run that fails does with memory says nothing; "
            "mend it, or check a recording of it (heaptide run -o FILE)"
        )
    return path


def _ended(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"


def _words(recording: Recording) -> list[str]:
    words = recording.meta.get("command")
    return [str(word) for word in words] if isinstance(words, list) else []


def _budgets(
    words: list[str],
    options: tuple[str, ...],
    presets: tuple[str, ...],
    config: Path | None,
    program: str | None,
) -> Budgets:
    from heaptide.budgets import from_options, load_budgets, program_of

    found = from_options(options, presets)
    if config is not None:
        file = load_budgets(config, program or program_of(words))
        found = found.over(file) if found else file
    if not found:
        raise UsageError(
            "there is no budget: say --budget peak_heap=256MB or --preset guide, or write "
            "[tool.heaptide.budgets] into pyproject.toml"
        )
    return found


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

    if as_json:
        import json

        document = view.as_json(results, recording=path, source=budgets.source)
        click.echo(json.dumps(document, indent=1))
    else:
        view.print_results(results, title=title, source=budgets.source)
    if junit is not None:
        _write(junit, view.junit(results, title=title), "wb")
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        _write(Path(summary), view.markdown(results, title=title).encode(), "ab")


def _write(path: Path, data: bytes, mode: str) -> None:
    try:
        with path.open(mode) as file:
            file.write(data)
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"{path} cannot be written: {reason}; choose another place") from None
