"""Child processes of Python: os.fork, multiprocessing by fork and by spawn, subprocess."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys

unit = b"x"
header = sys.getsizeof(b"")


def in_fork(shelf: list[object], size: int) -> None:
    #@ in_fork partly
    for i in range(len(shelf)):
        #= allocations=51 total_bytes=51*(1101+$header)
        shelf[i] = unit * size


def in_forked_worker(size: int) -> int:
    #@ in_forked_worker partly
    shelf: list[object] = [None] * 52
    for i in range(52):
        #= allocations=52*2 total_bytes=52*2*(1102+$header)
        shelf[i] = unit * size
    return len(shelf)


def in_spawned_worker(size: int) -> int:
    #@ in_spawned_worker partly
    shelf: list[object] = [None] * 53
    for i in range(53):
        #= allocations=53*2 total_bytes=53*2*(1103+$header)
        shelf[i] = unit * size
    return len(shelf)


def in_subprocess(shelf: list[object], size: int) -> None:
    #@ in_subprocess partly
    for i in range(len(shelf)):
        #= allocations=54 total_bytes=54*(1104+$header)
        shelf[i] = unit * size


def in_parent(shelf: list[object], size: int) -> None:
    #@ in_parent partly
    for i in range(len(shelf)):
        #= allocations=55 total_bytes=55*(1105+$header)
        shelf[i] = unit * size


def main() -> None:
    if sys.argv[1:] == ["subprocess"]:
        in_subprocess([None] * 54, 1104)
        return
    child = os.fork()
    if child == 0:
        in_fork([None] * 51, 1101)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    for method, function in (("fork", in_forked_worker), ("spawn", in_spawned_worker)):
        context = multiprocessing.get_context(method)
        workers = [context.Process(target=function, args=(1102 + (method == "spawn"),))
                   for _ in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
            assert worker.exitcode == 0, (method, worker.exitcode)
    # An environment of its own, in which the recorder was never mentioned.
    subprocess.run([sys.executable, __file__, "subprocess"], env={}, check=True)
    in_parent([None] * 55, 1105)
    print("figure header", header, flush=True)


if __name__ == "__main__":
    main()
