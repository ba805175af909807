"""A dict of lists of records, built, read and dropped. usage: py_records.py ITERATIONS"""

from __future__ import annotations

from bench_clock import timed


class Record:
    def __init__(self, number: int, name: str) -> None:
        self.number = number
        self.name = name


def total(records: list[Record]) -> int:
    return sum(record.number + len(record.name) for record in records)


def run(iterations: int) -> int:
    groups: dict[int, list[Record]] = {}
    result = 0
    for i in range(iterations):
        group = groups.setdefault(i % 5_000, [])
        group.append(Record(i, "record"))
        if len(group) == 10:
            result += total(group)
            groups[i % 5_000] = []
    return result


if __name__ == "__main__":
    for arguments in timed():
        run(*arguments)
