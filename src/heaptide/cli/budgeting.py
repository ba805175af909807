"""What commands that judge a program have in common: its words behind ``--``, and budgets."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from heaptide.errors import UsageError

if TYPE_CHECKING:
    from heaptide.budgets import Budgets, Project

_Command = TypeVar("_Command", bound=Callable[..., Any])


class BehindDashes(click.Command):
    """Keeps what stands behind ``--`` apart, as ``ctx.obj``: click would take it for arguments."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            place = args.index("--")
            ctx.obj = args[place + 1 :]
            args = args[:place]
        return super().parse_args(ctx, args)


def budget_options(example: str, *, default: str) -> Callable[[_Command], _Command]:
    """Adds the options whose values ``read_budgets`` takes, and ``--program``.

    ``default``: of ``--config``, in words.
    """

    def add(command: _Command) -> _Command:
        for option in reversed(
            (
                click.option(
                    "-b",
                    "--budget",
                    "options",
                    multiple=True,
                    metavar="NAME=LIMIT",
                    help=f"{example}; before those of files.",
                ),
                click.option("--preset", "presets", multiple=True, help="Budgets by name: guide."),
                click.option(
                    "--config",
                    type=click.Path(path_type=Path),
                    metavar="FILE",
                    help=f"Where the budgets are.  [default: {default}]",
                ),
                click.option("--no-config", is_flag=True, help="Take no budgets from files."),
                click.option("--program", metavar="NAME", help="The program's name in budgets."),
            )
        ):
            command = option(command)
        return command

    return add


def read_budgets(
    options: tuple[str, ...], presets: tuple[str, ...], config: Path | None, no_config: bool
) -> tuple[Budgets, Project | None]:
    """Those of options, and those of a file; before a program runs for them, perhaps for long."""
    from heaptide.budgets import find_budgets, from_options, load_budgets

    if config is not None and no_config:
        raise UsageError("--config and --no-config exclude each other")
    given, project = from_options(options, presets), None
    if config is not None:
        project = load_budgets(config)
    elif not no_config:
        with contextlib.suppress(FileNotFoundError):  # we are in a directory that has been removed
            project = find_budgets(Path.cwd())
    return given, project
