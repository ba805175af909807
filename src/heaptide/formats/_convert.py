"""From one format into another."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from heaptide.errors import OutputError, UsageError

from ._export import Export

if TYPE_CHECKING:
    from heaptide.profile import Metric, Profile

    from ._registry import Format


def write(
    profile: Profile, format: Format, path: str | os.PathLike[str], metric: Metric | None = None
) -> list[str]:
    """Writes what ``profile`` selects to `path`, in `format`; lines on what that cannot carry.

    ``metric``: for formats with a single figure; None: the first one that is known. What is at the
    path is replaced, when the new file is whole; a pipe or a device is written to.

    Raises:
        OutputError: the file cannot be written.
        UsageError: the format cannot say what was asked for.
    """
    from heaptide.profile import default_metric

    target = Path(path)
    chosen = default_metric(profile.recording) if metric is None else metric
    partial = target.with_name(f".heaptide-{os.getpid()}.partial")
    export = Export(profile, chosen, partial, target.name, metric is not None)
    try:
        if target.exists() and not target.is_file() and not format.whole:
            return _through(target, export, format)
        try:
            said = format.writer.write(export)
            if format.whole and target.is_dir():
                shutil.rmtree(target)
            partial.replace(target)
            return said
        finally:
            _remove(partial)
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"{target} cannot be written: {reason}; choose another place for it"
        ) from None


def _through(target: Path, export: Export, format: Format) -> list[str]:
    """Into a pipe or a device, which cannot be replaced."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="heaptide-convert-") as directory:
        path = Path(directory) / "converted"
        made = replace(export, path=path)
        said = format.writer.write(made)
        with path.open("rb") as file, target.open("wb") as out:
            shutil.copyfileobj(file, out)
    return said


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


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
