"""The Python side of the shared memory is the C side of it."""

from __future__ import annotations

import shutil
import struct
import subprocess
from enum import IntEnum, IntFlag
from pathlib import Path

from heaptide.recorder import _wire

WIRE = Path(__file__).resolve().parents[2] / "native" / "wire" / "wire.h"

CONSTANTS = {
    "HT_WIRE_MAGIC": _wire.MAGIC,
    "HT_WIRE_VERSION": _wire.VERSION,
    "HT_SESSION_FD": _wire.SESSION_FD,
    "HT_HEADER_BYTES": _wire.HEADER_BYTES,
    "HT_MAX_PROCESSES": _wire.MAX_PROCESSES,
    "HT_PROCESS_BYTES": _wire.PROCESS_BYTES,
    "HT_PROCESSES_OFFSET": _wire.PROCESSES_OFFSET,
    "HT_RING_HEADERS_OFFSET": _wire.RING_HEADERS_OFFSET,
    "HT_SESSION_BYTES": _wire.SESSION_BYTES,
}
ENUMS: dict[str, type[IntEnum] | type[IntFlag]] = {
    "HT_STATE_": _wire.State,
    "HT_ERROR_": _wire.Error,
    "HT_CONFIG_": _wire.ConfigFlag,
    "HT_PROCESS_": _wire.ProcessState,
    "HT_PYTHON_": _wire.PythonStatus,
    "HT_PROVIDER_": _wire.Provider,
    "HT_OFF_": _wire.OffReason,
}
STRUCTS = {"ht_session_header": _wire.HEADER, "ht_process": _wire.PROCESS}


def _printed_by_c(tmp_path: Path, expressions: list[str]) -> list[int]:
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "the tests need a C compiler"
    prints = "".join(f'  printf("%llu\\n", (unsigned long long)({one}));\n' for one in expressions)
    source = tmp_path / "wire.c"
    source.write_text(
        f'#include <stddef.h>\n#include <stdio.h>\n#include "{WIRE}"\n'
        f"int main(void) {{\n{prints}  return 0;\n}}\n"
    )
    program = tmp_path / "wire"
    subprocess.run([compiler, "-std=c17", "-o", program, source], check=True)
    output = subprocess.run([program], check=True, stdout=subprocess.PIPE, text=True).stdout
    return [int(line) for line in output.split()]


def test_constants_and_enums(tmp_path: Path) -> None:
    """Every constant and enumerator has the value that the C header gives it."""
    expected = dict(CONSTANTS)
    for prefix, members in ENUMS.items():
        names = members.__members__
        expected.update({prefix + name: int(names[name]) for name in names})
    assert dict(zip(expected, _printed_by_c(tmp_path, list(expected)))) == expected


def test_enums_are_whole() -> None:
    """The session's enums have as many members here as in the C header."""
    text = WIRE.read_text()
    for prefix, members in ENUMS.items():
        lines = text.splitlines()
        found = [line for line in lines if line.strip().startswith(prefix) and "=" in line]
        assert len(found) == len(members), prefix


def test_fields(tmp_path: Path) -> None:
    """Every field is at its offset and has its size."""
    expressions, expected = [], []
    for name, fields in STRUCTS.items():
        for field, (offset, form) in fields.items():
            expressions += [f"offsetof({name}, {field})", f"sizeof((({name} *)0)->{field})"]
            expected += [offset, struct.calcsize(form)]
    assert _printed_by_c(tmp_path, expressions) == expected
