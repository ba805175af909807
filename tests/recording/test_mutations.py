"""Recordings with hostile content under right checksums: shown, or refused in one line.

``scripts/fuzz`` does the same for longer, guided by coverage; what it finds gets a test here.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from heaptide.errors import HeaptideError, RecordingError
from heaptide.recording import Kind, Recording, Writer
from tests.recording import make
from tests.recording.mutate import joined, mutated, parted, random_change
from tests.recording.reading import SHOWN, read_all, shown

ROUNDS = 150

FOUND = sorted((Path(__file__).parent / "data" / "found").glob("*.tide"))
"""Inputs by which the fuzzer has broken the reader."""


def write(path: Path, data: bytes) -> Path:
    path.unlink(missing_ok=True)  # writing to a file that is mapped is slow
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.stem)
def test_what_the_fuzzer_found(path: Path) -> None:
    for options in SHOWN:
        try:
            shown(path, *options)
        except HeaptideError as error:
            assert error.message.isprintable()


@pytest.mark.parametrize("level", [None, 3])
def test_mutated_recordings(tmp_path: Path, level: int | None) -> None:
    data = Path(make.example().write(tmp_path / "seed.tide", level=level)).read_bytes()
    path = tmp_path / "changed.tide"
    opened = 0
    for seed in range(ROUNDS):
        chance = random.Random(seed)
        write(path, mutated(data, seed, random_change(chance)))
        for options in (None, (), ("--json",), chance.choice(SHOWN)):
            try:
                if options is None:
                    read_all(path)
                else:
                    shown(path, *options)
                opened += 1
            except RecordingError as error:
                assert error.message.isprintable()
    assert opened > ROUNDS


@pytest.mark.parametrize("level", [None, 3])
def test_parts_make_the_whole(tmp_path: Path, level: int | None) -> None:
    """A recording taken apart and put together again reads the same."""
    path = Path(make.example().write(tmp_path / "seed.tide", level=level))
    data = path.read_bytes()
    again = write(tmp_path / "again.tide", joined(data, parted(data)))
    for options in SHOWN[::2]:  # JSON has the path and the size of the file
        assert shown(again, *options).replace("again", "seed") == shown(path, *options)


def test_more_rows_than_bytes(tmp_path: Path) -> None:
    """Rows that cost nothing in the file must not cost a reader its memory: 16 million rows of
    zeros would take each table gigabytes."""
    for kind in (Kind.PROCESSES, Kind.STACKS, Kind.CONTEXTS, Kind.FRAMES, Kind.TIMELINE):
        path = tmp_path / f"{kind.name}.tide"
        with Writer(path, level=1) as writer:
            writer.chunk(Kind.META, {"json_bytes": b"{}"})
        data = path.read_bytes()
        name = "pid" if kind == Kind.PROCESSES else "frame"
        zeros = Writer(tmp_path / f"{kind.name}.part", level=None)
        zeros.chunk(kind, {name: np.zeros(1 << 24, np.uint8)})
        zeros.close()
        chunk = parted(Path(tmp_path / f"{kind.name}.part").read_bytes())[0]
        packed = type(chunk)(chunk.kind, 1, chunk.flags, chunk.rows, chunk.payload)
        write(path, data + packed.sealed())
        with pytest.raises(RecordingError, match="more rows than"):
            read_all(path)


def test_functions_out_of_proportion(tmp_path: Path) -> None:
    """One frame with very many inlined functions, in very many stacks: refused, not multiplied."""
    build = make.example()
    frame = build.native(None, 0x1000)
    for number in range(5000):
        build.symbol(frame, f"inlined_{number % 10}")
    outer = build.stack(frame)
    for _ in range(5000):
        build.tables[Kind.STACKS].add(parent=outer + 1, frame=frame)
    path = Path(build.write(tmp_path / "many.tide", level=3))
    with pytest.raises(RecordingError, match="too many functions"):
        shown(path)


def test_many_slices_that_replace_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slices whose ranges change again and again end in an error, not in quadratic time."""
    from heaptide.recording import _load

    monkeypatch.setattr(_load, "_MOST_LOOKS", 10_000)
    path = tmp_path / "slices.tide"
    with Writer(path) as writer:
        for number in range(200):
            writer.chunk(Kind.DELTAS, make.delta_columns(number, number, number, {}))
        for number in range(200):
            writer.chunk(Kind.DELTAS, make.delta_columns(number, 1000, number, {}))
    with pytest.raises(RecordingError, match="replace each other"):
        _ = Recording.open(path).slices
