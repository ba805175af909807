"""``heaptide diff``: what has changed from one recording to another."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from heaptide.cli.reading import prepare_to_read
from heaptide.cli.show import FOLDS, METRICS
from heaptide.errors import HeaptideError

if TYPE_CHECKING:
    from pathlib import Path

_DEFAULT_TOP = 10


@click.command("diff", short_help="Show what has changed between two recordings.")
@click.argument("old", type=click.Path(), metavar="OLD")
@click.argument("new", type=click.Path(), metavar="NEW")
@click.option(
    "--metric",
    type=click.Choice(METRICS),
    metavar="METRIC",
    default="peak",
    show_default=True,
    help=f"What to compare: {', '.join(METRICS)}.",
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
    help=f"How many to list; 0: all.  [default: {_DEFAULT_TOP}; with --json all]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, as docs/json.md describes it.")
def command(old: Path, new: Path, metric: str, by: str, top: int | None, as_json: bool) -> None:
    """Show what grew, what shrank, what is new and what is gone.

    Functions and lines are matched by their names, also where files lie in another directory. The
    exit status says whether both could be read, not whether they differ.
    """
    if sys.stdout is None:
        raise HeaptideError("standard output is closed: there is nowhere to show the difference")
    prepare_to_read()
    from heaptide.profile import EVERY_METRIC, Profile
    from heaptide.recording import Recording

    with Recording.open(old) as before, Recording.open(new) as after:
        profiles = Profile(before), Profile(after)
        if as_json:
            from heaptide.views.diff_document import diff_document

            found = diff_document(*profiles, EVERY_METRIC[metric], by, top=top or 0)
            click.echo(json.dumps(found, indent=1))
            return
        from heaptide.views.diff_text import show_diff

        show_diff(*profiles, EVERY_METRIC[metric], by, top=_DEFAULT_TOP if top is None else top)
