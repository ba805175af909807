"""A revision beside the working tree."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from heaptide.bench import checked_out, set_up
from heaptide.errors import HeaptideError, UsageError

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")

IDENTITY = ("-c", "user.name=n", "-c", "user.email=n@example.org", "-c", "commit.gpgsign=false")


def git(cwd: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", *IDENTITY, *words], cwd=cwd, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits, and a change that is not committed, of a file in a directory."""
    root = tmp_path / "project"
    (root / "app").mkdir(parents=True)
    git(root, "init", "-q")
    for text in ("one", "two"):
        (root / "app" / "version").write_text(text)
        git(root, "add", ".")
        git(root, "commit", "-q", "-m", text)
    (root / "app" / "version").write_text("three")
    return root


@pytest.mark.parametrize(("revision", "version"), [("HEAD", "two"), ("HEAD~1", "one")])
def test_the_same_directory_of_another_revision(
    repository: Path, revision: str, version: str
) -> None:
    with checked_out(revision, repository / "app") as tree:
        assert (tree.cwd / "version").read_text() == version
        assert tree.commit == git(repository, "rev-parse", revision)
        assert tree.cwd.name == "app"
    assert not tree.cwd.exists()
    assert (repository / "app" / "version").read_text() == "three"
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_it_goes_whatever_happens(repository: Path) -> None:
    with pytest.raises(KeyboardInterrupt), checked_out("HEAD", repository) as tree:
        (tree.cwd / "built").write_text("and not committed")
        raise KeyboardInterrupt
    assert not tree.cwd.parent.exists()
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_hooks_of_people_do_not_run(repository: Path) -> None:
    hook = repository / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ntouch ran\nexit 1\n")
    hook.chmod(0o755)
    with checked_out("HEAD", repository) as tree:
        assert not (tree.cwd / "ran").exists()


def test_within_a_hook(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is staged stays staged."""
    git(repository, "add", ".")
    before = git(repository, "diff", "--cached")
    monkeypatch.setenv("GIT_INDEX_FILE", str(repository / ".git" / "index"))
    with checked_out("HEAD~1", repository):
        pass
    assert git(repository, "diff", "--cached") == before != ""


@pytest.mark.parametrize(
    ("revision", "words"),
    [
        ("nothing-like-it", "git knows no such revision"),
        ("HEAD:app/version", "git knows no such revision"),
        ("", "git knows no such revision"),
        ("--help", "no revision"),
    ],
)
def test_revisions_that_are_none(repository: Path, revision: str, words: str) -> None:
    with pytest.raises(UsageError, match=words), checked_out(revision, repository):
        pass


def test_a_directory_that_is_new(repository: Path) -> None:
    (repository / "new").mkdir()
    with pytest.raises(UsageError, match="the directory new is not in it"):
        with checked_out("HEAD", repository / "new"):
            pass
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_no_repository(tmp_path: Path) -> None:
    with pytest.raises(HeaptideError, match="--base-rev: git: "), checked_out("HEAD", tmp_path):
        pass


def test_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HeaptideError, match="git cannot be started"):
        with checked_out("HEAD", tmp_path):
            pass


def test_setting_up(tmp_path: Path) -> None:
    trees = []
    for name in ("base", "new"):
        (tmp_path / name).mkdir()
        trees.append((name, tmp_path / name))
    set_up('echo "$WORD" > built', trees, env={**os.environ, "WORD": "a"})
    assert [(path / "built").read_text() for _, path in trees] == ["a\n"] * 2
    command = "echo why; case $PWD in */new) exit 3;; esac"
    with pytest.raises(HeaptideError, match="new: --setup ended with status 3: why"):
        set_up(command, trees, env=dict(os.environ))
