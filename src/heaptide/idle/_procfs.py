"""Which processes a program has, and what they would take if nothing else ran."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from heaptide import _procfs
from heaptide._procfs import Memory, Process

from ._alone import file_pages


class Procfs(_procfs.Procfs):
    """A /proc to read, the pages of files included."""

    def alone(self, memories: Mapping[int, Memory]) -> int | None:
        """What these processes would take if nothing else ran, in bytes; None: it is not told."""
        if not all(memory.pss_anon for memory in memories.values()):
            return None
        files = file_pages(self.root, memories)
        return None if files is None else files + sum(m.pss_anon for m in memories.values())


def members(
    processes: Mapping[int, Process], root: int, adopter: int, others: Collection[int]
) -> list[Process]:
    """The processes of the program that was started as ``root``: itself, its children and theirs,
    and those whose parents have ended, which ``adopter`` got for children; the oldest first.

    ``others``: children of the adopter that are none of it; sessions that they lead are left out.
    """
    found = {}
    waiting = [
        one
        for one in processes.values()
        if (one.pid == root or one.parent == adopter)
        and one.pid not in others
        and one.session not in others
    ]
    children: dict[int, list[Process]] = {}
    for one in processes.values():
        children.setdefault(one.parent, []).append(one)
    while waiting:
        one = waiting.pop()
        if one.pid not in found:
            found[one.pid] = one
            waiting += children.get(one.pid, [])
    return sorted(found.values(), key=lambda one: (one.pid != root, one.started, one.pid))
