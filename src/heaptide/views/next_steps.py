"""What to try next with a recording: commands to copy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from heaptide._printable import shell_word
from heaptide.profile import heaviest, unknown

from .console import display_path, print_section

if TYPE_CHECKING:
    from heaptide.profile import Profile, Summary

    from .console import Screen

_MOST = 4
_LONG = 2.0  # seconds; of less there are few moments to tell apart


def print_next(screen: Screen, profile: Profile, summary: Summary, *, grown: bool) -> None:
    """Commands worth trying on this very recording. ``grown``: the verdict was that it leaks."""
    path = shell_word(display_path(profile.recording.path))
    base = f"heaptide show {path}"
    tries = [
        (f"heaptide open {path}", "in the browser: time, flame graph, source"),
        (f"{base} --tree callees --own", "what of your code calls what"),
    ]
    if profile.recording.symbols is None:
        tries.insert(0, (f"heaptide symbolize {path}", "find the names of functions"))
    if summary.processes > 1 and profile.processes is None:
        row = heaviest(profile.recording, range(len(profile.recording.processes)))
        pid = int(profile.recording.processes.pid[row])
        tries.append((f"{base} --process {pid}", "the largest process by itself"))
    lacking = unknown(profile.recording)
    if (summary.temporary_share or 0.0) >= 0.25:
        tries.append((f"{base} --metric temporary", "who makes the temporary ones"))
    if summary.copied_bytes > summary.total_bytes // 10:
        tries.append((f"{base} --metric copied", "who grows blocks by reallocation"))
    if grown:
        tries.insert(1, (f"{base} --metric leaked --by line", "what keeps growing after warm-up"))
    if summary.duration_seconds >= _LONG and len(profile.recording.births):
        tries.insert(1 + grown, (f"{base} --metric kept --by line", "what came since, and stayed"))
    tries.append((f"{base} --by line", "the same by line"))
    if not lacking & {"total_bytes", "peak_bytes"}:
        tries.append((f"{base} --metric total", "who allocates the most over time"))
    tries.append((f"{base} --json", "all of it, for a program"))
    tries = tries[:_MOST]
    print_section(screen, "Next")
    width = max(len(command) for command, _ in tries)
    beside = width + 4 + max(len(why) for _, why in tries) <= screen.width
    for command, why in tries:
        line = Text(f"  {command}")
        if beside:
            line.append(f"{' ' * (width - len(command))}  {why}", "dim")
        else:
            screen.line(Text(f"  {why}:", "dim"))
            line = Text(f"    {command}")
        # A command that is too long is left whole: it is there to be copied.
        screen.console.print(line, no_wrap=True, overflow="ignore", crop=False)
