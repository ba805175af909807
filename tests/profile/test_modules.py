"""What the code of modules is called, where Python says <module> of all of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.recording.make import Builder, example

from heaptide.profile import Profile
from heaptide.profile.modules import module_code, scripts_of
from heaptide.recording import Recording

SITE = "/srv/venv/lib/python3.11/site-packages/"


@pytest.mark.parametrize(
    ("file", "module", "expected"),
    [
        ("/srv/app/shop/catalog.py", "shop.catalog", "import shop.catalog"),
        ("/srv/app/shop/__init__.py", "shop", "import shop"),
        ("/srv/app/app.py", "app", "app.py"),
        (SITE + "numpy/core/multiarray.py", "numpy", "import numpy.core.multiarray"),
        (SITE + "numpy/__init__.py", "numpy", "import numpy"),
        (SITE + "gunicorn/__main__.py", "gunicorn", "-m gunicorn"),
        ("/usr/lib/python3.11/json/__init__.py", "json", "import json"),
        ("<frozen importlib._bootstrap>", "importlib", "import importlib._bootstrap"),
        ("/srv/lib.pyx", "/srv/lib.pyx", "import lib.pyx"),
        ("<string>", "<string>", "<module>"),
        ("", "", "<module>"),
    ],
)
def test_names(file: str, module: str, expected: str) -> None:
    assert module_code(file, module, {"/srv/app/app.py"}) == expected


def test_scripts_are_what_commands_run() -> None:
    files = ["/srv/app/app.py", "/srv/app/shop/app.py", "/srv/venv/bin/gunicorn", "/srv/x.py"]
    commands = [
        ["python", "-X", "dev", "./shop/app.py", "x.json"],
        ["/srv/venv/bin/python", "/srv/venv/bin/gunicorn"],
        [],
    ]
    assert scripts_of(files, commands) == {files[1], files[2]}
    assert scripts_of(files, [["python3", "app.py"]]) == {files[0]}


def test_only_python_has_code_of_modules(tmp_path: Path) -> None:
    with Recording.open(example().write(tmp_path / "a.tide")) as recording:
        profile = Profile(recording)
        names = {profile.function_of(at) for at in range(len(profile.locations))}
    assert {"app.py", "load", "work::grow()"} <= names and "<module>" not in names
    build = Builder()
    build.process()
    native = build.native(build.module(0, "/usr/bin/app"), 1)
    build.symbol(native, "<module>", "/src/a.c", 1)
    build.context(0, build.stack(native))
    build.finish(1)
    with Recording.open(build.write(tmp_path / "b.tide")) as recording:
        assert Profile(recording).function_of(0) == "<module>"
