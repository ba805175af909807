"""The session header of ``native/wire/wire.h`` as Python sees it.

``tests/cli/test_wire.py`` compiles a C program that prints every number here from the header file
itself, so the two cannot drift apart.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import NamedTuple

MAGIC = 0x6564697470616568
VERSION = 3
SESSION_FD = 3

HEADER_BYTES = 0x2000
MAX_PROCESSES = 4096
PROCESS_BYTES = 256
PROCESSES_OFFSET = HEADER_BYTES
RING_HEADERS_OFFSET = PROCESSES_OFFSET + MAX_PROCESSES * PROCESS_BYTES
SESSION_BYTES = RING_HEADERS_OFFSET + 16384 * (256 + 256 * 1024)


class Field(NamedTuple):
    """One field of a C struct: its offset in bytes and its ``struct`` format."""

    offset: int
    format: str


class State(IntEnum):
    """``enum ht_session_state``."""

    STARTING = 0
    PAUSED = 1
    RECORDING = 2
    STOPPED = 3


class Error(IntEnum):
    """``enum ht_session_error``."""

    NONE = 0
    DISK_FULL = 1
    MAX_SIZE = 2
    IO = 3
    INTERNAL = 4


class ConfigFlag(IntFlag):
    """``enum ht_config_flags``."""

    PYTHON_OBJECTS = 1
    NATIVE_AUTO = 2
    NATIVE_ALL = 4
    FOLLOW = 8
    USABLE_SIZE = 16
    THREAD_PEAKS = 32


class ProcessState(IntEnum):
    """``enum ht_process_state``."""

    FREE = 0
    CLAIMED = 1
    LIVE = 2
    EXEC = 3
    ENDED = 4


class PythonStatus(IntEnum):
    """``enum ht_python_status``."""

    NONE = 0
    OK = 1
    UNSUPPORTED = 2
    SELFTEST = 3


class Provider(IntEnum):
    """``enum ht_allocator_provider``."""

    LIBC = 0
    JEMALLOC = 1
    TCMALLOC = 2
    MIMALLOC = 3
    OTHER = 4
    STATIC = 5


class OffReason(IntEnum):
    """``enum ht_off_reason``."""

    NONE = 0
    SESSION_STOPPED = 1
    COLLECTOR_DEAD = 2
    NO_SLOT = 3
    NO_MEMORY = 4
    NOT_FOLLOWED = 5
    SANDBOX = 6


# ht_session_header
HEADER = {
    "magic": Field(0, "<Q"),
    "version": Field(8, "<I"),
    "collector_pid": Field(12, "<I"),
    "config": Field(16, "<I"),
    "root_pid": Field(20, "<I"),
    "sample_interval": Field(24, "<Q"),
    "start_tsc": Field(32, "<Q"),
    "start_monotonic_ns": Field(40, "<Q"),
    "start_realtime_ns": Field(48, "<Q"),
    "state": Field(64, "<I"),
    "finish": Field(68, "<I"),
    "error": Field(72, "<I"),
    "error_errno": Field(76, "<i"),
    "heartbeat": Field(128, "<Q"),
    "sleeping": Field(192, "<I"),
    "processes_used": Field(256, "<I"),
    "rings_used": Field(260, "<I"),
    "processes_refused": Field(264, "<I"),
    "rings_refused": Field(268, "<I"),
    "live_bytes": Field(320, "<Q"),
    "live_blocks": Field(328, "<Q"),
    "peak_bytes": Field(336, "<Q"),
    "peak_time_ns": Field(344, "<Q"),
    "allocations": Field(352, "<Q"),
    "deallocations": Field(360, "<Q"),
    "reallocations": Field(368, "<Q"),
    "total_bytes": Field(376, "<Q"),
    "elapsed_ns": Field(384, "<Q"),
    "file_bytes": Field(392, "<Q"),
    "rss_bytes": Field(400, "<Q"),
    "collector_rss_bytes": Field(408, "<Q"),
    "processes_live": Field(416, "<Q"),
    "threads_live": Field(424, "<Q"),
    "lost_events": Field(432, "<Q"),
    "error_text": Field(512, "<256s"),
}

# ht_process
PROCESS = {
    "state": Field(0, "<I"),
    "pid": Field(4, "<I"),
}
