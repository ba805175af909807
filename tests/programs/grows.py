"""Prints what allocators tell as JSON: at first, with 50,000 blocks of 2000 bytes, with half of them,
with none. The blocks are the program's own if it has functions for that, else malloc's."""

import ctypes
import json

import heaptide.allocators as allocators

COUNT, SIZE = 50_000, 2000
program = ctypes.CDLL(None)
program.malloc.restype = ctypes.c_void_p
program.malloc.argtypes = [ctypes.c_size_t]
program.free.argtypes = [ctypes.c_void_p]
blocks = (ctypes.c_void_p * COUNT)()


def grow():
    if hasattr(program, "grow"):
        program.grow(ctypes.c_size_t(COUNT), ctypes.c_size_t(SIZE))
        return
    for index in range(COUNT):
        blocks[index] = program.malloc(SIZE)
        ctypes.memset(blocks[index], 1, SIZE)


def drop(step):
    if hasattr(program, "grow"):
        program.drop_half() if step == 2 else program.drop_all()
        return
    for index in range(0, COUNT, step):
        program.free(blocks[index])
        blocks[index] = None


def look():
    found = []
    for one in allocators.read(arenas=True, asking="always"):
        about = {name: getattr(one, name) for name in one.__dataclass_fields__ if name != "arenas"}
        arenas = [arena.allocated for arena in one.arenas]
        found.append({**about, "arenas": arenas, "fragmentation": one.fragmentation})
    return found


def psutil_says():
    try:
        import psutil
    except ImportError:
        return None
    return list(psutil.heap_info()) if hasattr(psutil, "heap_info") else None


look()
looks = [look()]
grow()
looks.append(look())
psutil_said = psutil_says()
drop(2)
looks.append(look())
drop(1)
looks.append(look())
rss = allocators.read_process().rss
print(json.dumps({"looks": looks, "psutil": psutil_said, "rss": rss}))
