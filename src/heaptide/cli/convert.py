"""``heaptide convert``: from one format into another."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from heaptide.cli.output import say
from heaptide.cli.reading import open_input, prepare_to_read
from heaptide.cli.selecting import selection_from, selection_options, unpickle_option
from heaptide.errors import HeaptideError, UsageError

# Named here and not taken from the package, whose import costs NumPy's; a test keeps them equal.
WRITABLE = (
    "tide",
    "heaptrack",
    "massif",
    "dhat",
    "folded",
    "pprof",
    "speedscope",
    "firefox",
    "parquet",
    "csv",
    "json",
)


@click.command("convert", short_help="Turn a recording into another format, or back.")
@click.argument("recording", type=click.Path(readable=False, path_type=Path), metavar="IN")
@click.argument("output", type=click.Path(path_type=Path, allow_dash=True), metavar="OUT")
@click.option(
    "--to",
    "format_name",
    type=click.Choice(WRITABLE),
    metavar="FORMAT",
    help=f"One of {', '.join(WRITABLE)}.  [default: what OUT's name says]",
)
@click.option(
    "--metric",
    metavar="METRIC",
    help="The figure, for formats that carry only one (folded, speedscope); what orders the table "
    "of csv and json.  [default: peak, or the first that is known]",
)
@partial(selection_options, end="--until")
@unpickle_option
@click.option("-f", "--force", is_flag=True, help="Overwrite an existing file.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    recording: Path,
    output: Path,
    format_name: str | None,
    metric: str | None,
    force: bool,
    quiet: bool,
    unpickle: bool,
    **selecting: Any,
) -> None:
    """Read IN, a recording or a file of any format that can be read, and write it to OUT.

    The formats and what each carries are in docs/formats.md. OUT -: standard output.
    """
    prepare_to_read()
    from heaptide.formats import by_name, by_suffix, check_target, write
    from heaptide.profile import Profile, metric_of

    to_stdout = str(output) == "-"
    if to_stdout and format_name is None:
        raise UsageError("standard output has no name that tells a format: give --to")
    format = by_suffix(str(output)) if format_name is None else by_name(format_name)
    if to_stdout:
        if format.whole:
            raise UsageError(f"{format.name} is a directory of files: name one, not -")
        if sys.stdout is None:
            raise HeaptideError("standard output is closed: there is nowhere to write")
    else:
        check_target(output, format, force, [recording])
    with open_input(recording, unpickle=unpickle, quiet=quiet) as opened:
        profile = Profile(opened, selection_from(opened, **selecting))
        chosen = None if metric is None else metric_of(opened, metric)
        said = write(profile, format, sys.stdout.buffer if to_stdout else output, chosen)
    if not quiet:
        for line in said:
            say(line)
        if not to_stdout:
            say(f"{output} is written, {format.title}")
