"""What a person should know before comparing two recordings, a line each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import units

if TYPE_CHECKING:
    from heaptide.profile import Summary
    from heaptide.recording import Recording

_FACTOR = 1.25  # beyond that, what adds up over time says little
_LONG_SECONDS = 1.0  # shorter runs differ by as much for no reason

# Settings that decide what is recorded at all, and how they are called.
_SETTINGS = {
    "python_objects": "Python objects",
    "native": "native frames",
    "usable_size": "usable sizes",
}


def caveats(
    recordings: tuple[Recording, Recording], summaries: tuple[Summary, Summary]
) -> list[str]:
    """Reasons why figures of the two may differ although the program did the same."""
    found = []
    configs = [_config(recording) for recording in recordings]
    for name, words in _SETTINGS.items():
        values = [config.get(name) for config in configs]
        if None not in values and values[0] != values[1]:
            found.append(
                f"they were recorded differently ({words}: {_said(values[0])}, then "
                f"{_said(values[1])}): record both in the same way"
            )
    intervals = [recording.sample_interval for recording in recordings]
    if intervals[0] != intervals[1]:
        said = [units.binary_size(n) if n else "every allocation" for n in intervals]
        found.append(
            f"one is sampled differently ({said[0]}, then {said[1]}): samples are estimates, "
            "counts of temporary allocations are not comparable"
        )
    old, new = (summary.duration_seconds for summary in summaries)
    long = max(old, new) >= _LONG_SECONDS
    if long and old > 0 and new > 0 and not 1 / _FACTOR <= new / old <= _FACTOR:
        longer = f"{new / old:.1f} times as long" if new > old else f"{new / old:.2f} of the time"
        found.append(
            f"the new run took {longer}: compare what is alive and the peak; what adds up over "
            "time is larger or smaller by that alone"
        )
    for recording in recordings:
        if not recording.finished or recording.truncated_at is not None:
            found.append(f"{recording.path} is not complete: its figures are too low")
    return found


def _config(recording: Recording) -> dict[str, Any]:
    config = recording.meta.get("config")
    return config if isinstance(config, dict) else {}


def _said(value: object) -> str:
    return (
        {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)
    )
