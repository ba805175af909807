"""A git revision of the project that we are in, checked out beside it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from heaptide.errors import HeaptideError, UsageError

from ._failing import ended, said
from ._process import Stream, run_once


@dataclass(frozen=True)
class Tree:
    """``cwd``: the directory in it that is ours in the working tree; ``commit``: its whole name."""

    cwd: Path
    commit: str


@contextlib.contextmanager
def checked_out(revision: str, here: Path) -> Iterator[Tree]:
    """A worktree of ``revision`` in a temporary directory, gone again behind it.

    Raises UsageError: no repository, or no such revision; HeaptideError: git cannot check it out.
    """
    if revision.startswith("-"):
        raise UsageError(f"--base-rev {revision}: that is no revision")
    inside = Path(_asked(here, "rev-parse", "--show-prefix"))
    try:
        commit = _asked(here, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    except HeaptideError:
        raise UsageError(
            f"--base-rev {revision}: git knows no such revision here; fetch it, or name another"
        ) from None
    with tempfile.TemporaryDirectory(prefix="heaptide-bench-") as directory:
        tree = Path(directory).resolve() / "base"
        try:
            # Hooks are for people's trees.
            _asked(
                here,
                *("-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false"),
                *("worktree", "add", "--quiet", "--detach", str(tree), commit),
            )
            if not (tree / inside).is_dir():
                raise UsageError(
                    f"--base-rev {revision}: the directory {inside} is not in it; "
                    "start from one that is in both"
                )
            yield Tree(tree / inside, commit)
        finally:
            _remove(here, tree)


def set_up(
    command: str,
    trees: Iterable[tuple[str, Path]],
    *,
    env: Mapping[str, str],
    output: Stream = subprocess.DEVNULL,
    show: bool = False,
) -> None:
    """Has a shell run ``command`` in each of ``trees``, directories with a name for messages.

    ``output``, ``show``: as in a ``Plan``. Raises HeaptideError: it has failed.
    """
    for name, cwd in trees:
        with tempfile.TemporaryFile() as file:
            out, errors = (output, None) if show else (file, file)
            words = ["/bin/sh", "-c", command]
            took = run_once(words, cwd=cwd, env=env, out=out, err=errors)
            if took.status:
                raise HeaptideError(f"{name}: --setup {ended(took.status)}{said(errors)}; mend it")


def _remove(here: Path, tree: Path) -> None:
    with contextlib.suppress(HeaptideError):
        _asked(here, "worktree", "remove", "--force", "--force", str(tree))
    shutil.rmtree(tree, ignore_errors=True)
    with contextlib.suppress(HeaptideError):
        _asked(here, "worktree", "prune")


def _asked(here: Path, *words: str) -> str:
    """What git says, without the end of its line. Raises HeaptideError, with git's reason."""
    # Within a hook this names the index of the tree that is ours; a worktree has its own.
    env = {name: value for name, value in os.environ.items() if name != "GIT_INDEX_FILE"}
    try:
        done = subprocess.run(
            ["git", *words],
            cwd=here,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except OSError as error:
        raise HeaptideError(
            f"git cannot be started: {error.strerror}; --base-rev needs it"
        ) from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        reason = lines[-1].removeprefix("fatal: ") if lines else f"status {done.returncode}"
        raise HeaptideError(f"--base-rev: git: {reason}")
    return done.stdout.decode("utf-8", "surrogateescape").rstrip("\n")
