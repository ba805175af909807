"""The cell magic ``%%heaptide``: records a cell and shows its page below it."""

from __future__ import annotations

import html
import tempfile
from pathlib import Path
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics as IPythonMagics
from IPython.core.magic import cell_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring
from IPython.display import HTML, display

from heaptide.errors import HeaptideError
from heaptide.inside._record import record

_HEIGHT = 640  # pixels


@magics_class
class Magics(IPythonMagics):
    """Registered by ``%load_ext heaptide``."""

    @magic_arguments()
    @argument("-o", "--output", metavar="FILE", help="Keep the recording in this file.")
    @argument("-f", "--force", action="store_true", help="Replace FILE if it exists.")
    @argument(
        "--native",
        choices=("auto", "all", "off"),
        default="auto",
        help="Native frames: wherever memory does not come from Python's object allocators "
        "(auto), always, or never.",
    )
    @argument(
        "--no-python-objects",
        action="store_true",
        help="Leave out Python's objects: malloc and its kin only.",
    )
    @argument("--height", type=int, default=_HEIGHT, help="Height of the page in pixels.")
    @cell_magic
    def heaptide(self, line: str, cell: str) -> None:
        """Record the cell, and show below it where its memory went."""
        options = parse_argstring(self.heaptide, line)
        with tempfile.TemporaryDirectory(prefix="heaptide-") as folder:
            path = Path(options.output) if options.output else Path(folder) / "cell.tide"
            if options.output and path.is_file() and not options.force:
                raise UsageError(f"heaptide: {path} exists; replace it with --force")
            try:
                recorder = record(
                    path,
                    force=options.force,
                    native=options.native,
                    python_objects=not options.no_python_objects,
                ).start()
            except HeaptideError as error:
                raise UsageError(f"heaptide: {error}") from None
            try:
                assert self.shell is not None
                result = self.shell.run_cell(cell)
            finally:
                recorder.stop()
            if result.error_before_exec is None:
                display(HTML(_frame(_page(path), options.height)))
        failed = result.error_before_exec or result.error_in_exec
        if failed is not None:
            raise _told(failed)


class CellError(Exception):
    """A cell is no Python."""


def _told(error: BaseException) -> BaseException:
    """The error, whose traceback has been shown already: IPython shows it no second time."""
    if isinstance(error, SyntaxError):  # which it shows in a way of its own
        error = CellError(f"{type(error).__name__}: {error}")
    error._render_traceback_ = list  # type: ignore[attr-defined]
    return error


def _page(path: Path) -> bytes:
    from heaptide.profile import Profile
    from heaptide.recording import Recording
    from heaptide.views.page import build

    with Recording.open(path) as recording:
        return build(Profile(recording)).html()


def _frame(page: bytes, height: int) -> str:
    """The page as a document of its own within another one. A frame alone, IPython warns of."""
    text: Any = html.escape(page.decode(), quote=True)
    return (
        f'<div><iframe title="heaptide: memory of the cell" srcdoc="{text}" '
        f'style="width: 100%; height: {height}px; border: 1px solid #8888"></iframe></div>'
    )
