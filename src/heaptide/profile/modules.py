"""What a Python source file is called as a module, without asking the disk."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterable, Sequence

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


MODULE_CODE = "<module>"
"""What Python calls the code of a module that runs when it is imported, of all modules alike."""


def module_code(file: str, module: str, scripts: Collection[str]) -> str:
    """A name for the module-level code of ``file``, which is ``module`` as above.

    ``import shop.catalog``; of the program itself ``app.py``, or ``-m package``. Code that no file
    has keeps its name.
    """
    if file in scripts:
        return posixpath.basename(file)
    installed = _INSTALLED.match(file)
    if file.startswith("<frozen ") and file.endswith(">"):
        name = file[len("<frozen ") : -1]
    elif installed:
        name = posixpath.splitext(file[installed.end() :])[0].replace("/", ".")
    elif file.startswith("/"):
        name = module if module and "/" not in module else posixpath.basename(file)
    else:
        return MODULE_CODE
    if name.endswith(".__main__"):
        return f"-m {name.removesuffix('.__main__')}"
    return f"import {name.removesuffix('.__init__')}"


def scripts_of(files: Iterable[str], commands: Iterable[Sequence[str]]) -> set[str]:
    """Those of ``files`` that ``commands`` run, whether they are named from the root or not."""
    by_name: dict[str, list[str]] = {}
    for file in files:
        by_name.setdefault(posixpath.basename(file), []).append(file)
    words = {
        posixpath.normpath(word)
        for command in commands
        for word in (*command[:2], *(word for word in command if word.endswith(".py")))
    }
    found = set()
    for word in words:
        end = "/" + word.lstrip("./")
        fit = [
            file
            for file in by_name.get(posixpath.basename(word), ())
            if file == word or (not word.startswith("/") and file.endswith(end))
        ]
        found.update(sorted(fit, key=len)[:1])  # where it was run is not known: most likely there
    return found
