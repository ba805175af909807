"""The same work plainly and under tools that use the interpreter's hooks: one function each.

Tools are set, used and removed in one process, so that what comes after them is tested too.
"""

from __future__ import annotations

import cProfile
import gc
import io
import os
import pdb
import sys
import threading
from collections.abc import Callable

import coverage

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


# Tools that are called for each line: the first line of a function is theirs to remember.
def with_coverage(shelf: list[object], size: int) -> None:
    #@ with_coverage partly
    for i in range(len(shelf)):
        #= alive_at_exit_allocations=100 alive_at_exit_bytes=100*(2007+$header)
        shelf[i] = unit * size


def with_coverage_in_python(shelf: list[object], size: int) -> None:
    #@ with_coverage_in_python partly
    for i in range(len(shelf)):
        #= alive_at_exit_allocations=100 alive_at_exit_bytes=100*(2008+$header)
        shelf[i] = unit * size


def with_pdb(shelf: list[object], size: int) -> None:
    #@ with_pdb partly
    for i in range(len(shelf)):
        #= alive_at_exit_allocations=100 alive_at_exit_bytes=100*(2009+$header)
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


def covered(function: Callable[[list[object], int], None], size: int, timid: bool) -> None:
    """Measures a function, once before it counts: then its lines are in coverage's tables."""
    tool = coverage.Coverage(data_file=None, timid=timid, config_file=False, include=[__file__])
    tool.start()
    function([None], 0)
    function(shelf(), size)
    tool.stop()
    first = function.__code__.co_firstlineno
    lines = tool.get_data().lines(__file__) or []
    print("lines covered", len([line for line in lines if first < line < first + 6]))


def rehearsal() -> None:
    for i in range(9):
        str(i)


def debugged(size: int) -> None:
    """Stops a debugger in front of the loop, then lets it look at each line for a breakpoint whose
    condition never holds. Once elsewhere before it counts: then it has what it keeps for itself."""
    said = io.StringIO()
    commands = io.StringIO("p 'stopped', len('')\ncontinue\n" * 2)
    debugger = pdb.Pdb(stdin=commands, stdout=said, nosigint=True, readrc=False)
    debugger.set_break(__file__, rehearsal.__code__.co_firstlineno + 2, cond="i < 0")
    debugger.set_break(__file__, with_pdb.__code__.co_firstlineno + 4, cond="i < 0")
    debugger.runcall(rehearsal)
    debugger.runcall(with_pdb, shelf(), size)
    print("debugger saw", said.getvalue().count("('stopped', 0)"))


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
    covered(with_coverage, 2007, False)
    covered(with_coverage_in_python, 2008, True)
    debugged(2009)
    gc.collect()  # the debugger holds frames, and those hold it
    print("figure header", header, flush=True)
    os._exit(0)


main()
