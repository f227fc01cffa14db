# ruff: noqa: INP001 - a script for test hosts
"""Make SQLite databases with some thousand rows at the paths of the command line."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

for path in map(Path, sys.argv[1:]):
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE entry (id INTEGER PRIMARY KEY, body TEXT NOT NULL)")
        database.executemany("INSERT INTO entry (body) VALUES (?)", ((f"{number:064x}",) for number in range(5000)))
    database.close()
