"""What workers of one service leave for whichever of them is asked: a file each, in one folder.

The folder is that of prometheus-client's multi-process mode, whose own files end in ``.db``. A file
is named after its process: id, start, and the namespace that the id is of. Processes of another
namespace, such as another container with the same folder, are none of ours.

A file is written in place, with a checksum for whoever reads it meanwhile: on a disk a new file in
its place takes a scrape a millisecond more.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import time
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heaptide._procfs import Procfs
from heaptide.errors import HeaptideError

from ._figures import FIGURES, Sample
from ._files import BROKEN, read_regular, write_regular

_FORMAT = 1  # workers of two versions of heaptide may share a folder while one replaces the other
_FILE = re.compile(r"heaptide_(\d+)_(\d+)_(\d+)\.json")
_HEAD = 16  # digits: checksum and length of what follows; behind it may be the rest of more
_TRIES = 5
_AGES = ("allocator.age",)  # figures that grow while a file lies there


@dataclass(frozen=True)
class Worker:
    """A process, and no later one of the same id. ``started``: in ticks."""

    pid: int
    started: int


@dataclass(frozen=True)
class Left:
    """What a worker left: as old as its file, but for ages, which are those of now."""

    worker: Worker
    samples: list[Sample]


class Folder:
    """May be used by any number of processes and threads; whoever writes is the only one that
    writes for its process."""

    def __init__(
        self,
        path: Path,
        procfs: Procfs | None = None,
        clock: Callable[[], float] = time.monotonic,  # of the whole machine
    ) -> None:
        """Raises HeaptideError: there is no such folder, or it may not be written."""
        # (Path.is_dir raises where a folder above may not be entered.)
        if not (os.path.isdir(path) and os.access(path, os.W_OK | os.X_OK)):  # noqa: PTH112
            raise HeaptideError(
                f"{path} is no folder that can be written: make it before the service starts, or "
                "unset PROMETHEUS_MULTIPROC_DIR"
            )
        self.path = path
        self._procfs, self._clock = procfs or Procfs(), clock
        self.namespace = _namespace()

    def me(self) -> Worker | None:
        """This process. None: /proc does not tell, or numbers processes otherwise."""
        return self._running(os.getpid()) if self._procfs.here() else None

    def write(self, worker: Worker, samples: Iterable[Sample]) -> None:
        """In place of what it left before. Raises OSError."""
        content = {
            "format": _FORMAT,
            "time": self._clock(),
            "samples": [[one.figure.key, list(one.labels), one.value] for one in samples],
        }
        text = json.dumps(content).encode()
        write_regular(self._file(worker), b"%08x%08x" % (zlib.crc32(text), len(text)) + text)

    def remove(self, worker: Worker) -> None:
        with contextlib.suppress(OSError):
            self._file(worker).unlink()

    def read(self) -> list[Left]:
        """Of all workers that are alive, by their ids; files of those that are not are removed."""
        found = []
        for name in self._names():
            match = _FILE.fullmatch(name)
            if match is None or int(match[3]) != self.namespace:
                continue
            worker = Worker(int(match[1]), int(match[2]))
            if self._running(worker.pid) != worker:
                self._clear(self.path / name)
            else:
                samples = self._samples(self.path / name)
                if samples is not None:
                    found.append(Left(worker, samples))
        return sorted(found, key=lambda one: one.worker.pid)

    def _names(self) -> list[str]:
        """None if the folder has gone, or may not be read any more."""
        try:
            return sorted(os.listdir(self.path))  # noqa: PTH208 (half the time)
        except OSError:
            return []

    def _clear(self, path: Path) -> None:
        """Not what another user has left: /proc may hide whether that one is alive."""
        with contextlib.suppress(OSError):
            if os.geteuid() in (0, path.lstat().st_uid):
                path.unlink()

    def _samples(self, path: Path) -> list[Sample] | None:
        """None: it has gone, or another version of heaptide wrote it."""
        try:
            content = json.loads(_whole(path))
            if content["format"] != _FORMAT:
                return None
            age = max(self._clock() - finite(content["time"]), 0.0)
            return [_aged(one, age) for one in _parse(content["samples"])]
        except BROKEN:
            return None

    def _running(self, pid: int) -> Worker | None:
        try:
            process = self._procfs.process(pid)
        except HeaptideError:
            return None
        return None if process is None or process.dead else Worker(pid, process.started)

    def _file(self, worker: Worker) -> Path:
        return self.path / f"heaptide_{worker.pid}_{worker.started}_{self.namespace}.json"


def _whole(path: Path) -> bytes:
    """Raises OSError, and ValueError: it is not whole."""
    for _ in range(_TRIES):
        raw = read_regular(path)
        text = raw[_HEAD : _HEAD + int(raw[8:_HEAD], 16)]
        if zlib.crc32(text) == int(raw[:8], 16):
            return text
    raise ValueError(path)


def _parse(rows: Iterable[Any]) -> Iterable[Sample]:
    for key, labels, value in rows:
        figure = FIGURES.get(key)
        if figure is not None and len(labels) == len(figure.labels):
            words = tuple(map(str, labels))
            "".join(words).encode()  # raises ValueError: it is no text
            yield Sample(figure, finite(value), words)


def finite(value: Any) -> float:
    """Raises TypeError, ValueError, OverflowError: it is no number, or none that can be told."""
    number = float(value)
    if isinstance(value, str) or not math.isfinite(number):
        raise ValueError(value)
    return number


def _aged(sample: Sample, age: float) -> Sample:
    return sample._replace(value=sample.value + age) if sample.figure.key in _AGES else sample


def _namespace() -> int:
    """0: the kernel does not tell."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116 (no path, but a name of the kernel)
    except OSError:
        return 0
