"""Functions compiled at run time, called once and thrown away.

Their code objects die, and the memory of one becomes that of the next. Each allocates one block of
a size that tells it apart; the blocks stay.
"""

from __future__ import annotations

import gc
import os

unit = b"x"
COUNT = 300

kept: list[object] = [None] * COUNT


def run_generated(index: int) -> None:
    source = f"def made_{index}():\n" + "\n" * (index % 7) + f"    kept[{index}] = unit * size\n"
    names = {"kept": kept, "unit": unit, "size": 1000 + index}
    exec(compile(source, f"<generated {index % 3}>", "exec"), names)
    names[f"made_{index}"]()  # type: ignore[operator]


for index in range(COUNT):
    run_generated(index)
    if index % 50 == 0:
        gc.collect()

os._exit(0)
