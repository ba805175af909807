"""From one format into another."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from heaptide._printable import printable
from heaptide.errors import OutputError, UsageError

from ._export import Export

if TYPE_CHECKING:
    from heaptide.profile import Metric, Profile

    from ._registry import Format


def write(
    profile: Profile,
    format: Format,
    target: str | os.PathLike[str] | BinaryIO,
    metric: Metric | None = None,
) -> list[str]:
    """Writes what ``profile`` selects to `target`, in `format`; lines on what that cannot carry.

    `target`: a path, or an open binary file. What is at the path is replaced, when the new file is
    whole; of a link what it leads to; a pipe or a device is written to. ``metric``: for formats
    with a single figure; None: the first one that is known.

    Raises:
        OutputError: the file cannot be written.
        UsageError: the format cannot say what was asked for, or nothing of what there is.
    """
    from heaptide.profile import default_metric

    chosen = default_metric(profile.recording) if metric is None else metric
    if metric is not None:
        profile.figures_for(metric)  # says so if it is not known
    export = Export(profile, chosen, Path(), "", metric is not None)
    if not isinstance(target, (str, os.PathLike)):
        return _into(target, export, format)
    path = Path(os.path.realpath(target))
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            with path.open("wb") as out:
                return _into(out, export, format)
        return _replacing(path, replace(export, shown=Path(target).name), format)
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"{printable(os.fspath(target))} cannot be written: {reason}; choose another place "
            "for it"
        ) from None


def _replacing(path: Path, export: Export, format: Format) -> list[str]:
    """Makes it beside its place, in a directory of its own: nobody else's name is taken."""
    directory = Path(tempfile.mkdtemp(prefix=".heaptide-", dir=path.parent))
    try:
        made = directory / "made"
        said = format.writer.write(replace(export, path=made))
        if path.is_file():
            made.chmod(stat.S_IMODE(path.stat().st_mode))
        if format.whole and path.is_dir():
            path.replace(directory / "old")
        made.replace(path)
        return said
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _into(out: BinaryIO, export: Export, format: Format) -> list[str]:
    """What cannot be replaced: a pipe, a device, standard output."""
    with tempfile.TemporaryDirectory(prefix="heaptide-convert-") as directory:
        path = Path(directory) / "converted"
        said = format.writer.write(replace(export, path=path))
        with path.open("rb") as file:
            shutil.copyfileobj(file, out)
        out.flush()
    return said


def check_target(path: Path, format: Format, force: bool, inputs: list[Path]) -> None:
    """Before any work is done: whether `path` may be written. Raises OutputError."""
    try:
        status = path.stat()
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise OutputError(
                f"{path.parent} is not a directory; create it or choose another place"
            ) from None
        return
    except (OSError, ValueError) as error:
        raise OutputError(f"{path} cannot be written: {error}; choose another place") from None
    for one in inputs:
        try:
            same = os.path.samestat(one.stat(), status)
        except OSError:
            same = False
        if same:
            raise UsageError(f"{path} is what is to be converted; give another name")
    if path.is_dir():
        if not format.whole:
            raise OutputError(f"{path} is a directory; give a file name")
        if not force:
            raise OutputError(
                f"{path} exists; choose another name, or replace the directory with --force"
            )
        if any(not child.name.endswith(".parquet") for child in path.iterdir()):
            raise OutputError(f"{path} holds other files too; choose another name")
    elif path.is_file() and not force:
        raise OutputError(f"{path} exists; choose another name, or overwrite it with --force")
