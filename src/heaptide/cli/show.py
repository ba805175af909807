"""``heaptide show``: what a recording says."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from heaptide.cli.reading import prepare_to_read
from heaptide.errors import HeaptideError

if TYPE_CHECKING:
    from click.core import ParameterSource


# Named here and not taken from the package, whose import costs NumPy's: --help must not pay for
# it. A test keeps them equal.
METRICS = (
    "peak",
    "alive",
    "total",
    "allocations",
    "temporary",
    "short-lived",
    "copied",
    "live",
    "leaked",
)
FOLDS = ("function", "line", "file", "module", "thread", "process")
DEFAULT_TOP = 10


@click.command()
@click.argument("recording", type=click.Path(), metavar="RECORDING")
@click.option(
    "--metric",
    type=click.Choice(METRICS),
    default="peak",
    show_default=True,
    help="What to order by: bytes at the peak, alive at exit or allocated in total; the number of "
    "allocations, temporary or short-lived ones; bytes copied by realloc.",
)
@click.option(
    "--by",
    type=click.Choice(FOLDS),
    default="function",
    show_default=True,
    help="What to fold by. Memory is charged to the innermost frame that is your own code.",
)
@click.option(
    "--top",
    type=click.IntRange(min=0),
    metavar="N",
    help=f"How many to list; 0: all.  [default: {DEFAULT_TOP}; with --json all]",
)
@click.option("--process", type=int, metavar="PID", help="Only this process.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, as docs/json.md describes it.")
@click.pass_context
def show(
    context: click.Context,
    recording: str,
    metric: str,
    by: str,
    top: int | None,
    process: int | None,
    as_json: bool,
) -> None:
    """Show where the memory of a recorded program went.

    Without --metric and --by: a summary, the largest sites at the peak, and the live heap over
    time. With one of them: that table alone.
    """
    if sys.stdout is None:
        raise HeaptideError("standard output is closed: there is nowhere to show the recording")
    prepare_to_read()
    from heaptide.profile import EVERY_METRIC as BY_NAME
    from heaptide.profile import Profile, rows_of_pid
    from heaptide.recording import Recording

    with Recording.open(recording) as opened:
        rows = None if process is None else rows_of_pid(opened, process)
        profile = Profile(opened, rows)
        if as_json:
            from heaptide.views.document import document

            fold = profile.fold(by, BY_NAME[metric], inclusive=True)
            click.echo(json.dumps(document(profile, fold, top=top or 0), indent=1))
            return
        from heaptide.views import text

        text.show(
            profile,
            BY_NAME[metric],
            by,
            top=DEFAULT_TOP if top is None else top,
            only_table=_given(context, "metric") or _given(context, "by"),
        )


def _given(context: click.Context, option: str) -> bool:
    """Whether the option is on the command line, whatever its value."""
    source: ParameterSource | None = context.get_parameter_source(option)
    return source is not None and source.name == "COMMANDLINE"


command = show  # as the main command finds it
