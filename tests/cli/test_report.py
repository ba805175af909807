"""``heaptide report``: where the page goes, and what is said about it."""

from __future__ import annotations

import base64
import re
import resource
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.recording.make import SECOND, Builder, Change, example
from tests.support.refusals import refused

from heaptide.views.page import html
from heaptide.views.page.blob import decode

from .conftest import HEAPTIDE, Result


def report(*words: Any, **more: Any) -> Result:
    command = [*HEAPTIDE, "report", *words]
    result: Result = subprocess.run(command, capture_output=True, **more)
    return result


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def data_of(page: bytes) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    found = re.search(rb'id="heaptide-data">([^<]*)<', page)
    assert found
    return decode(base64.b64decode(found[1]))


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return Path(example().write(tmp_path / "app.tide"))


def test_beside_the_recording(recording: Path) -> None:
    """One line says where the page is, how large, and how to look at it."""
    done = report(recording)
    assert (done.returncode, done.stdout) == (0, b"")
    path = recording.with_suffix(".html")
    text = done.stderr.decode()
    assert text.count("\n") == 1 and "\x1b" not in text
    assert str(path) in text and f"xdg-open {path}" in text
    header, columns, _ = data_of(path.read_bytes())
    assert header["summary"]["total_bytes"] == int(columns["change.bytes_in"].sum()) == 3300
    assert names(recording.parent) == ["app.html", "app.tide"]


def test_a_name_without_ending(recording: Path) -> None:
    other = recording.rename(recording.with_name("app.1.2"))
    assert report("-q", other).stderr == b""
    assert other.with_name("app.1.2.html").exists()


def test_to_standard_output(recording: Path) -> None:
    done = report(recording, "-o", "-")
    assert done.stderr == b""
    assert done.stdout.startswith(b"<!DOCTYPE html>")
    assert data_of(done.stdout)[0]["title"] == "python3 app.py"
    assert names(recording.parent) == ["app.tide"]
    refused(report(recording, "-o", "-", "--open"), 2, "--open")


def test_standard_output_that_is_closed(recording: Path) -> None:
    command = " ".join([*HEAPTIDE, "report", str(recording), "-o", "-", ">&-"])
    done = subprocess.run(["sh", "-c", command], capture_output=True)
    refused(done, 1, "closed")


def test_an_old_page_stays(recording: Path) -> None:
    """Without --force, and if the new one cannot be written whole."""
    page = recording.with_suffix(".html")
    page.write_text("old")
    refused(report(recording), 1, str(page), "--force")

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    refused(report(recording, "--force", preexec_fn=small_files), 1, str(page), "too large")
    assert page.read_text() == "old"
    assert names(recording.parent) == ["app.html", "app.tide"]
    assert report(recording, "-f", "-q").returncode == 0
    assert data_of(page.read_bytes())[0]["title"] == "python3 app.py"


def test_never_over_a_recording(recording: Path) -> None:
    before = recording.read_bytes()
    other = Path(shutil.copy(recording, recording.with_name("other.html")))
    link = recording.with_name("link.html")
    link.symlink_to(recording)
    for path in (recording, link, other):
        refused(report(recording, "-f", "-o", path), 1, str(path), "is a recording")
        assert path.read_bytes() == before


def test_full_disk(recording: Path) -> None:
    refused(report(recording, "-o", "/dev/full"), 1, "/dev/full cannot be written: No space left")


@pytest.mark.parametrize(
    ("output", "part"),
    [
        ("/", "is a directory"),
        ("/nowhere/a.html", "is not a directory"),
        ("/etc/passwd/a.html", "cannot be written"),
        ("x" * 300, "cannot be written"),
    ],
)
def test_places_that_cannot_be(recording: Path, output: str, part: str) -> None:
    refused(report(recording, "-o", output), 1, part, "-o")


def test_what_is_no_recording(tmp_path: Path, recording: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("text")
    refused(report(text), 1, "of no format that is known")
    refused(report(tmp_path / "b.tide"), 1, "does not exist")
    refused(report(recording, "--base", text), 1, "of no format that is known")
    refused(report(recording, "--process", "1"), 2, "4711")
    assert names(tmp_path) == ["a.txt", "app.tide"]


def test_what_was_folded_is_said(tmp_path: Path) -> None:
    """On stderr, and on the page, with every byte still there."""
    build = Builder()
    build.process()
    build.thread()
    changes = {}
    for number in range(5000):
        frames = [build.python(f"f{number * k % 1009}", "/home/u/a.py", k) for k in (1, 2, 3)]
        changes[build.context(0, build.stack(*frames))] = Change(1, 1 + number * 7919 % 10_007)
    build.slice(0, SECOND, changes)
    build.finish(SECOND)
    path = build.write(tmp_path / "a.tide")
    bundle = html.overhead()
    limit = bundle + (len(report(path, "-o", "-").stdout) - bundle) * 6 // 10
    done = report(path, "--max-size", str(limit), "-o", "-")
    assert len(done.stdout) <= limit
    header, columns, texts = data_of(done.stdout)
    assert header["folded"] and "[folded]" in texts
    assert header["folded"][-1] in done.stderr.decode()
    assert int(columns["change.bytes_in"].sum()) == sum(c.bytes_in for c in changes.values())
    tiny = report(path, "--max-size", "1000", "-o", "-")
    assert b"cannot be made smaller than" in tiny.stderr
    assert int(data_of(tiny.stdout)[1]["change.blocks_in"].sum()) == len(changes)


def test_a_difference(recording: Path, tmp_path: Path) -> None:
    header, columns, _ = data_of(report(recording, "--base", recording, "-o", "-").stdout)
    assert header["diff"]["title"] == "python3 app.py"
    for side in ("", "base."):
        assert int(columns[f"{side}change.bytes_in"].sum()) == 3300


def test_sources(tmp_path: Path) -> None:
    source = tmp_path / "app.py"
    source.write_text("x = 1\n")
    build = Builder()
    build.process()
    build.thread()
    context = build.context(0, build.stack(build.python("f", str(source), 1)))
    build.slice(0, SECOND, {context: Change(1, 10)})
    build.finish(SECOND)
    path = build.write(tmp_path / "a.tide")
    header, _, texts = data_of(report(path, "--source", "-o", "-").stdout)
    assert {texts[int(n)]: text for n, text in header["sources"].items()} == {
        str(source): "x = 1\n"
    }
    assert data_of(report(path, "-o", "-").stdout)[0]["sources"] == {}


def test_help() -> None:
    text = report("--help").stdout.decode()
    assert text.startswith("Usage: heaptide report")
    assert max(map(len, text.splitlines())) <= 80


def test_a_page_that_is_written_again(recording: Path, tmp_path: Path) -> None:
    """Its mode stays, for there may be source in it, and a link to it stays one."""
    page, link = tmp_path / "page.html", tmp_path / "link.html"
    page.write_text("old")
    page.chmod(0o600)
    link.symlink_to(page)
    assert report("-q", "-f", "-o", link, recording).returncode == 0
    assert link.is_symlink()
    assert page.stat().st_mode & 0o777 == 0o600
    assert page.read_bytes().startswith(b"<!DOCTYPE html>")
    new = tmp_path / "dangling.html"
    link.unlink()
    link.symlink_to(new)
    assert report("-q", "-o", link, recording).returncode == 0
    assert link.is_symlink() and new.exists()
    assert names(tmp_path) == ["app.tide", "dangling.html", "link.html", "page.html"]
