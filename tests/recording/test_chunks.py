"""The file: any prefix opens, damage ends it, hostile content is refused, errors are one line."""

from __future__ import annotations

import errno
import mmap
import os
import random
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import zstandard

from heaptide.errors import RecordingError
from heaptide.recording import Kind, Recording, Writer
from heaptide.recording._chunks import CHUNK_HEADER, CHUNK_MAGIC, FILE_HEADER
from heaptide.recording._crc import crc32c
from heaptide.recording._schema import FORMAT_VERSION
from tests.recording import make
from tests.recording.reading import read_all


def offsets(path: Path) -> list[int]:
    """Where each chunk begins, and the end of the file."""
    data = path.read_bytes()
    found, at = [], FILE_HEADER.size
    while at < len(data):
        found.append(at)
        stored = CHUNK_HEADER.unpack_from(data, at)[5]
        at += CHUNK_HEADER.size + stored + (-stored & 7)
    return [*found, at]


@pytest.fixture
def example(tmp_path: Path) -> Path:
    return Path(make.example().write(tmp_path / "example.tide"))


def reseal(data: bytearray, at: int) -> None:
    """Makes the checksums of the chunk at `at` right again, as an attacker would."""
    stored = CHUNK_HEADER.unpack_from(data, at)[5]
    payload = bytes(data[at + CHUNK_HEADER.size :][:stored])
    data[at + 32 : at + 36] = struct.pack("<I", crc32c(payload))
    data[at + 44 : at + 48] = struct.pack("<I", crc32c(bytes(data[at : at + 44])))


@pytest.mark.parametrize("level", [None, 3])
def test_every_prefix(tmp_path: Path, level: int | None) -> None:
    """Cut at any byte, the file opens with the chunks that are whole, and says where it was cut."""
    whole = Path(make.example().write(tmp_path / "whole.tide", level=level))
    data, starts = whole.read_bytes(), offsets(whole)
    cut = tmp_path / "cut.tide"
    for size in range(len(data)):
        cut.unlink(missing_ok=True)  # writing to a file that is mapped is slow
        cut.write_bytes(data[:size])
        if size < FILE_HEADER.size:
            with pytest.raises(RecordingError, match=r"cut\.tide"):
                Recording.open(cut)
            continue
        # Reading everything takes 50 times as long as opening: it is done at every ninth byte.
        recording = Recording.open(cut) if size % 9 else read_all(cut)
        # The zeros after a payload are no part of it.
        last = max((s for s in starts if s <= size), default=0)
        stored = CHUNK_HEADER.unpack_from(data, last)[5] if last < len(data) else 0
        whole_but_padding = last + CHUNK_HEADER.size + stored <= size and last < size
        expected = None if last == size or whole_but_padding else last
        assert expected == recording.truncated_at, size
        assert (expected is not None) == bool(recording.warnings)


def test_damage_in_the_middle(example: Path) -> None:
    """A flipped bit anywhere in a chunk ends the recording there; what came before stays."""
    data, starts = example.read_bytes(), offsets(example)
    for start in starts[:-1]:
        stored = CHUNK_HEADER.unpack_from(data, start)[5]
        for at in {start, start + 9, start + 40, start + 47, start + 48, start + 47 + stored}:
            damaged = bytearray(data)
            damaged[at] ^= 0x10
            example.write_bytes(damaged)
            assert start == read_all(example).truncated_at, at


def test_random_corruption(example: Path) -> None:
    """Whatever bytes change, the file opens in part or is refused with one line."""
    data = example.read_bytes()
    generator = random.Random(20240)
    for _ in range(300):
        damaged = bytearray(data)
        for _ in range(generator.randint(1, 8)):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        if generator.random() < 0.3:
            del damaged[generator.randrange(len(damaged)) :]
        example.write_bytes(damaged)
        try:
            read_all(example)
        except RecordingError as error:
            assert "\n" not in str(error)
            assert str(example) in str(error)


@pytest.mark.parametrize("level", [None, 3])
def test_hostile_content(tmp_path: Path, level: int | None) -> None:
    """Changes under right checksums are read, dropped or refused; nothing else happens."""
    path = Path(make.example().write(tmp_path / "hostile.tide", level=level))
    data, starts = path.read_bytes(), offsets(path)
    generator = random.Random(7)
    opened = 0
    for _ in range(600):
        damaged = bytearray(data)
        for _ in range(generator.randint(1, 3)):
            start = generator.choice(starts[:-1])
            header = CHUNK_HEADER.unpack_from(data, start)
            at = generator.choice([start + 4, start + 6, start + 8, start + 24])
            if generator.random() < 0.8 and header[5]:
                at = start + CHUNK_HEADER.size + generator.randrange(header[5])
            damaged[at] = generator.choice([0, 1, 0x7F, 0x80, 0xFF, generator.randrange(256)])
            reseal(damaged, start)
        path.write_bytes(damaged)
        try:
            read_all(path)
            opened += 1
        except RecordingError as error:
            assert "\n" not in str(error)
    assert opened > 30


def test_hostile_references(tmp_path: Path) -> None:
    """References anywhere, cycles among stacks, and counts at the limits of their types."""
    generator = random.Random(3)
    extremes = [0, 1, 2, 5, 255, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1]
    for round_number in range(150):
        build = make.example()
        for table in build.tables.values():
            for row in table.rows:
                for name in row:
                    if generator.random() < 0.2 and name != "table_len":
                        row[name] = generator.choice(extremes)
        path = tmp_path / f"{round_number}.tide"
        build.write(path)
        read_all(path)
        path.unlink()


def bomb(path: Path, raw: int, claimed: int | None = None) -> None:
    """A recording with one chunk of `raw` zeros, compressed."""
    packed = zstandard.ZstdCompressor(level=19).compress(bytes(raw))
    with Writer(path) as writer:
        writer.chunk(Kind.META, {"json_bytes": b"{}"})
    data = bytearray(path.read_bytes())
    start = len(data)
    data += CHUNK_HEADER.pack(
        CHUNK_MAGIC, Kind.STRINGS, 1, 0, 0, len(packed), claimed or raw, 0, 0, 0, 0
    )
    data += packed + bytes(-len(packed) & 7)
    reseal(data, start)
    path.write_bytes(data)


def test_decompression_bomb(tmp_path: Path) -> None:
    """A chunk that would grow beyond measure is refused before a byte of it is decompressed."""
    path = tmp_path / "bomb.tide"
    bomb(path, 1 << 16, claimed=1 << 40)
    recording = Recording.open(path)
    assert recording.truncated_at is not None
    assert len(recording.frames) == 0


def test_chunk_that_lies_about_its_size(tmp_path: Path) -> None:
    path = tmp_path / "lie.tide"
    for raw, claimed in ((1 << 20, 64), (64, 1 << 20)):
        bomb(path, raw, claimed)
        with pytest.raises(RecordingError, match="malformed"):
            _ = Recording.open(path).strings
        path.unlink()


def test_void_and_superseded(tmp_path: Path) -> None:
    """Voids are skipped unread; of superseding kinds the last chunk counts."""
    path = tmp_path / "a.tide"
    with Writer(path) as writer:
        writer.chunk(Kind.THREADS, {"tid": np.array([1])})
        writer.void(100)
        writer.chunk(Kind.NOTES, {"time": np.array([1])})
        writer.chunk(Kind.THREADS, {"tid": np.array([2, 3])})
        writer.chunk(Kind.NOTES, {"time": np.array([2])})
        writer.chunk(4711, {"time": np.array([2])})
    data = bytearray(path.read_bytes())
    hole = offsets(path)[1]
    data[hole + CHUNK_HEADER.size + 5] = 77
    path.write_bytes(data)
    with Recording.open(path) as recording:
        assert recording.threads.tid.tolist() == [2, 3]
        assert recording.notes.time.tolist() == [1, 2]
        assert recording.truncated_at is None
        assert recording.warnings == []


def test_unknown_codec(example: Path) -> None:
    """A chunk in an encoding of later times is skipped with a warning."""
    data, starts = bytearray(example.read_bytes()), offsets(example)
    data[starts[-3] + 6] = 9
    reseal(data, starts[-3])
    example.write_bytes(data)
    recording = read_all(example)
    assert recording.truncated_at is None
    assert len(recording.warnings) == 1


def test_refusals(tmp_path: Path) -> None:
    """What is no recording is refused with a line that names it and says what to do."""
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("to be or not to be, that is the question")
    (tmp_path / "short").write_bytes(b"heapt")
    (tmp_path / "newer").write_bytes(FILE_HEADER.pack(b"heaptide", FORMAT_VERSION + 1, 0))
    (tmp_path / "zero").write_bytes(FILE_HEADER.pack(b"heaptide", 0, 0))
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "directory").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    words = {
        "empty": "is empty",
        "text": "is not a heaptide recording",
        "short": "is cut off",
        "newer": "upgrade heaptide",
        "zero": "is not a heaptide recording",
        "fifo": "not a regular file",
        "directory": "is a directory",
        "loop": "cannot be opened",
        "missing": "does not exist",
    }
    for name, expected in words.items():
        with pytest.raises(RecordingError) as caught:
            Recording.open(tmp_path / name)
        assert str(tmp_path / name) in caught.value.message
        assert expected in caught.value.message
    with pytest.raises(RecordingError, match="cannot be opened"):
        Recording.open("nul\0byte")


def test_no_permission(example: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told by the kernel; in its place, since root may read everything."""

    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    example.chmod(0)
    if os.access(example, os.R_OK):
        monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(RecordingError, match="may not be read"):
        Recording.open(example)


def test_only_the_header(tmp_path: Path) -> None:
    """A recording whose collector wrote nothing but the header opens and is empty."""
    path = tmp_path / "a.tide"
    with Writer(path, finished=False):
        pass
    recording = read_all(path)
    assert not recording.finished
    assert recording.summary.allocations == 0
    assert recording.meta == {}


def test_finished_between_two_looks(example: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording that ends while it is opened is not called finished with less than all of it."""
    whole = example.read_bytes()
    flag = FILE_HEADER.pack(*FILE_HEADER.unpack(whole[: FILE_HEADER.size])[:2], 0)
    example.write_bytes(flag + whole[FILE_HEADER.size : len(whole) // 2])
    real = mmap.mmap

    def ends_then(*args: int, **more: int) -> mmap.mmap:
        mapped = real(*args, **more)
        with example.open("r+b") as file:
            file.seek(len(whole) // 2)
            file.write(whole[len(whole) // 2 :])
            file.seek(0)
            file.write(whole[: FILE_HEADER.size])
        return mapped

    monkeypatch.setattr(mmap, "mmap", ends_then)
    with Recording.open(example) as recording:
        assert not recording.finished
        assert recording.file_bytes < len(whole)
    monkeypatch.undo()
    with Recording.open(example) as recording:
        assert recording.finished
        assert recording.file_bytes == len(whole)


def test_checksum() -> None:
    """The test vector of RFC 3720, and the same in pieces."""
    assert crc32c(b"123456789") == 0xE3069283
    data = bytes(range(256)) * 10000
    assert crc32c(data) == crc32c(memoryview(data))
    assert sys.byteorder == "little"
