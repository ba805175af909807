"""Indexes the words of Python's own standard library, and answers a few questions from the index.

    heaptide run examples/index_sources.py [MODULE]...

An ordinary program with ordinary memory: texts that come and go, an index that stays, and a cache
that somebody forgot to bound.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from collections import Counter, defaultdict
from pathlib import Path

WORD = re.compile(r"[A-Za-z_]{3,}")


class Index:
    """Which word is on which line of which file."""

    def __init__(self) -> None:
        self.places: dict[str, list[tuple[str, int]]] = defaultdict(list)
        self.counts: Counter[str] = Counter()
        self.cache: dict[str, list[str]] = {}

    def add(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8", errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            words = WORD.findall(line)
            self.counts.update(words)
            for word in words:
                self.places[word.lower()].append((path.name, number))

    def find(self, word: str) -> list[str]:
        if word not in self.cache:
            self.cache[word] = [f"{name}:{number}" for name, number in self.places[word]]
        return self.cache[word]


def main(names: list[str]) -> None:
    library = Path(sysconfig.get_paths()["stdlib"])
    paths = [library / f"{name}.py" for name in names] or sorted(library.glob("*.py"))
    index = Index()
    for path in paths:
        index.add(path)
    print(f"{len(paths)} files, {sum(index.counts.values()):,} words, {len(index.counts):,} kinds")
    for word, count in index.counts.most_common(5):
        print(f"  {word:8} {count:6,} times, first in {index.find(word.lower())[0]}")
    asked = [word for word in index.places if word.startswith("re")]
    print(f"{sum(len(index.find(word)) for word in asked):,} places have a word in re…")


if __name__ == "__main__":
    main(sys.argv[1:])
