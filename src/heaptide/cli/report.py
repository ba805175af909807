"""``heaptide report``: a recording as one page of HTML."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import ExitStack
from pathlib import Path

import click

from heaptide._printable import shell_word
from heaptide.cli.output import say
from heaptide.cli.params import SizeType
from heaptide.cli.progress import progress_bar
from heaptide.cli.reading import open_input, prepare_to_read
from heaptide.cli.selecting import unpickle_option
from heaptide.errors import HeaptideError, OutputError, RecordingError


@click.command("report", short_help="Make a page of a recording.")
@click.argument("recording", type=click.Path(readable=False, path_type=Path), metavar="RECORDING")
@click.option(
    "-o",
    "--output",
    type=click.Path(readable=False, path_type=Path, allow_dash=True),
    metavar="FILE",
    help="The page; -: standard output.  [default: the recording's name with .html]",
)
@click.option("-f", "--force", is_flag=True, help="Overwrite an existing page.")
@click.option("--source", is_flag=True, help="Embed the source files, as far as they are here.")
@click.option(
    "--base",
    type=click.Path(readable=False, path_type=Path),
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
@unpickle_option
@click.option("--open", "show", is_flag=True, help="Show the page in the browser.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    recording: Path,
    output: Path | None,
    force: bool,
    source: bool,
    base: Path | None,
    process: int | None,
    max_size: int,
    show: bool,
    quiet: bool,
    unpickle: bool,
) -> None:
    """Make one page of HTML that shows where the memory went.

    The page needs nothing else: it opens from disk, without a network.
    """
    prepare_to_read()
    to_stdout = str(output) == "-"
    if to_stdout and show:
        raise click.UsageError("--open shows a file: give -o a file name")
    if to_stdout and sys.stdout is None:
        raise HeaptideError("standard output is closed: there is nowhere to write the page")
    path = _default(recording) if output is None else output
    if not to_stdout:
        _check(path, force)
    from heaptide.profile import Profile, rows_of_pid
    from heaptide.views.page import build
    from heaptide.views.units import size

    with ExitStack() as stack:
        opened = stack.enter_context(open_input(recording, unpickle=unpickle, quiet=quiet))
        older = (
            None
            if base is None
            else stack.enter_context(open_input(base, unpickle=unpickle, quiet=quiet))
        )
        rows = None if process is None else rows_of_pid(opened, process)
        progress = stack.enter_context(progress_bar("making the page:", quiet=quiet))
        page = build(
            Profile(opened, rows),
            None if older is None else Profile(older),
            most=max_size,
            sources=source,
            progress=progress,
        )
        text = page.html()
    if to_stdout:
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
    else:
        _write(path, text)
    if not quiet:
        for line in page.folded:
            say(f"to keep the page small, {line}")
        if len(text) > max_size:
            say(f"the page cannot be made smaller than {size(len(text))}")
        if not to_stdout:
            word = shell_word(str(path))
            say(f"{path} is written ({size(len(text))}); look at it: xdg-open {word}")
    if show and not _shown(path) and not quiet:
        say(f"no browser found: open {path} yourself")


def _default(recording: Path) -> Path:
    """Beside the recording, under its name. Raises RecordingError."""
    if not recording.name:  # . or /
        raise RecordingError(f"{recording} is a directory; name the .tide file in it")
    return recording.with_name(recording.name.removesuffix(".tide") + ".html")


def _shown(path: Path) -> bool:
    import webbrowser

    try:
        return webbrowser.open(path.absolute().as_uri())
    except webbrowser.Error:
        return False


def _check(path: Path, force: bool) -> None:
    """Before any work is done: whether the page may be written there. Raises OutputError."""
    try:
        status = path.stat()
    except FileNotFoundError:
        status = None
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from None
    if status is None:
        if not path.parent.is_dir():
            raise OutputError(
                f"{path.parent} is not a directory; create it or choose another place with -o"
            )
        return
    if stat.S_ISDIR(status.st_mode):
        raise OutputError(f"{path} is a directory; give -o a file name")
    if not stat.S_ISREG(status.st_mode):
        return
    if not force:
        raise OutputError(
            f"{path} exists; choose another name with -o or overwrite it with --force"
        )
    if _is_recording(path):
        raise OutputError(f"{path} is a recording, not a page; choose another name with -o")


def _is_recording(path: Path) -> bool:
    from heaptide.recording._schema import MAGIC

    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def _write(path: Path, text: bytes) -> None:
    """The whole file or none, with the mode of the one before; a link stays one. Raises
    OutputError."""
    try:
        real = path.resolve()
        before = real.stat().st_mode if real.exists() else None
        if before is not None and not stat.S_ISREG(before):  # a pipe, a terminal
            path.write_bytes(text)
            return
        partial = real.with_name(f".heaptide-{os.getpid()}.partial")
        mode = 0o666 if before is None else 0o600
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            with open(descriptor, "wb") as file:
                if before is not None:
                    os.fchmod(descriptor, stat.S_IMODE(before))
                file.write(text)
            partial.replace(real)
        finally:
            partial.unlink(missing_ok=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError | ValueError) -> OutputError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return OutputError(f"{path} cannot be written: {reason}; choose another place with -o")
