"""A table of lines of code in CSV, as ``heaptide show --csv --by line`` prints it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heaptide.views import csv

if TYPE_CHECKING:
    from ._export import Export


def write(export: Export) -> list[str]:
    fold = export.profile.fold("line", export.metric, inclusive=True)
    with export.path.open("x", encoding="utf-8", errors="backslashreplace", newline="") as file:
        file.write(csv.table(export.profile, fold))
    return ["CSV carries one table, of lines of code: stacks, time and threads are left out"]
