"""The same work plainly and under tools that use the interpreter's hooks: one function each.

Tools are set, used and removed in one process, so that what comes after them is tested too.
"""

from __future__ import annotations

import cProfile
import os
import sys
import threading

unit = b"x"
header = sys.getsizeof(b"")
kept: list[object] = []


def plain(shelf: list[object], size: int) -> None:
    #@ plain partly
    for i in range(len(shelf)):
        #= allocations=100 alive_at_exit_allocations=100 alive_at_exit_bytes=100*(2000+$header)
        shelf[i] = unit * size


def profiled(shelf: list[object], size: int) -> None:
    #@ profiled partly
    for i in range(len(shelf)):
        #= allocations=100 alive_at_exit_allocations=100 alive_at_exit_bytes=100*(2001+$header)
        shelf[i] = unit * size


def after_profiled(shelf: list[object], size: int) -> None:
    #@ after_profiled partly
    for i in range(len(shelf)):
        #= allocations=100 alive_at_exit_allocations=100 alive_at_exit_bytes=100*(2002+$header)
        shelf[i] = unit * size


def with_setprofile(shelf: list[object], size: int) -> None:
    #@ with_setprofile partly
    for i in range(len(shelf)):
        #= alive_at_exit_allocations=100 alive_at_exit_bytes=100*(2003+$header)
        shelf[i] = unit * size


# A trace function is called for each line, and what the interpreter allocates to call it is
# rightly the line's own: the blocks that stay are exact.
def with_settrace(shelf: list[object], size: int) -> None:
    #@ with_settrace partly
    for i in range(len(shelf)):
        #= alive_at_exit_allocations=100 alive_at_exit_bytes=100*(2004+$header)
        shelf[i] = unit * size


def with_monitoring(shelf: list[object], size: int) -> None:
    #@ with_monitoring partly
    for i in range(len(shelf)):
        #= alive_at_exit_allocations=100 alive_at_exit_bytes=100*(2005+$header)
        shelf[i] = unit * size


def in_watched_thread(shelf: list[object], size: int) -> None:
    #@ in_watched_thread partly
    for i in range(len(shelf)):
        #= alive_at_exit_allocations=100 alive_at_exit_bytes=100*(2006+$header)
        shelf[i] = unit * size


def shelf() -> list[object]:
    kept.append([None] * 100)
    return kept[-1]  # type: ignore[return-value]


def ignore_event(*_: object) -> None:
    return None


def trace(*_: object) -> object:
    return trace


def monitored(size: int) -> None:
    monitoring = getattr(sys, "monitoring", None)  # 3.12
    if monitoring is None:
        with_monitoring(shelf(), size)
        return
    monitoring.use_tool_id(3, "truth")
    monitoring.register_callback(3, monitoring.events.LINE, ignore_event)
    monitoring.register_callback(3, monitoring.events.PY_START, ignore_event)
    monitoring.set_events(3, monitoring.events.LINE | monitoring.events.PY_START)
    with_monitoring(shelf(), size)
    monitoring.set_events(3, 0)
    monitoring.free_tool_id(3)


def main() -> None:
    plain(shelf(), 2000)
    profiler = cProfile.Profile()
    profiler.enable()
    profiled(shelf(), 2001)
    profiler.disable()
    after_profiled(shelf(), 2002)
    sys.setprofile(ignore_event)
    with_setprofile(shelf(), 2003)
    sys.setprofile(None)
    sys.settrace(trace)  # type: ignore[arg-type]
    with_settrace(shelf(), 2004)
    sys.settrace(None)
    monitored(2005)
    threading.setprofile(ignore_event)
    thread = threading.Thread(target=in_watched_thread, args=(shelf(), 2006))
    thread.start()
    thread.join()
    print("figure header", header, flush=True)
    os._exit(0)


main()
