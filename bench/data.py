"""A database with rows as applications have them: text, numbers and some incompressible bytes."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

_WORDS = [
    "order",
    "invoice",
    "customer",
    "pending",
    "shipped",
    "refund",
    "street",
    "city",
    "parcel",
    "total",
    "discount",
    "note",
    "item",
    "shelf",
    "batch",
]


def make_database(path: Path, size: int) -> None:
    """Write about ``size`` bytes; the same every time."""
    chance = random.Random(1)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=wal")
    connection.execute("PRAGMA synchronous=off")
    connection.execute("CREATE TABLE entry (id INTEGER PRIMARY KEY, at REAL, name TEXT, note TEXT, token BLOB)")
    connection.execute("CREATE INDEX entry_name ON entry (name)")
    while path.stat().st_size < size:
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO entry (at, name, note, token) VALUES (?, ?, ?, ?)", _rows(chance, 20_000))
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _rows(chance: random.Random, count: int) -> list[tuple[float, str, str, bytes]]:
    return [
        (
            1.7e9 + chance.random() * 1e8,
            f"{chance.choice(_WORDS)}-{chance.randrange(10**6)}",
            " ".join(chance.choices(_WORDS, k=chance.randint(4, 40))),
            chance.randbytes(chance.randint(16, 200)),
        )
        for _ in range(count)
    ]
