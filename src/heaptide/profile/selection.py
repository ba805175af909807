"""Which part of a recording to look at: processes, threads, a range of time, code, sizes."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from heaptide._printable import shell_word
from heaptide.errors import UsageError
from heaptide.recording import SIZE_BOUNDS

from .actors import like_threads
from .modules import MODULE_CODE
from .threads import thread_name

if TYPE_CHECKING:
    from heaptide.recording import Recording

    from .profile import Profile

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Selection:
    """What to count. Everything given narrows it further; the default is the whole recording.

    A pattern is a part of the name, or ``/regex/``, found anywhere in it; both heed case. Thread
    patterns may be thread ids too, and one of them has to fit; of ``functions`` and ``modules``
    each must be in the stack, of ``without_functions`` and ``without_modules`` none may be.

    ``start`` and ``end`` are seconds since the recording's start. Figures are kept by slices of
    time: counted are the slices that the range touches, see ``Profile.time``. Of a range,
    *allocated*, *temporary* and the like are what happened within it, *alive* is at its end (where
    it has one of its own, without processes that had ended by then), and *at peak* at the highest
    moment in it that was kept.

    ``sizes``: first and last size class, rows of ``SIZE_BOUNDS`` (its length: larger ones). Kept
    are the stacks that asked for such a size; their allocations are counted exactly (calls that
    resized a block to it among them), all else is what these stacks did with blocks of any size.
    """

    processes: tuple[int, ...] | None = None  # rows; None: all
    start: float | None = None
    end: float | None = None
    threads: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    without_functions: tuple[str, ...] = ()
    without_modules: tuple[str, ...] = ()
    sizes: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        """Raises UsageError for a selection that makes no sense, whatever the recording."""
        if self.ranged and self.sizes is not None:
            raise UsageError(
                "sizes are not known by time: choose a size or a range of time, not both"
            )
        if self.end is not None and self.end <= (self.start or 0.0):
            raise UsageError(
                f"the range of time ends at {in_seconds(self.end)}, which is not behind its start: "
                "give a later end"
            )
        for pattern in (*self.threads, *self._code):
            _matcher(pattern)

    @property
    def _code(self) -> tuple[str, ...]:
        return self.functions + self.modules + self.without_functions + self.without_modules

    @property
    def ranged(self) -> bool:
        """Whether it is a part of the time."""
        return self.start is not None or self.end is not None

    @property
    def narrowed(self) -> bool:
        """Whether it leaves out some of the contexts of its processes."""
        return bool(self.threads or self._code or self.sizes is not None)


@dataclass(frozen=True)
class TimeRange:
    """Slices ``first`` to ``stop`` (exclusive), and the time that they cover, in nanoseconds."""

    first: int
    stop: int
    start: int
    end: int


def snap(recording: Recording, start: float | None, end: float | None) -> TimeRange:
    """The slices of time that ``start`` to ``end`` (seconds; None: open) touches: none where
    nothing changed.

    Raises UsageError where the range begins after the last slice.
    """
    slices = recording.slices
    if not len(slices):
        return TimeRange(0, 0, 0, 0)
    last = int(slices.end[-1])
    if start is None and end is None:
        return TimeRange(0, len(slices), int(slices.start[0]), last)
    begin = 0 if start is None else round(start * 1e9)
    until = last if end is None else round(end * 1e9)
    if begin >= last:
        raise UsageError(
            f"{recording.path} ends {in_seconds(last / 1e9)} after its start: nothing is in a "
            f"range that begins at {in_seconds(begin / 1e9)}; begin earlier"
        )
    first = int(np.searchsorted(slices.end, begin, side="right"))
    stop = max(int(np.searchsorted(slices.start, until, side="left")), first)
    if first == stop:  # nothing changed in it: no slice was written
        return TimeRange(first, stop, begin, max(until, begin))
    return TimeRange(first, stop, int(slices.start[first]), int(slices.end[stop - 1]))


def in_seconds(seconds: float) -> str:
    """A moment in words: ``0.25 s``, ``3,600 s``; below a millisecond in these."""
    if seconds >= 999.5:
        return f"{seconds:,.0f} s"
    if seconds >= 1e-3 or seconds <= 0:
        return f"{seconds:.3g} s"
    return f"{seconds * 1e3:.6f}".rstrip("0").rstrip(".") + " ms"


def size_class(size: int) -> int:
    """The number of the size class that blocks of ``size`` bytes are in."""
    return int(np.searchsorted(np.array(SIZE_BOUNDS), size, side="left"))


def size_words(first: int, last: int) -> str:
    """Classes ``first`` to ``last`` in words: ``33 to 64 bytes``."""
    low = SIZE_BOUNDS[first - 1] + 1 if first else 0
    if last >= len(SIZE_BOUNDS):
        return f"{low:,} bytes and more"
    return f"{low:,} to {SIZE_BOUNDS[last]:,} bytes"


def _matcher(pattern: str) -> Callable[[str], bool]:
    """Raises UsageError for a pattern that cannot be one."""
    if len(pattern) > 2 and pattern.startswith("/") and pattern.endswith("/"):
        try:
            with warnings.catch_warnings():  # of what a later Python will read otherwise
                warnings.simplefilter("ignore")
                found = re.compile(pattern[1:-1])
        except (re.error, OverflowError) as error:
            raise UsageError(f"{pattern} is no regular expression: {error}") from None
        except (RecursionError, MemoryError):
            raise UsageError(f"{pattern[:40]}… is too long for a regular expression") from None
        return lambda text: found.search(text) is not None
    if not pattern:
        raise UsageError("an empty pattern fits everything: give a part of the name, or /regex/")
    return lambda text: pattern in text


def matching(texts: Iterable[str], pattern: str) -> Bools:
    """Which of ``texts`` fit the pattern."""
    fits = _matcher(pattern)
    return np.fromiter((fits(text) for text in texts), np.bool_)


def chosen_contexts(profile: Profile) -> Bools | None:
    """True for the contexts that the profile's selection keeps; None: for all.

    Processes and the time are not looked at. Raises UsageError for a thread, function or module
    that the recording does not have: more likely a slip than a wish to see nothing.
    """
    selection, recording = profile.selection, profile.recording
    if not selection.narrowed:
        return None
    chosen = np.ones(len(recording.contexts), np.bool_)
    if selection.threads:
        chosen &= _in_threads(profile, selection.threads)
    for pattern in selection.functions:
        chosen &= with_location(profile, functions_like(profile, pattern))
    for pattern in selection.modules:
        chosen &= with_location(profile, _modules_like(profile, pattern))
    for pattern in selection.without_functions:
        chosen &= ~with_location(profile, functions_like(profile, pattern, required=False))
    for pattern in selection.without_modules:
        chosen &= ~with_location(profile, _modules_like(profile, pattern, required=False))
    if selection.sizes is not None:
        chosen &= sized(recording, selection.sizes) > 0
    return chosen


def sized(recording: Recording, classes: tuple[int, int]) -> Ints:
    """For each context the number of its calls that asked for a size of ``classes``."""
    table = recording.sizes
    counts = np.zeros(len(recording.contexts), np.int64)
    inside = table.counts[:, classes[0] : classes[1] + 1].sum(axis=1)
    np.add.at(counts, table.context, inside)
    return counts


def _in_threads(profile: Profile, patterns: tuple[str, ...]) -> Bools:
    """By their names, the system's and those that tables have (``runs quote``), and their ids."""
    recording = profile.recording
    threads = recording.threads
    names = [thread_name(recording, row) for row in range(len(threads))]
    # Figures depend on what is chosen: what a thread runs is told by all that it allocated.
    shown = like_threads(profile, recording.totals.bytes_in * recording.contexts.counted)
    wanted = np.zeros(len(threads) + 1, np.bool_)  # the last: a thread that is not known
    for pattern in patterns:
        found = matching(names, pattern) | matching(threads.name, pattern)
        found |= matching(shown.each, pattern)
        found |= matching(shown.names, pattern)[shown.group]
        if pattern.isdecimal():
            found |= threads.tid == int(pattern)
        if not found.any():
            _none("thread", pattern, recording, "--by thread")
        wanted[:-1] |= found
    return np.asarray(wanted[recording.contexts.thread])


def functions_like(profile: Profile, pattern: str, *, required: bool = True) -> Bools:
    """For each location whether its function fits the pattern.

    Where room is short Python's are shown without ``<locals>``: so they can be given, too; and
    code of modules by what imports it, see ``Profile.function_of``.
    """
    locations = profile.locations
    numbers, inverse = np.unique(locations.function, return_inverse=True)
    names = [locations.texts[n] for n in numbers]
    fits = matching(names, pattern)
    fits |= matching((name.replace(".<locals>", "") for name in names), pattern)
    found: Bools = fits[inverse]
    code = profile.module_code
    files = np.array(list(code), np.int64)[matching(code.values(), pattern)]
    found |= (locations.function == _number(locations.texts, MODULE_CODE)) & np.isin(
        locations.file, files
    )
    if required and not found.any():
        _none("function", pattern, profile.recording, "--by function --top 0")
    return found


def _modules_like(profile: Profile, pattern: str, *, required: bool = True) -> Bools:
    number, names = profile.modules
    found: Bools = matching(names, pattern)[number]
    if required and not found.any():
        _none("module", pattern, profile.recording, "--by module --top 0")
    return found


def _none(what: str, pattern: str, recording: Recording, see: str) -> None:
    raise UsageError(
        f"no {what} in {recording.path} fits {pattern!r}; "
        f"heaptide show {shell_word(recording.path)} {see} lists those there are"
    )


def with_location(profile: Profile, wanted: Bools) -> Bools:
    """For each context whether one of the ``wanted`` locations is in its stack."""
    node = profile.tree.nearest(wanted[profile.node_location])
    outside = profile.locations.outside_python  # which no stack has: it stands for the lack of one
    apart = profile.context_site == outside
    found: Bools = np.where(apart, wanted[outside], node[profile.context_node] >= 0)
    return found


def _number(texts: list[str], text: str) -> int:
    return texts.index(text) if text in texts else -1
