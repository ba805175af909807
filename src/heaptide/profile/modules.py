"""What a Python source file is called as a module, without asking the disk."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable

from .origin import Origin

# What follows is a package or module of an installed distribution, or of the standard library.
_INSTALLED = re.compile(
    r".*/(?:site|dist)-packages/|.*/lib(?:32|64)?/(?:python|pypy)\d+\.\d+t?/|.*/python3\d+\.zip/"
)


def python_modules(files: Iterable[tuple[str, Origin]]) -> list[str]:
    """A name for each file, in order.

    Installed code goes by its top-level package (``numpy``): nobody looks for memory inside of
    it. The user's own goes by its dotted path below the directory that all of it is in, so that
    ``app/api/views.py`` beside ``app/main.py`` is ``api.views``. Others keep their name.
    """
    files = list(files)
    own = [file for file, whose in files if whose == Origin.OWN and file.startswith("/")]
    root = posixpath.commonpath([posixpath.dirname(file) for file in own]) if own else "/"
    return [_name(file, whose, root) for file, whose in files]


def _name(file: str, whose: Origin, root: str) -> str:
    if file.startswith("<frozen ") and file.endswith(">"):
        return file[len("<frozen ") : -1].split(".")[0]
    installed = _INSTALLED.match(file)
    if installed:
        return file[installed.end() :].split("/")[0].removesuffix(".py")
    if whose == Origin.OWN and file.startswith("/"):
        stem = posixpath.splitext(posixpath.relpath(file, root))[0]
        name = stem.replace("/", ".").removesuffix(".__init__")
        return posixpath.basename(root) if name == "__init__" else name
    return file
