"""A collector that records nothing, and fails in the way that FAKE_COLLECTOR asks for.

Ways: ``ready`` (the default: a good end), ``refuse`` (a line on stderr before it is ready),
``disk-full``, ``max-size``, ``io`` (as the header reports them), ``die`` (killed once the program
runs), ``stuck`` (never gets ready), ``deaf`` (never ends), ``report`` (the recording is a JSON
object of what it was started with).
"""

from __future__ import annotations

import json
import mmap
import os
import signal
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

from heaptide.recorder import _wire


def is_open(fd: int) -> bool:
    return os.path.lexists(f"/proc/self/fd/{fd}")


def report(get: Callable[[str], int]) -> dict[str, object]:
    """What a collector finds around it."""
    status = Path("/proc/self/status").read_text().splitlines()
    return {
        "program": sys.argv[0],
        "arguments": sys.argv[1:],
        "descriptors": {
            fd: str(Path(f"/proc/self/fd/{fd}").readlink()) for fd in range(32) if is_open(fd)
        },
        "leader": os.getsid(0) == os.getpid(),
        "blocked": int(next(line for line in status if line.startswith("SigBlk")).split()[1], 16),
        "environment": dict(os.environ),
        "header": {name: get(name) for name in _wire.HEADER if name != "error_text"},
        "bytes": os.fstat(_wire.SESSION_FD).st_size,
    }


def main() -> int:
    way = os.environ.get("FAKE_COLLECTOR", "ready")
    memory = mmap.mmap(_wire.SESSION_FD, _wire.RING_HEADERS_OFFSET)

    def put(name: str, value: object) -> None:
        field = _wire.HEADER[name]
        struct.pack_into(field.format, memory, field.offset, value)

    def get(name: str) -> int:
        field = _wire.HEADER[name]
        return int(struct.unpack_from(field.format, memory, field.offset)[0])

    if way == "refuse":
        print("some noise\nthe collector cannot do this; try that", file=sys.stderr)
        return 1
    while way == "stuck":
        time.sleep(1)
    if way == "report":
        Path(sys.argv[sys.argv.index("--output") + 1]).write_text(json.dumps(report(get)))
        put("state", int(_wire.State.RECORDING))
        return 0
    with open(sys.argv[sys.argv.index("--output") + 1], "wb") as file:
        file.write(b"heaptide" + struct.pack("<II", 1, 1))  # an empty recording, ended cleanly
    put("collector_pid", os.getpid())
    put("processes_used", 1)
    put("state", int(_wire.State.RECORDING))
    started = time.monotonic()
    while not get("finish") or way == "deaf":
        time.sleep(0.002)
        put("elapsed_ns", int((time.monotonic() - started) * 1e9))
        put("live_bytes", 12_300_000)
        put("peak_bytes", 20_000_000)
        put("allocations", get("allocations") + 1000)
        if way == "die" and get("root_pid"):
            os.kill(os.getpid(), signal.SIGKILL)
    endings = {"disk-full": "DISK_FULL", "max-size": "MAX_SIZE", "io": "IO"}
    if way in endings:
        put("error", int(_wire.Error[endings[way]]))
        if way == "io":
            put("error_text", b"writing the recording failed: the cable is out")
    return 0


if __name__ == "__main__":
    sys.exit(main())
