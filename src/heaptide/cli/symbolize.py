"""``heaptide symbolize``: find the function names of a recording made with ``--no-symbols``."""

from __future__ import annotations

from pathlib import Path

import click

from heaptide.cli.reading import prepare_to_read


@click.command("symbolize", short_help="Find the function names of a recording.")
@click.argument("recording", type=click.Path(path_type=Path))
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def command(recording: Path, quiet: bool) -> None:
    """Find the function names of a recording and store them in it.

    For recordings made with --no-symbols, or interrupted; run it where the recorded programs and
    their debug information are.
    """
    prepare_to_read()
    from heaptide.cli.progress import progress_bar
    from heaptide.recording import symbolize

    with progress_bar("names in", quiet=quiet) as progress:
        finished = symbolize(recording, progress=progress)
    if not quiet:
        print(f"{recording}: {finished.frames_named:,} frames have names")
        for line in finished.advice:
            print(line)
