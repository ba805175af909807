"""``heaptide report``: a recording as one page of HTML."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import click

from heaptide.cli.params import SizeType
from heaptide.cli.reading import prepare_to_read
from heaptide.errors import OutputError


@click.command("report", short_help="Make a page of a recording.")
@click.argument("recording", type=click.Path(path_type=Path), metavar="RECORDING")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The page; -: standard output.  [default: RECORDING with .html]",
)
@click.option("-f", "--force", is_flag=True, help="Overwrite an existing page.")
@click.option("--source", is_flag=True, help="Embed the source files of your own code.")
@click.option(
    "--base",
    type=click.Path(path_type=Path),
    metavar="OLD",
    help="Show the difference to this older recording.",
)
@click.option("--process", type=int, metavar="PID", help="Only this process.")
@click.option(
    "--max-size",
    type=SizeType(),
    default="20MB",
    show_default=True,
    metavar="BYTES",
    help="Fold small stacks until the page is below this size.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    recording: Path,
    output: Path | None,
    force: bool,
    source: bool,
    base: Path | None,
    process: int | None,
    max_size: int,
    quiet: bool,
) -> None:
    """Make one page of HTML that shows where the memory went.

    The page needs nothing else: it opens from disk, without a network.
    """
    path = recording.with_suffix(".html") if output is None else output
    to_stdout = str(path) == "-"
    if not to_stdout:
        _check(path, force)
    prepare_to_read()
    from contextlib import ExitStack

    from heaptide.profile import Profile, rows_of_pid
    from heaptide.recording import Recording
    from heaptide.views.page import build

    with ExitStack() as stack:
        opened = stack.enter_context(Recording.open(recording))
        older = None if base is None else stack.enter_context(Recording.open(base))
        rows = None if process is None else rows_of_pid(opened, process)
        page = build(
            Profile(opened, rows),
            None if older is None else Profile(older),
            most=max_size,
            sources=source,
        )
        text = page.html()
    if to_stdout:
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
    else:
        _write(path, text)
    if quiet:
        return
    for line in page.folded:
        click.echo(f"heaptide: to stay below {max_size:,} bytes, {line}", err=True)
    if len(text) > max_size:
        click.echo(
            f"heaptide: the page has {len(text):,} bytes all the same: it cannot be smaller",
            err=True,
        )
    if not to_stdout:
        click.echo(f"{path}: {len(text):,} bytes; open it with a browser", err=True)
        click.echo(f"  heaptide open {shlex.quote(str(recording))}", err=True)


def _check(path: Path, force: bool) -> None:
    """Before any work is done: whether the page may be written there. Raises OutputError."""
    if path.is_dir():
        raise OutputError(f"{path} is a directory; give -o a file name")
    if path.exists() and not force:
        raise OutputError(
            f"{path} exists; choose another name with -o or overwrite it with --force"
        )
    if not path.parent.is_dir():
        raise OutputError(
            f"{path.parent} is not a directory; create it or choose another place with -o"
        )


def _write(path: Path, text: bytes) -> None:
    """The whole file or none. Raises OutputError."""
    if path.exists() and not path.is_file():  # a pipe, a terminal
        path.write_bytes(text)
        return
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(text)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OutputError(
            f"{path} cannot be written: {error.strerror}; choose another place with -o"
        ) from None
