"""Profiles of DHAT, version 2: of Valgrind's, and of the crate dhat for Rust.

Program points with what they allocated in total, at the global maximum and at the end; with
Valgrind also how much of it was read and written. dh_view.html shows them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from heaptide.profile import COLUMNS, LEAK_COLUMNS, composed_at, stack_tree, summarize
from heaptide.profile.known import extra_metrics
from heaptide.recording import LIFETIME_TIME_BOUNDS_NS

from ._builder import Builder
from ._names import one_line
from ._places import Places

if TYPE_CHECKING:
    from ._export import Export
    from ._source import Source

Ints = npt.NDArray[np.int64]

_MOST: Final = 1 << 62
_MOST_FILE: Final = 512 << 20
_ALL = (*COLUMNS, *LEAK_COLUMNS, "sizes", "lifetimes", "threads")
_ALWAYS: Final = ("total_bytes", "allocations")
_WITH_LIVES: Final = (
    "peak_bytes",
    "peak_blocks",
    "alive_at_exit_bytes",
    "alive_at_exit_allocations",
)

# ------------------------------------------------------------------------------------ reading


def read(source: Source) -> Builder:
    document = _parsed(source)
    mode, verb = _text(source, document, "mode"), _text(source, document, "verb")
    heap = verb == "Allocated"
    lives, accesses = bool(document.get("bklt")), bool(document.get("bkacc"))
    rust = mode.startswith("rust-")
    title = "a profile of DHAT for Rust" if rust else "a profile of Valgrind's DHAT"
    known = {*(_ALWAYS if heap else ()), *(_WITH_LIVES if heap and lives else ())}
    builder = Builder("dhat", title, [name for name in _ALL if name not in known])
    builder.command = _text(source, document, "cmd").split()
    builder.exe = builder.command[0] if builder.command else ""
    pid = document.get("pid", 0)
    builder.pid = pid if _is_number(pid) else 0
    ns = _time_unit(source, document, builder)
    builder.end_ns = _figure(source, document, "te", "the end") * ns
    points = _Points(source, document, builder)
    points.read(lives=lives, accesses=accesses)
    columns, contexts = points.columns, points.contexts
    if not heap:
        units = document.get("bsu", "bytes")
        events = document.get("bksu", "blocks")
        shown = ("copied-bytes", "copies") if mode == "copy" else (str(units), str(events))
        what = "bytes copied by memcpy and the like" if mode == "copy" else str(units)
        builder.extra(shown[0], what, "bytes" if mode == "copy" else "", contexts, columns["tb"])
        builder.extra(shown[1], shown[1], "", contexts, columns["tbk"])
        return builder
    zero = np.zeros(len(contexts), np.int64)
    builder.totals(
        contexts,
        blocks=columns["tbk"],
        bytes=columns["tb"],
        live_blocks=columns.get("ebk", zero),
        live_bytes=columns.get("eb", zero),
        end_ns=builder.end_ns,
    )
    if lives:
        when = _figure(source, document, "tg", "the global maximum") * ns
        builder.peak(contexts, columns["gbk"], columns["gb"], when)
        unit = document.get("tu")
        builder.extra(
            "lifetime", f"lifetimes of all blocks, in {unit}", "", contexts, columns["tl"]
        )
        # Valgrind looks at it only while the whole heap is at a maximum: no maximum of the site's.
        words = "at the site's own maximum" if rust else "at the last maximum it had a part in"
        builder.extra("max", words, "bytes", contexts, columns["mb"])
        builder.extra("max-blocks", f"blocks {words}", "", contexts, columns["mbk"])
    if accesses:
        builder.extra("reads", "bytes read", "bytes", contexts, columns["rb"])
        builder.extra("writes", "bytes written", "bytes", contexts, columns["wb"])
    return builder


def _parsed(source: Source) -> dict[str, Any]:
    source.most = min(source.most, _MOST_FILE)
    text = source.whole()
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise source.malformed(error.msg, line=error.lineno) from None
    except (ValueError, RecursionError) as error:
        raise source.wrong(f"it is no JSON ({error})") from None
    if not isinstance(found, dict):
        raise source.wrong("it is no JSON object")
    version = found.get("dhatFileVersion")
    if version != 2:
        raise source.wrong(f"it has version {version!r} of DHAT's format, and 2 is the one known")
    return found


def _text(source: Source, document: dict[str, Any], key: str) -> str:
    found = document.get(key)
    if not isinstance(found, str):
        raise source.malformed_at(f"{key!r}", "it has to be a string")
    return found


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value < _MOST


def _figure(source: Source, document: dict[str, Any], key: str, what: str) -> int:
    found = document.get(key, 0)
    if not _is_number(found):
        raise source.malformed_at(f"{key!r}", f"the time of {what} has to be a whole number")
    return int(found) % (_MOST // 1000)


def _time_unit(source: Source, document: dict[str, Any], builder: Builder) -> int:
    """Nanoseconds in its unit of time, or 1 for units that are no time."""
    unit = _text(source, document, "tu")
    known = {"ns": 1, "µs": 1000, "us": 1000, "ms": 10**6, "s": 10**9}
    if unit in known:
        return known[unit]
    builder.lacks.add("time")
    builder.note(f"its time is in {unit}: a second on screens is 1,000,000,000 of them")
    return 1


class _Points:
    """The program points, a context each; those with one stack are one."""

    def __init__(self, source: Source, document: dict[str, Any], builder: Builder) -> None:
        self._source, self._builder = source, builder
        self._points = document.get("pps")
        table = document.get("ftbl")
        if not isinstance(self._points, list) or not isinstance(table, list):
            raise source.wrong("it has no 'pps' and 'ftbl'")
        if not all(isinstance(label, str) for label in table):
            raise source.malformed_at("'ftbl'", "each of its frames has to be a string")
        self._frames = [builder.place(label) for label in table]
        self.contexts: Ints = np.zeros(0, np.int64)
        self.columns: dict[str, Ints] = {}

    def read(self, *, lives: bool, accesses: bool) -> None:
        names = ["tb", "tbk"]
        names += ["tl", "mb", "mbk", "gb", "gbk", "eb", "ebk"] if lives else []
        names += ["rb", "wb"] if accesses else []
        rows: list[list[int]] = [[] for _ in names]
        contexts = []
        assert isinstance(self._points, list)
        for number, point in enumerate(self._points):
            if not isinstance(point, dict):
                raise self._malformed(number, "it has to be an object")
            contexts.append(self._context(number, point))
            for row, name in zip(rows, names):
                value = point.get(name)
                if type(value) is not int or not 0 <= value < _MOST:
                    raise self._malformed(number, f"{name!r} has to be a whole number")
                row.append(value)
            if "acc" in point:
                self._access(number, contexts[-1], point["acc"])
        for name, row in zip(names, rows):
            if sum(row) >= _MOST:
                raise self._source.malformed_at(f"{name!r}", "the sum is larger than any memory")
        self.contexts = np.array(contexts, np.int64)
        self.columns = {name: np.array(row, np.int64) for name, row in zip(names, rows)}

    def _malformed(self, number: int, reason: str) -> Exception:
        return self._source.malformed_at(f"program point {number}", reason)

    def _context(self, number: int, point: dict[str, Any]) -> int:
        stack = point.get("fs")
        count = len(self._frames)
        if not isinstance(stack, list) or not all(
            type(frame) is int and 0 <= frame < count for frame in stack
        ):
            raise self._malformed(number, "'fs' has to list rows of 'ftbl'")
        frames = [self._frames[frame] for frame in reversed(stack) if frame]
        return self._builder.context(self._builder.stack(frames))

    def _access(self, number: int, context: int, counts: object) -> None:
        """Counts of each byte; ``-n, v`` stands for n times v."""
        if not isinstance(counts, list) or not all(
            type(count) is int and abs(count) < _MOST for count in counts
        ):
            raise self._malformed(number, "'acc' has to list whole numbers")
        runs: list[tuple[int, int]] = []
        repeat = 1
        for count in counts:
            if count < 0:
                repeat = -count
            else:
                runs.append((repeat, count))
                repeat = 1
        self._builder.access(context, runs)


# ------------------------------------------------------------------------------------ writing

_SHORT_US, _SHORT_INSTRUCTIONS = 10, 500  # what dhat for Rust, and Valgrind, take for short-lived


def write(export: Export) -> list[str]:
    """Program points are stacks of places: two that look the same are one, as viewers demand."""
    if "total_bytes" in export.unknown:
        return _write_other_mode(export)
    extras = {name: export.profile.extra(name)[:, 0] for name in _extra_names(export)}
    lives = not export.unknown & {"peak_bytes", "alive_at_exit_bytes"}
    accesses = {"reads", "writes"} <= set(extras)
    document: dict[str, Any] = {
        "dhatFileVersion": 2,
        "mode": "heap",
        "verb": "Allocated",
        "bklt": lives,
        "bkacc": accesses,
        "cmd": " ".join(export.command),
        "pid": export.pid,
    }
    # What came from Valgrind is in instructions, a nanosecond each; lifetimes too.
    instructions = "time" in export.unknown
    ns = 1 if instructions else 1000
    document["tu"], document["Mtu"] = ("instrs", "Minstr") if instructions else ("µs", "s")
    document["te"] = export.recording.summary.duration_ns // ns
    if lives:
        document["tuth"] = _SHORT_INSTRUCTIONS if instructions else _SHORT_US
        document["tg"] = composed_at(export.profile, summarize(export.profile)) // ns
    figures = _figures(export, extras, lives=lives, accesses=accesses)
    document["pps"], document["ftbl"] = _points(export, figures)
    with export.path.open("x", encoding="utf-8", errors="backslashreplace") as file:
        json.dump(document, file, ensure_ascii=False, separators=(",", ":"))
    said = ["DHAT carries totals, the peak and the end by stack: threads and time are left out"]
    if lives and "lifetime" not in extras:
        said.append(
            "lifetimes in it are estimates, and a site's maximum is the larger of what it had at "
            "the peak and at the end"
        )
    return said


def _write_other_mode(export: Export) -> list[str]:
    """What DHAT made of copies, or of events that the program told it of: back as it was."""
    known = extra_metrics(export.recording)
    if export.recording.source.get("format") != "dhat" or len(known) < 2:
        export.need("DHAT", "total_bytes")
    copies = known[0].name == "copied-bytes"
    figures = {
        name: export.profile.extra(one.name)[:, 0] for name, one in zip(("tb", "tbk"), known)
    }
    document: dict[str, Any] = {
        "dhatFileVersion": 2,
        "mode": "copy" if copies else "ad-hoc",
        "verb": "Copied" if copies else "Occurred",
        "bklt": False,
        "bkacc": False,
    }
    if not copies:
        document.update(
            {"bu": known[0].name.rstrip("s"), "bsu": known[0].name, "bksu": known[1].name}
        )
    document.update({"tu": "instrs", "Mtu": "Minstr", "cmd": " ".join(export.command)})
    document.update({"pid": export.pid, "te": export.recording.summary.duration_ns})
    document["pps"], document["ftbl"] = _points(export, figures)
    with export.path.open("x", encoding="utf-8", errors="backslashreplace") as file:
        json.dump(document, file, ensure_ascii=False, separators=(",", ":"))
    return []


def _extra_names(export: Export) -> list[str]:
    wanted = {"lifetime", "max", "max-blocks", "reads", "writes"}
    return [one.name for one in extra_metrics(export.recording) if one.name in wanted]


def _figures(
    export: Export, extras: dict[str, Ints], *, lives: bool, accesses: bool
) -> dict[str, Ints]:
    """Columns of program points, for each context, by their names in the file."""
    # A reallocation counts as an allocation there too.
    found = {
        "tb": export.column("total_bytes"),
        "tbk": export.column("allocations") + export.column("reallocations"),
    }
    if lives:
        peak, alive = export.column("peak_bytes"), export.column("alive_at_exit_bytes")
        peak_blocks = export.column("peak_blocks")
        alive_blocks = export.column("alive_at_exit_allocations")
        lifetime = extras["lifetime"] if "lifetime" in extras else _lifetimes(export)
        found["tl"] = lifetime
        found["mb"] = extras.get("max", np.maximum(peak, alive))
        found["mbk"] = extras.get("max-blocks", np.maximum(peak_blocks, alive_blocks))
        found["gb"], found["gbk"] = peak, peak_blocks
        found["eb"], found["ebk"] = alive, alive_blocks
    if accesses:
        found["rb"], found["wb"] = extras["reads"], extras["writes"]
    return found


def _lifetimes(export: Export) -> Ints:
    """Of all blocks together, in microseconds; estimates: of freed ones each at the (logarithmic)
    middle of its class, of those alive at the end from the middle of the span they were born in."""
    recording, time = export.recording, export.profile.time
    bounds = np.array((*LIFETIME_TIME_BOUNDS_NS, LIFETIME_TIME_BOUNDS_NS[-1] * 10), float)
    found = np.zeros(len(recording.contexts))
    table = recording.lifetimes
    np.add.at(found, table.context, table.by_time @ (bounds / np.sqrt(10.0)))
    if time is not None:
        freed = recording.totals.blocks_out
        within = recording.totals_between(time.first, time.stop).blocks_out
        found *= np.divide(within, freed, out=np.zeros(len(found)), where=freed > 0)
    end = float(recording.summary.duration_ns)
    alive = export.column("alive_at_exit_allocations").astype(float)
    births = recording.births
    if len(births) and time is None:
        edges = np.append(0, births.times)
        age = end - (edges[:-1] + edges[1:]) / 2
        last = births.died == len(births.times)
        held = np.zeros(len(found))
        np.add.at(held, births.context[last], births.blocks[last] * age[births.born[last]])
        found += held * (alive > 0)
    else:
        found += alive * end / 2
    blocks = export.column("allocations") + export.column("reallocations")
    longest: Ints = (np.minimum(found, blocks * end) / 1000).astype(np.int64)
    return longest * export.profile.figures.any(axis=1)


def _points(export: Export, figures: dict[str, Ints]) -> tuple[list[dict[str, Any]], list[str]]:
    """The program points and the table of frames."""
    columns = np.stack(list(figures.values()), axis=1)
    tree = stack_tree(export.profile, "place", figures=columns)
    places = Places(export)
    own, depth, location = tree.own.tolist(), tree.depth.tolist(), tree.location.tolist()
    path: list[int] = []
    found: dict[tuple[int, ...], dict[str, Any]] = {}
    for node in range(len(tree)):
        if node:
            del path[depth[node] - 1 :]
            path.append(places.number(location[node]))
        if any(own[node]):
            found[tuple(path)] = dict(zip(figures, own[node]))
    for key, counts in _accesses(export, places).items():
        if key in found and "rb" in figures:
            found[key]["acc"] = counts
    frames = ["[root]", *places.rows(_label)]
    nowhere = len(frames)
    if () in found:
        frames.append(f"0x0: {_NOWHERE}")
    for key, point in found.items():
        point["fs"] = [number + 1 for number in reversed(key)] if key else [nowhere]
    return list(found.values()), frames


def _label(name: str, file: str, line: int, column: int) -> str:
    """A frame as Valgrind writes it, and the crate dhat, which knows columns. Python's places have
    no address: none is told."""
    where = file
    if line:
        where = f"{file}:{line}:{column}" if column else f"{file}:{line}"
    elif file:
        where = f"in {file}"
    return one_line(f"0x0: {name} ({where})" if where else f"0x0: {name}")


def _accesses(export: Export, places: Places) -> dict[tuple[int, ...], list[int]]:
    """Counts of accesses as the format has them, by the places of the stack, outermost first; of
    stacks that are no more than one context's."""
    profile, table = export.profile, export.recording.accesses
    runs: dict[int, list[int]] = {}
    for context, run, count in zip(
        table.context.tolist(), table.run.tolist(), table.count.tolist()
    ):
        runs.setdefault(context, []).extend([count] if run == 1 else [-run, count])
    found: dict[tuple[int, ...], list[int]] = {}
    seen: set[tuple[int, ...]] = set()
    parent = profile.tree.parent
    for context, counts in runs.items():
        key = []
        node = int(profile.context_node[context])
        while node >= 0:
            key.append(places.number(int(profile.node_location[node])))
            node = int(parent[node])
        path = tuple(reversed(key))
        if path in seen:
            found.pop(path, None)
        else:
            found[path] = counts
        seen.add(path)
    return found


_NOWHERE: Final = "[unknown]"
