"""Source text on the page: what is embedded, what is not, and what is said about it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.recording.make import SECOND, Builder, Change

from heaptide.profile import Profile
from heaptide.recording import Language, Recording
from heaptide.views.page import build
from heaptide.views.page.blob import decode
from heaptide.views.page.sources import MOST_FILE_BYTES, source_text

STARTED = 1_700_000_000


def page_of(
    tmp_path: Path, files: Sequence[Path], most: int = 20_000_000, *, sources: bool = True
) -> tuple[dict[str, str], Any]:
    """Sources by name, and notes, of a page with a stack in each of ``files``, the last with the
    most memory."""
    make = Builder()
    make.process(1, "/bin/x")
    make.thread()
    make.meta["start_time"] = STARTED
    changes = {}
    for number, file in enumerate(files):
        context = make.context(0, make.stack(make.python("f", str(file), 1)))
        changes[context] = Change(1, 10 + number)
    make.slice(0, SECOND, changes)
    make.peak({context: (1, change.bytes_in) for context, change in changes.items()})
    make.finish(SECOND)
    (tmp_path / "a.tide").unlink(missing_ok=True)
    with Recording.open(make.write(tmp_path / "a.tide")) as recording:
        made = build(Profile(recording), sources=sources, served=not sources, most=most)
        header, _, texts = decode(made.data)
    found = {texts[int(number)]: text for number, text in header["sources"].items()}
    return found, header["notes"]


def written(path: Path, text: str, modified: float = STARTED - 10) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    os.utime(path, (modified, modified))
    return path


def test_what_has_changed_since_is_named(tmp_path: Path) -> None:
    old = written(tmp_path / "old.py", "a = 1\n")
    new = written(tmp_path / "new.py", "b = '</script>\0'\n", STARTED + 10)
    found, notes = page_of(tmp_path, [old, new, tmp_path / "gone.py"])
    assert found == {str(old): "a = 1\n", str(new): "b = '</script>\ufffd'\n"}
    text = "1 source file has changed since the recording began, so lines may not fit: new.py"
    assert {"level": "warning", "text": text} in notes
    found, notes = page_of(tmp_path, [old])
    assert notes == []


def test_a_server_says_what_has_changed(tmp_path: Path) -> None:
    """It shows files as they are when they are asked for."""
    old = written(tmp_path / "old.py", "a = 1\n")
    new = written(tmp_path / "new.py", "b = 1\n", STARTED + 10)
    secret = written(tmp_path / "new", "secret", STARTED + 10)
    found, notes = page_of(tmp_path, [old, new, secret, tmp_path / "gone.py"], sources=False)
    assert found == {}
    text = "1 source file has changed since the recording began, so lines may not fit: new.py"
    assert notes == [{"level": "warning", "text": text}]
    assert page_of(tmp_path, [old], sources=False)[1] == []


def test_the_ones_with_most_memory_have_room(tmp_path: Path) -> None:
    files = [written(tmp_path / f"{n}.py", f"# {n}\n" + "x" * 90_000) for n in range(4)]
    found, notes = page_of(tmp_path, files, most=400_000)
    assert list(found) == [str(files[3]), str(files[2])]
    assert notes == [{"level": "note", "text": "there was no room for 2 source files"}]


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("a.py", "x", True),
        ("a.RS", "x", True),
        ("include/c++/12/vector", "x", True),
        ("tool", "#!/usr/bin/env python3\n", True),
        ("tool", "#!/bin/sh\n", False),
        ("id_rsa", "secret", False),
        (".env", "secret", False),
        ("a.py/", "", False),
        ("a.py", "", False),
        ("include/.git/config", "secret", False),
        ("a.py", "x" * (MOST_FILE_BYTES + 1), False),
    ],
)
def test_only_source_text(tmp_path: Path, name: str, text: str, shown: bool) -> None:
    """A recording may name any file, and a page is passed on."""
    path = tmp_path / name
    if name.endswith("/"):
        path.mkdir()
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert source_text(str(path)) == (text if shown else None)


@pytest.mark.parametrize(
    "name", ["", "<string>", "a.py", "/dev/zero.py", "/a\0.py", "/" + "x" * 999]
)
def test_names_of_no_file(name: str) -> None:
    assert source_text(name) is None


def test_names_that_lead_elsewhere(tmp_path: Path) -> None:
    """A recording's names are whatever its maker has written, and a link leads anywhere."""
    headers = tmp_path / "include" / "x"
    headers.mkdir(parents=True)
    (tmp_path / "id_rsa").write_text("secret")
    (tmp_path / "real.hpp").write_text("text")
    (headers / "key").symlink_to(tmp_path / "id_rsa")
    (headers / "key.py").symlink_to(tmp_path / "id_rsa")
    (headers / "vector").symlink_to(tmp_path / "real.hpp")
    (headers / "environ.py").symlink_to("/proc/self/environ")
    for name in ("../../id_rsa", "../../real.hpp", "key", "key.py", "environ.py"):
        assert source_text(f"{headers}/{name}") is None
    assert source_text(f"{headers}/vector") == "text"
    for name in ("/etc/passwd", "/proc/self/environ", "/sys/kernel/notes", "/dev/zero"):
        assert source_text(f"/usr/include/../..{name}") is None


def test_a_pipe_holds_up_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.py")
    assert source_text(str(tmp_path / "a.py")) is None


def test_files_of_native_code(tmp_path: Path) -> None:
    """The user's own, in whatever language; a library's only if it is Python's."""
    own, header = written(tmp_path / "src" / "a.cpp", "own"), written(tmp_path / "a.h", "std")
    library = written(tmp_path / "site-packages" / "b.py", "lib")
    make = Builder()
    make.process(1, "/home/u/app")
    make.thread()
    module = make.module(0, "/usr/lib/libx.so")
    program = make.module(0, "/home/u/app")
    frames = [make.native(program, 1), make.python("g", str(library), 3), make.native(module, 2)]
    make.symbol(frames[0], "run()", str(own), 1, Language.CPP)
    make.symbol(frames[2], "x()", str(header), 1, Language.CPP)
    make.slice(0, SECOND, {make.context(0, make.stack(*frames)): Change(1, 10)})
    make.finish(SECOND)
    with Recording.open(make.write(tmp_path / "a.tide")) as recording:
        header_, _, texts = decode(build(Profile(recording), sources=True).data)
    assert {texts[int(n)] for n in header_["sources"]} == {str(own), str(library)}
