"""sqlite3: a database in memory, with functions in Python called from inside SQLite."""

from __future__ import annotations

import sqlite3

db = sqlite3.connect(":memory:")
db.create_function("shorten", 1, lambda text: text[:7])
db.execute("create table t (id integer primary key, name text, data blob)")
with db:
    db.executemany(
        "insert into t values (?, ?, ?)",
        ((i, f"name number {i % 977}", bytes([i % 251]) * (i % 90)) for i in range(20_000)),
    )
db.execute("create index by_name on t (name)")
print(db.execute("select count(*), sum(length(data)), max(name) from t").fetchone())
shortened = "select shorten(name) n, count(*) from t group by n order by n limit 9"
print(db.execute(shortened).fetchall())
try:
    db.execute("insert into t values (1, 'again', null)")
except sqlite3.IntegrityError as error:
    print(error)
print(sum(1 for _ in db.iterdump()))
