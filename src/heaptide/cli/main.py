"""The command ``heaptide``: finds the subcommand, and turns errors into one line and a status."""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from heaptide._printable import printable
from heaptide._version import __version__
from heaptide.cli.errors import describe
from heaptide.cli.reading import TerminatedError
from heaptide.errors import HeaptideError

# Subcommand -> the module that holds it as `command`, and its line in the help. A module is
# imported when its command is called: what it needs costs no other command anything.
_COMMANDS = {
    "run": ("heaptide.cli.run", "Run a program and record where its memory goes."),
    "show": ("heaptide.cli.show", "Show a recording."),
    "diff": ("heaptide.cli.diff", "Show what has changed between two recordings."),
    "report": ("heaptide.cli.report", "Make a page of a recording."),
    "convert": ("heaptide.cli.convert", "Turn a recording into another format, or back."),
    "check": ("heaptide.cli.check", "Hold a program to its memory budget."),
    "bench": ("heaptide.cli.bench", "Compare a command with another version of it, run by run."),
    "idle": ("heaptide.cli.idle", "Measure what a program takes when it is idle."),
    "stats": ("heaptide.cli.stats", "Show what a process and its container hold."),
    "rules": ("heaptide.cli.rules", "Write alerts for Prometheus, a dashboard for Grafana."),
    "top": ("heaptide.cli.top", "Watch a recording while it is made."),
    "open": ("heaptide.cli.open", "Look at a recording in the browser."),
    "symbolize": ("heaptide.cli.symbolize", "Find the function names of a recording."),
}


class _NobodyReadsError(Exception):
    """Whoever read our output has gone. (Of a BrokenPipeError click would make status 1.)"""


class _Lazy(click.Group):
    """A group that imports a subcommand when it is wanted, not before."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise _NobodyReadsError from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = importlib.import_module(_COMMANDS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", message="heaptide %(version)s")
def cli() -> None:
    """Shows where a program's memory goes, from Python through Rust, C and C++ in one stack."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and exits. Statuses are listed in ``docs/cli.md``."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; the exit status. May end the process by a signal instead."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    failed = 2 if words[:1] in (["check"], ["bench"], ["idle"]) else 1  # their 1 is a verdict
    try:
        status = cli.main(words or ["--help"], "heaptide", standalone_mode=False)
        if sys.stdout is not None:  # closed by whoever has started us
            sys.stdout.flush()
    except HeaptideError as error:
        _complain(error.message)
        return failed if error.exit_status == 1 else error.exit_status
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "heaptide"
        _complain(f"{_usage(error)}; see {where} --help")
        return error.exit_code
    except click.ClickException as error:
        _complain(_one_line(error.format_message()))
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return _ended_by(signal.SIGINT)
    except TerminatedError:
        return _ended_by(signal.SIGTERM)
    except (_NobodyReadsError, BrokenPipeError):
        # Whoever read our output has seen enough.
        _drop_output()
        return 128 + signal.SIGPIPE
    except Exception as error:
        if isinstance(error, OSError) and _of_stdout(error):
            _complain(f"standard output cannot be written: {error.strerror}")
            _drop_output()
        else:
            _complain(describe(error))
        return failed
    return status if isinstance(status, int) else 0  # of what click calls an exit


def _drop_output() -> None:
    """What is still to be written goes nowhere: at exit, the interpreter would try and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _of_stdout(error: OSError) -> bool:
    """Whether writing has failed, and of no file that has a name: those are told by who opens."""
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
    return error.filename is None and error.errno in full


def _ended_by(number: signal.Signals) -> int:
    """Ends as a program does that the signal ended, so that a calling shell script stops too."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return 128 + number


def _usage(error: click.UsageError) -> str:
    if (
        isinstance(error, click.MissingParameter)
        and getattr(error.param, "name", "") == "recording"
    ):
        return "name a recording, a .tide file that heaptide run wrote"
    return _one_line(error.format_message())


def _one_line(text: str) -> str:
    text = printable(" ".join(text.split()))
    return text if text.endswith("..") else text.removesuffix(".")


def _complain(message: str) -> None:
    with contextlib.suppress(OSError):  # nobody reads it; the status says the rest
        print(f"heaptide: {message}", file=sys.stderr, flush=True)
