"""Formats are told by what is in a file, whatever it is called and however it is compressed."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import zstandard

from heaptide.cli.convert import WRITABLE
from heaptide.errors import HeaptideError, RecordingError, UsageError
from heaptide.formats import FORMATS, by_name, by_suffix, open_recording
from heaptide.formats._names import place
from tests.formats.files import DATA, GOLDEN, plain


@pytest.mark.parametrize(("name", "format"), GOLDEN.items())
@pytest.mark.parametrize("compressed", ["as it is", "plain", "gzip", "zstd"])
def test_golden_files(tmp_path: Path, name: str, format: str, compressed: str) -> None:
    file = tmp_path / "without a suffix"
    data = plain(name)
    if compressed == "as it is":
        data = (DATA / name).read_bytes()
    elif compressed == "gzip":
        data = gzip.compress(data)
    elif compressed == "zstd":
        data = zstandard.compress(data)
    file.write_bytes(data)
    with open_recording(file) as recording:
        assert recording.source["format"] == format
        assert recording.path == str(file)


def test_a_recording_stays_one(tmp_path: Path) -> None:
    from tests.recording.make import example

    example().write(tmp_path / "a.heaptrack.zst")
    with open_recording(tmp_path / "a.heaptrack.zst") as recording:
        assert recording.source == {}


@pytest.mark.parametrize(
    "data",
    [
        b"text\n",
        b"\x7fELF" + bytes(60),
        b"{}",
        b'{"a": 1}',
        b"\0",
        b"v \n",
        gzip.compress(b"text", mtime=0),
    ],
    ids=["text", "elf", "object", "pair", "nul", "heaptrack", "gzip"],
)
def test_what_is_of_no_format(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(data)
    with pytest.raises(RecordingError, match="of no format that is known"):
        open_recording(file)


def test_what_recordings_are_refused_for_is_said_of_other_files_too(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(RecordingError, match="empty"):
        open_recording(tmp_path / "empty")
    with pytest.raises(RecordingError, match="does not exist"):
        open_recording(tmp_path / "nothing")
    with pytest.raises(RecordingError, match="directory"):
        open_recording(tmp_path)


def test_the_command_names_what_can_be_written() -> None:
    assert tuple(format.name for format in FORMATS if format.writes) == WRITABLE
    for name in WRITABLE:
        assert hasattr(by_name(name).writer, "write")


def test_each_readable_format_has_a_reader() -> None:
    for format in FORMATS:
        if format.reads and format.name != "tide":
            assert hasattr(format.reader, "read"), format.name


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a.tide", "tide"),
        ("heaptrack.app.12.zst", "heaptrack"),
        ("heaptrack.app.12.gz", "heaptrack"),
        ("a.pb.gz", "pprof"),
        ("A.PPROF", "pprof"),
        ("a.massif.out", "massif"),
        ("a.dhat.json", "dhat"),
        ("a.speedscope.json", "speedscope"),
        ("a.json", "json"),
        ("a.csv", "csv"),
        ("a.folded", "folded"),
        ("a.parquet", "parquet"),
        ("a.firefox.json", "firefox"),
    ],
)
def test_suffixes(path: str, name: str) -> None:
    assert by_suffix(path).name == name


@pytest.mark.parametrize("path", ["a.json.gz", "a.dhat.json.gz", "a.folded.zst", "a.csv.gz"])
def test_compressed_names_of_other_formats(path: str) -> None:
    with pytest.raises(UsageError, match="compressed"):
        by_suffix(path)


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("0x10: f (a.c:3)", (16, "f", "a.c", 3, 0, "")),
        ("0x1F: f(int, char) (a.c:3:7)", (31, "f(int, char)", "a.c", 3, 7, "")),
        ("0x1: (anonymous)::f(int) (a.cpp:3)", (1, "(anonymous)::f(int)", "a.cpp", 3, 0, "")),
        ("0x1: g (in /home/u (copy)/libg.so)", (1, "g", "", 0, 0, "/home/u (copy)/libg.so")),
        ("0x1: g (/home/u (copy)/g.c:9)", (1, "g", "/home/u (copy)/g.c", 9, 0, "")),
        ("0x1: ??? (in /lib/libc.so)", (1, "", "", 0, 0, "/lib/libc.so")),
        ("0x1: ???", (1, "", "", 0, 0, "")),
        ("0x1: h<void (int)>::g() const (f.h:1)", (1, "h<void (int)>::g() const", "f.h", 1, 0, "")),
        ("plain", (0, "plain", "", 0, 0, "")),
        ("f(int)", (0, "f(int)", "", 0, 0, "")),
    ],
)  # fmt: skip
def test_places_as_valgrind_writes_them(label: str, expected: tuple[object, ...]) -> None:
    assert tuple(place(label)) == expected


def test_names_that_tell_nothing() -> None:
    with pytest.raises(UsageError, match="--to"):
        by_suffix("a.out")
    with pytest.raises(UsageError, match="choose one of"):
        by_name("memray")  # it is read only


def test_bombs_are_refused(tmp_path: Path) -> None:
    """A few kilobytes that grow without end are no profile, in any compression."""
    bomb = b'{"dhatFileVersion":2,"mode":"' + b"a" * (600 << 20)
    for name, data in (("a.zst", zstandard.compress(bomb)), ("a.gz", gzip.compress(bomb, 9))):
        file = tmp_path / name
        file.write_bytes(data)
        with pytest.raises(HeaptideError, match=r"decompresses to more|is malformed"):
            open_recording(file)


def test_damaged_compression(tmp_path: Path) -> None:
    data = gzip.compress((DATA / "cpp.dhat.json").read_bytes())
    file = tmp_path / "cut.gz"
    file.write_bytes(data[: len(data) // 2])
    with pytest.raises(RecordingError, match=r"cannot be decompressed|malformed"):
        open_recording(file)


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.95])
def test_zstandard_that_is_cut_within_a_frame(tmp_path: Path, keep: float) -> None:
    """What the library takes for the end of the file."""
    data = (DATA / "heaptrack.cpp.small.zst").read_bytes()
    file = tmp_path / "cut"
    file.write_bytes(data[: int(len(data) * keep)])
    try:
        with open_recording(file) as recording:
            texts = [recording.notes.text[row] for row in range(len(recording.notes))]
            assert any("damaged or cut off" in text for text in texts)
    except RecordingError as error:
        assert "cannot be decompressed" in error.message
        assert keep < 0.5  # before the first event there is nothing to show
    file.write_bytes(zstandard.compress(b"main;a 5\n" * 50_000)[:-3])
    with pytest.raises(RecordingError, match="cannot be decompressed"):
        open_recording(file)
    # Several frames, one behind the other, are one file.
    file.write_bytes(zstandard.compress(b"main;a 5\n") + zstandard.compress(b"main;b 6\n"))
    with open_recording(file) as recording:
        assert recording.summary.total_bytes == 11
