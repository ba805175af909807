"""Which recordings are being made: found in a /proc that is made up."""

from __future__ import annotations

import struct
from pathlib import Path

from heaptide.recorder import _wire
from heaptide.recorder._wire import ProcessState, State
from heaptide.recorder.sessions import (
    Running,
    involves,
    live_of,
    processes_of,
    resident,
    running,
    session_of_recording,
)


class Proc:
    """A /proc with processes as they are asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "self").mkdir()
        (folder / "version").write_text("Linux")

    def process(self, pid: int, exe: str, *words: str, ppid: int = 1, state: str = "S") -> Path:
        folder = self.folder / str(pid)
        (folder / "fd").mkdir(parents=True)
        (folder / "exe").symlink_to(exe)
        (folder / "cwd").symlink_to(self.folder.parent)
        (folder / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in words))
        (folder / "stat").write_text(f"{pid} (a ) b) {state} {ppid} 0 0")
        return folder

    def collector(
        self,
        pid: int,
        output: str,
        *command: str,
        exe: str = "/x/_native/heaptide-collector",
        options: tuple[str, ...] = (),
        pids: tuple[int, ...] = (),
        opened: str | None = None,
        state: str = "S",
        **figures: int,
    ) -> Path:
        words = ("heaptide-collector", "--output", output, *options, "--", *command)
        folder = self.process(pid, exe, *words, ppid=pid - 1, state=state)
        memory = bytearray(_wire.RING_HEADERS_OFFSET)
        values = {
            "magic": _wire.MAGIC,
            "version": _wire.VERSION,
            "state": State.RECORDING,
            "root_pid": pid + 1,
            "processes_used": len(pids),
            **figures,
        }
        for name, value in values.items():
            field = _wire.HEADER[name]
            struct.pack_into(field.format, memory, field.offset, value)
        for slot, recorded in enumerate(pids):
            base = _wire.PROCESSES_OFFSET + slot * _wire.PROCESS_BYTES
            at = ProcessState.LIVE if recorded > 0 else ProcessState.ENDED
            struct.pack_into("<I", memory, base + _wire.PROCESS["state"].offset, at)
            struct.pack_into("<I", memory, base + _wire.PROCESS["pid"].offset, abs(recorded))
        (folder / "fd" / "3").write_bytes(memory)
        if opened is not None:
            (folder / "fd" / "4").symlink_to("/proc/1/clear_refs")
            (folder / "fd" / "5").symlink_to(opened)
        return folder


def test_found(tmp_path: Path) -> None:
    """Collectors with their recordings, programs and figures; nothing else."""
    proc = Proc(tmp_path / "proc")
    (tmp_path / "r.tide").write_bytes(b"x")
    proc.process(5, "/usr/bin/python3", "python3", "heaptide-collector")
    proc.collector(
        20,
        "r.tide",
        "python3",
        "app.py",
        "--output",
        options=("--max-size", "1000"),
        opened=str(tmp_path / "r.tide"),
        pids=(21, -22, 23),
        live_bytes=77,
        elapsed_ns=5,
    )
    proc.collector(40, "other.tide", "tool", exe="/x/heaptide-collector (deleted)", elapsed_ns=9)
    found = running(proc.folder)
    assert [one.collector for one in found] == [40, 20]
    one = found[1]
    assert (one.launcher, one.root, one.recording) == (19, 21, str(tmp_path / "r.tide"))
    assert (one.command, one.deleted) == (("python3", "app.py", "--output"), False)
    assert one.live.live_bytes == 77
    assert processes_of(20, proc.folder) == [21, 23]
    assert [involves(one, pid, proc.folder) for pid in (19, 20, 21, 22, 23)] == [
        True,
        True,
        True,
        False,
        True,
    ]
    assert found[0].recording == str(tmp_path / "other.tide") and found[0].deleted


def test_moved_and_deleted(tmp_path: Path) -> None:
    """A recording is where its file is now, whatever it was called first."""
    proc = Proc(tmp_path / "proc")
    moved, odd = tmp_path / "moved.tide", tmp_path / "odd (deleted)"
    moved.write_bytes(b"x")
    odd.write_bytes(b"x")
    proc.collector(20, "first.tide", "a", opened=str(moved))
    proc.collector(30, "gone.tide", "b", opened=f"{tmp_path}/gone.tide (deleted)")
    proc.collector(40, "odd (deleted)", "c", opened=str(odd))
    found = {one.command[0]: (one.recording, one.deleted) for one in running(proc.folder)}
    assert found == {
        "a": (str(moved), False),
        "b": (str(tmp_path / "gone.tide"), True),
        "c": (str(odd), False),
    }
    assert session_of_recording(moved, proc.folder) is not None
    assert session_of_recording(tmp_path / "gone.tide", proc.folder) is None
    hard = tmp_path / "link.tide"
    hard.hardlink_to(moved) if hasattr(hard, "hardlink_to") else hard.symlink_to(moved)
    found_by_link = session_of_recording(hard, proc.folder)
    assert isinstance(found_by_link, Running) and found_by_link.collector == 20


def test_unreadable(tmp_path: Path) -> None:
    """What ends while it is looked at, is another version's or another user's, is left out."""
    proc = Proc(tmp_path / "proc")
    proc.collector(20, "a.tide", "a", magic=1)
    proc.collector(30, "a.tide", "a", version=_wire.VERSION + 1)
    proc.collector(40, "a.tide", "a", state="Z")
    (proc.collector(50, "a.tide", "a") / "fd" / "3").unlink()
    (proc.collector(60, "a.tide", "a") / "cmdline").write_bytes(b"")
    (proc.collector(70, "a.tide", "a") / "exe").unlink()
    (proc.collector(80, "a.tide", "a") / "fd" / "3").write_bytes(b"short")
    assert running(proc.folder) == []
    assert running(tmp_path / "none") == []
    assert live_of(50, proc.folder) is None
    assert processes_of(50, proc.folder) == []


def test_resident(tmp_path: Path) -> None:
    folder = tmp_path / "7"
    folder.mkdir()
    (folder / "statm").write_text("100 25 3 4 5 6 7\n")
    assert resident(7, tmp_path) % 4096 == 0 and resident(7, tmp_path) >= 25 * 4096
    assert resident(8, tmp_path) == 0
