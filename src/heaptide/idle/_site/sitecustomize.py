"""Runs in Python programs that heaptide idle measures with --gc or --trim, as they start.

A handler for one real-time signal collects garbage and gives free memory back. Each process says
that it has it by a file with its id as name, and each time that it has run by the file's length.
No module is imported that the interpreter does not have already; nothing here ever raises.
"""

# ruff: noqa: PTH100, PTH120, SIM105 - pathlib and contextlib are modules that it may not have

import os
import sys


def _heaptide() -> None:
    # Built in; signal itself would bring enum and others along.
    import _signal  # type: ignore[import-not-found]
    import gc

    folder = os.environ["HEAPTIDE_IDLE_HOOKS"]
    number = int(os.environ["HEAPTIDE_IDLE_SIGNAL"])
    wanted = os.environ["HEAPTIDE_IDLE_DO"].split()

    def say(word: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        file = os.open(folder + "/" + str(os.getpid()), flags, 0o666)
        try:
            os.write(file, word)
        finally:
            os.close(file)

    def handle(_number: int, _frame: object) -> None:
        try:
            if "gc" in wanted:
                gc.collect()
            if "trim" in wanted:
                import ctypes

                ctypes.CDLL(None).malloc_trim(0)
            say(b"+")
        except Exception:
            pass

    def announce() -> None:
        try:
            if _signal.getsignal(number) is handle:
                say(b"")
        except Exception:
            pass

    if _signal.getsignal(number) == _signal.SIG_DFL:
        _signal.signal(number, handle)
        announce()
        os.register_at_fork(after_in_child=announce)


def _give_way() -> None:
    """The sitecustomize that would have been found without this one is run in its place."""
    own = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if os.path.abspath(path or ".") != own]
    this = sys.modules.pop("sitecustomize", None)
    try:
        import sitecustomize  # type: ignore[import-not-found]  # noqa: F401
    except ImportError as error:
        if error.name != "sitecustomize":
            raise
        if this is not None:
            sys.modules["sitecustomize"] = this


try:
    _heaptide()
except Exception:
    pass
_give_way()
