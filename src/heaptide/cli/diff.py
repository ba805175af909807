"""``heaptide diff``: what has changed from one recording to another."""

from __future__ import annotations

import sys

import click

from heaptide.cli.output import print_json
from heaptide.cli.reading import open_input, prepare_to_read
from heaptide.cli.selecting import unpickle_option
from heaptide.cli.show import FOLDS, METRICS
from heaptide.errors import HeaptideError, UsageError

_DEFAULT_TOP = 10
_LEAST = 0.001  # of the whole: what changed by less is noise to most, and summed up
SCALES = ("time", "allocations")  # as the package has them; a test keeps them equal


@click.command("diff", short_help="Show what has changed between two recordings.")
@click.argument("old", type=click.Path(readable=False), metavar="OLD")
@click.argument("new", type=click.Path(readable=False), metavar="NEW")
@click.option(
    "--metric",
    type=click.Choice(METRICS),
    metavar="METRIC",
    help=f"What to compare: {', '.join(METRICS)}.  [default: peak, or the first that is known]",
)
@click.option(
    "--by",
    type=click.Choice(FOLDS),
    default="function",
    show_default=True,
    help="What to fold by. Memory is charged to the innermost frame that is your own code.",
)
@click.option(
    "--normalize",
    type=click.Choice(SCALES),
    help="Compare per second, or per allocation: for runs of different length, by a metric that "
    "adds up over a run (total, allocations, temporary, short-lived, copied, leaked).",
)
@click.option(
    "--top",
    type=click.IntRange(min=0),
    metavar="N",
    help="How many to list of what grew, and of what shrank; 0: all.  "
    f"[default: {_DEFAULT_TOP}; with --json and --csv all]",
)
@unpickle_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, as docs/json.md describes it.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the changes as CSV.")
def command(
    old: str,
    new: str,
    metric: str | None,
    by: str,
    normalize: str | None,
    top: int | None,
    as_json: bool,
    as_csv: bool,
    unpickle: bool,
) -> None:
    """Show what grew, what shrank, what is new and what is gone.

    Functions are matched by their names and files, also where the files lie in another directory
    and lines have moved. The exit status says whether both could be read, not whether they differ.
    """
    if sys.stdout is None:
        raise HeaptideError("standard output is closed: there is nowhere to show the difference")
    if as_json and as_csv:
        raise UsageError("--json and --csv are two forms of one thing: choose one of them")
    prepare_to_read()
    from heaptide.profile import EVERY_METRIC, METRICS, Profile, default_metric

    both = (open_input(path, unpickle=unpickle) for path in (old, new))
    with next(both) as before, next(both) as after:
        profiles = Profile(before), Profile(after)
        if metric is None:
            metric = default_metric(before).name
            metric = metric if metric in METRICS else "peak"
        wanted = EVERY_METRIC[metric]
        if as_json or as_csv:
            from heaptide.views.diff_document import diff_csv, diff_document

            if as_csv:
                written = diff_csv(*profiles, wanted, by, scale=normalize, top=top or 0)
                click.echo(written, nl=False)
            else:
                print_json(diff_document(*profiles, wanted, by, scale=normalize, top=top or 0))
            return
        from heaptide.views.diff_text import show_diff

        show_diff(
            *profiles,
            wanted,
            by,
            scale=normalize,
            top=_DEFAULT_TOP if top is None else top,
            least=_LEAST if top is None else 0.0,
        )
