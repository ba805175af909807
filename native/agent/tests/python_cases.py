"""The program that check_python.py records.

Every allocation that counts has a size of its own, and is announced on the same line: `note(size)`
writes the size and the stack that the interpreter itself reports, outermost frame first.
"""

from __future__ import annotations

import asyncio
import ctypes
import functools
import gc
import json
import os
import random
import signal
import sys
import threading
import weakref
from typing import Any

OUT = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
LOCK = threading.RLock()
BYTES_HEADER = sys.getsizeof(b"")
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.calloc.restype = libc.realloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
python = ctypes.pythonapi
python.PyMem_RawMalloc.restype = ctypes.c_void_p
python.PyMem_RawMalloc.argtypes = [ctypes.c_size_t]
python.PyMem_RawFree.argtypes = [ctypes.c_void_p]
_next = 1_000_000


def size() -> int:
    """A size that nobody else asks for."""
    global _next
    with LOCK:
        _next += 48  # so that no two differ by the header of a bytes or bytearray only
        return _next


def note(asked: int, label: str = "", header: int = BYTES_HEADER) -> int:
    """Announces an allocation of `asked` bytes by the caller's line; returns `asked`."""
    stack = []
    frame = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        name = getattr(code, "co_qualname", code.co_name)
        stack.append([code.co_filename, name, frame.f_lineno])
        frame = frame.f_back
    stack.reverse()
    line = json.dumps([os.getpid(), asked + header, label, stack]) + "\n"
    os.write(OUT, line.encode())
    return asked


def make() -> bytes:
    return bytes(note(size()))


def simple() -> None:
    make()
    held = [
        bytes(note(size(), "second line of a list")),
        1,
        (lambda: bytes(note(size(), "lambda")))(),
    ]
    held += [bytes(note(size(), "comprehension")) for _ in range(2)]

    class Body:
        inside = bytes(note(size(), "class body"))

    try:
        raise ValueError(bytes(note(size(), "raise")))
    except ValueError:
        bytes(note(size(), "except"))
    finally:
        bytes(note(size(), "finally"))
    with open(os.devnull) as _:
        bytes(note(size(), "with"))
    del held, Body


def generators() -> None:
    def inner(n: int) -> Any:
        for _ in range(n):
            yield bytes(note(size(), "generator"))

    def outer(n: int) -> Any:
        yield from inner(n)
        got = yield bytes(note(size(), "after yield from"))
        bytes(note(size(), f"sent {got}"))

    for _ in range(30):
        for _ in outer(2):
            make()
    running = outer(1)
    next(running), next(running)
    try:
        running.send("x")
    except StopIteration:
        pass
    list(bytes(note(size(), "generator expression")) for _ in range(3))
    held = inner(3)
    next(held)
    held.close()


def coroutines() -> None:
    async def leaf(n: int) -> bytes:
        held = bytes(note(size(), "coroutine"))
        await asyncio.sleep(0)
        return held + bytes(note(size(), "after await"))[:n]

    async def middle(n: int) -> None:
        await leaf(n)

    async def ticks(n: int) -> Any:
        for i in range(n):
            await asyncio.sleep(0)
            yield bytes(note(size(), "async generator"))

    async def main() -> None:
        await asyncio.gather(*[middle(i) for i in range(5)])
        async for _ in ticks(2):
            bytes(note(size(), "async for"))

    asyncio.run(main())


def executed() -> None:
    """Code objects that die, the next one at the same address."""
    gap = 0
    for i in range(200):
        gap = (gap * 7 + 3) % 50
        source = "def run():\n" + "\n" * gap + "    return bytes(note(size(), 'executed'))\n"
        names: dict[str, Any] = {"note": note, "size": size}
        exec(compile(source, f"<made {i % 90}>", "exec"), names)
        names["run"]()
        eval(f"{'(' * (i % 5)}bytes(note(size(), 'eval')){')' * (i % 5)}")

    def dying() -> None:
        pass

    def last_words(_: Any) -> None:
        bytes(note(size(), "callback of a dying code object"))

    names = {}
    exec("def run(x):\n    return x", names)
    names["run"].__code__.co_consts
    reference = weakref.ref(names["run"].__code__, last_words)
    names.clear()
    del reference, dying


def deep() -> None:
    def down(n: int) -> None:
        if n == 0:
            bytes(note(size(), "at the bottom"))
            return
        down(n - 1)
        if n % 2500 == 0:
            bytes(note(size(), "on the way back"))
        if n == 5000:
            down(100)

    sys.setrecursionlimit(12000)
    threading.stack_size(512 << 20)
    thread = threading.Thread(target=down, args=(10000,))
    thread.start()
    thread.join()
    threading.stack_size(0)
    sys.setrecursionlimit(1000)


class Point:
    def __init__(self, allocate: bool) -> None:
        self.x = bytes(note(size(), "__init__")) if allocate else None


class Sub(Point):
    def __init__(self, allocate: bool) -> None:
        super().__init__(allocate)
        if allocate:
            make()


def specialised() -> None:
    """The same line before and after the interpreter specialises it."""

    class Holder:
        @property
        def value(self) -> bytes:
            return bytes(note(size(), "property")) if self.allocate else b""

        def __getitem__(self, key: int) -> bytes:
            return bytes(note(size(), "__getitem__")) if self.allocate else b""

        def __getattr__(self, name: str) -> bytes:
            return bytes(note(size(), "__getattr__")) if self.allocate else b""

        allocate = False

    holder = Holder()
    for i in range(400):
        holder.allocate = allocate = i % 57 == 0
        Point(allocate)
        Sub(allocate)
        holder.value
        holder[1]
        holder.missing


def callbacks() -> None:
    def key(value: int) -> int:
        bytes(note(size(), "sort key"))
        return -value

    class Odd:
        def __eq__(self, other: object) -> bool:
            return bool(make())

        def __hash__(self) -> int:
            return 1 if bytes(note(size(), "hash")) else 0

        def __del__(self) -> None:
            bytes(note(size(), "__del__"))

    sorted([1, 2, 3], key=key)
    list(map(lambda value: bytes(note(size(), "map")), [1, 2]))
    functools.reduce(lambda a, b: make() and a, [1, 2, 3])
    {Odd(): 1, Odd(): 2}
    [Odd()] == [Odd()]
    gc.collect()
    functools.partial(make)()
    compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    array = (ctypes.c_int * 4)(3, 1, 2, 0)

    def compared(_a: Any, _b: Any) -> int:
        bytes(note(size(), "qsort"))
        return 0

    libc.qsort(array, 4, 4, compare(compared))


def watched() -> None:
    def on_event(_frame: Any, event: str, _argument: Any) -> Any:
        if event in ("call", "line"):
            bytes(note(size(), f"in a hook: {event}"))
        return on_event

    def plain() -> None:
        x = 1
        make()
        Point(True)
        del x

    sys.setprofile(on_event)
    try:
        plain()
    finally:
        sys.setprofile(None)
    sys.settrace(on_event)
    try:
        plain()
    finally:
        sys.settrace(None)
    plain()


def threads() -> None:
    def with_and_without_the_gil(number: int) -> None:
        for _ in range(20):
            asked = size()
            libc.free(libc.malloc(note(asked, "no GIL", 0)))
            make()
            functools.reduce(lambda a, b: make() and a, [1, 2])
            block = python.PyMem_RawMalloc(note(size(), "raw", 0))
            python.PyMem_RawFree(block)

    running = [threading.Thread(target=with_and_without_the_gil, args=(i,)) for i in range(6)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def signals() -> None:
    def handler(_number: int, _frame: Any) -> None:
        bytes(note(size(), "signal handler"))

    signal.signal(signal.SIGUSR1, handler)
    for _ in range(5):
        os.kill(os.getpid(), signal.SIGUSR1)
        make()


def names() -> None:
    def naïve_ŝtring_名前() -> None:
        make()

    naïve_ŝtring_名前()
    for file in ("/tmp/𝔉/é.py", "/tmp/é.py", "/tmp/名前.py"):
        exec(compile("bytes(note(size(), 'odd file'))", file, "exec"))
    long = "x" * 3000
    exec(f"def {long}():\n    bytes(note(size(), 'long name'))\n{long}()")


def reallocations() -> None:
    array = bytearray(note(size(), "bytearray", 1))
    array.extend(bytes(5_000_000))
    del array


def traced() -> None:
    """tracemalloc puts its hooks on top of the recorder's, and takes them away."""
    import tracemalloc

    make()
    tracemalloc.start(3)
    simple()
    held = make()
    tracemalloc.stop()
    del held
    simple()


IN_ANOTHER_INTERPRETER = """
import json, os, sys
def note(size):
    stack, frame = [], sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        name = getattr(code, "co_qualname", code.co_name)
        stack.append([code.co_filename, name, frame.f_lineno])
        frame = frame.f_back
    stack.reverse()
    line = json.dumps([os.getpid(), size + 33, "another interpreter", stack])
    os.write(OUT, (line + chr(10)).encode())
    return size
def inner(n):
    return bytes(note(FIRST + n))
def outer(n):
    return [inner(n), list(map(inner, [n + 48]))]
for i in range(20):
    outer(i * 96)
"""


def subinterpreters() -> None:
    """Several interpreters in one thread; from 3.12 in threads at once, each with its own GIL."""
    if sys.version_info >= (3, 13):
        import _interpreters as interpreters
    else:
        import _xxsubinterpreters as interpreters

    def run(which: Any, first: int) -> None:
        source = IN_ANOTHER_INTERPRETER.replace("OUT", str(OUT)).replace("FIRST", str(first))
        interpreters.run_string(which, source)

    made = [interpreters.create() for _ in range(3)]
    for i, which in enumerate(made):
        run(which, 50_000_016 + i * 100_000 // 48 * 48)
        make()
    if sys.version_info >= (3, 12):
        running = [
            threading.Thread(target=run, args=(which, 60_000_000 + i * 100_032))
            for i, which in enumerate(made)
        ]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    for which in made:
        interpreters.destroy(which)
    make()


def forks() -> None:
    make()
    child = os.fork()
    if child == 0:
        try:
            make()
            simple()
            executed()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    make()


def at_random() -> None:
    """A call tree nobody thought out: ordinary calls, generators, callbacks, exec."""
    choose = random.Random(7)

    def generator(depth: int) -> Any:
        for _ in range(choose.randrange(3)):
            step(depth)
            yield depth

    def step(depth: int) -> None:
        global _next
        if choose.random() < 0.5:
            make()
        if depth <= 0:
            return
        kind = choose.randrange(6)
        if kind == 0:
            step(depth - 1)
            step(depth - 2)
        elif kind == 1:
            list(map(step, [depth - 1, depth - 2]))
        elif kind == 2:
            for _ in generator(depth - 1):
                bytes(note(size(), "random loop"))
        elif kind == 3:
            exec("step(depth - 1)", {"step": step, "depth": depth})
        elif kind == 4:
            Point(True)
            step(depth - 3)
        else:
            for d in range(choose.randrange(3)):
                step(depth - 1 - d)

    for _ in range(60):
        step(14)


class Dying:
    """Goes on with the recursion when the frame that holds it is being cleared."""

    def __init__(self, rest: Any) -> None:
        self.rest = rest

    def __del__(self) -> None:
        level(self.rest)


def hold(_: Dying) -> None:
    pass


def level(rest: Any) -> None:
    """One call for each element of (way, (way, ... None)). Most allocate nothing, so that what is outside
    of a frame changes without anything being recorded while it does."""
    if rest is None:
        make()
    elif rest[0] == "on":
        level(rest[1])
    elif rest[0] == "twice":
        level(rest[1])
        level(rest[1])
    elif rest[0] == "loop":
        for _ in 1, 2:
            level(rest[1])
    elif rest[0] == "C":
        any(map(level, rest[1:]))
    elif rest[0] == "generator":
        for _ in (level(r) for r in rest[1:]):
            pass
    elif rest[0] == "cleared":
        hold(Dying(rest[1]))


def recursion() -> None:
    """Deep, back to a level in the middle, and down again by another line of it."""
    choose = random.Random(11)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(4000)
    for others in ["on"], ["on"] * 40 + ["C", "generator", "cleared", "loop"]:
        for _ in range(14):
            depth = choose.randrange(300, 1100)
            ways = [choose.choice(others) if i % 7 == 0 else "on" for i in range(depth)]
            for _ in range(2):
                ways[choose.randrange(depth)] = "twice"
            ways = [way if way != "loop" or ways.count(way) < 3 else "on" for way in ways]
            rest = None
            for way in ways:
                rest = (way, rest)
            level(rest)
    sys.setrecursionlimit(limit)


def kept_chunk() -> None:
    ctypes.PyDLL(os.environ["CHECK_KEPT_CHUNK"]).keep_one_chunk()
    recursion()


def main() -> None:
    wanted = sys.argv[2:]
    for case in wanted:
        globals()[case]()
    sys.stdout.flush()


if __name__ == "__main__":
    main()
