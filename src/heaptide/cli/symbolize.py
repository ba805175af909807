"""``heaptide symbolize``: find the function names of a recording made with ``--no-symbols``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from heaptide._printable import printable, shell_word
from heaptide.cli.output import say
from heaptide.cli.reading import prepare_to_read
from heaptide.errors import RecordingError


@click.command("symbolize", short_help="Find the function names of a recording.")
@click.argument("recording", type=click.Path(readable=False, path_type=Path))
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def command(recording: Path, quiet: bool) -> None:
    """Find the function names of a recording and store them in it.

    For recordings made with --no-symbols, or interrupted; run it where the recorded programs and
    their debug information are.
    """
    prepare_to_read()
    from heaptide.cli.progress import progress_bar
    from heaptide.recorder.sessions import session_of_recording
    from heaptide.recording import symbolize

    if session_of_recording(recording) is not None:
        raise RecordingError(
            f"{recording} is still being made, and its names are found at its end: heaptide top "
            f"{shell_word(str(recording))} shows them now"
        )
    with progress_bar("names in", quiet=quiet) as progress:
        finished = symbolize(recording, progress=progress)
    for line in finished.warnings:
        say(line)
    if finished.former is not None:
        say(f"the file as it was, with what is behind the damage, is {finished.former}")
    if not quiet and sys.stdout is not None:
        print(f"{printable(str(recording))}: {finished.frames_named:,} frames have names")
        for line in finished.advice:
            print(printable(line))
