"""The SQL of docs/sql.md, in DuckDB and in ClickHouse's dialect: the same rows, and heaptide's."""

from __future__ import annotations

import csv
import io
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from heaptide.formats import by_name, open_recording, write
from heaptide.profile import METRICS, Profile, summarize
from heaptide.recording import Recording
from tests.formats.files import DATA
from tests.support import recorded

PAGE = (Path(__file__).parents[2] / "docs" / "sql.md").read_text()
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)


_PROGRAM = """
import json, threading, time
kept = []
def work(times):
    for number in range(times):
        kept.append(json.loads('{"a": [1, 2, "three"]}'))
        time.sleep(0.005)
def main():
    other = threading.Thread(target=work, args=(20,))
    other.start()
    work(60)
    other.join()
main()
"""


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A recording of a real program, and its tables."""
    directory = tmp_path_factory.mktemp("sql")
    found = recorded.record(directory, [sys.executable, "-c", _PROGRAM])
    target = directory / "tables.parquet"
    with Recording.open(found.path) as recording:
        write(Profile(recording), by_name("parquet"), target)
    return found.path, target


def duck(query: str, directory: Path) -> list[tuple[Any, ...]]:
    import duckdb

    with duckdb.connect() as connection:
        connection.execute(f"SET file_search_path = '{directory}'")
        return list(connection.execute(query).fetchall())


def house(query: str, directory: Path) -> list[tuple[Any, ...]]:
    import chdb

    dialect = re.sub(r"'(\w+\.parquet)'", rf"file('{directory}/\1')", query)
    text = str(chdb.query(dialect, "CSV"))  # type: ignore[no-untyped-call]
    rows = csv.reader(io.StringIO(text))
    return [tuple(_value(cell) for cell in row) for row in rows]


def _value(cell: str) -> Any:
    if cell == "\\N":
        return None
    return int(cell) if re.fullmatch(r"-?\d+", cell) else cell


def same(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [tuple(int(v) if isinstance(v, float) else v for v in row) for row in rows]


@pytest.mark.parametrize("query", QUERIES, ids=range(len(QUERIES)))
def test_both_engines_answer_alike(tables: tuple[Path, Path], query: str) -> None:
    found = same(duck(query, tables[1]))
    assert found
    assert same(house(query, tables[1])) == found


def test_the_answers_are_those_of_the_recording(tables: tuple[Path, Path]) -> None:
    with Recording.open(tables[0]) as recording:
        profile = Profile(recording)
        fold = profile.fold("line", METRICS["peak"])
        rows = duck(QUERIES[0], tables[1])
        assert sum(row[3] for row in rows) == int(fold.values[:10].sum())
        assert rows[0][3] == int(fold.values[0])
        live = duck(QUERIES[2], tables[1])
        assert live[-1][1] == summarize(profile).alive_at_exit_bytes
        total = duck("SELECT sum(total_bytes), sum(allocations) FROM 'samples.parquet'", tables[1])
        assert total == [(summarize(profile).total_bytes, summarize(profile).allocations)]
        known = duck("SELECT peak_bytes, allocations FROM 'recordings.parquet'", tables[1])
        assert known == [(summarize(profile).peak_bytes, summarize(profile).allocations)]


def test_what_a_recording_does_not_know_is_null(tmp_path: Path) -> None:
    with open_recording(DATA / "mb.massif.out") as recording:
        write(Profile(recording), by_name("parquet"), tmp_path / "a.parquet")
    rows = duck("SELECT total_bytes, allocations FROM 'recordings.parquet'", tmp_path / "a.parquet")
    assert rows == [(None, None)]
    rows = duck(
        "SELECT count(*) FROM 'samples.parquet' WHERE total_bytes IS NULL", tmp_path / "a.parquet"
    )
    assert rows[0][0] > 0
