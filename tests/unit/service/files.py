"""Directories of databases for tests: real files, made here."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from litefleet.config import Database, Directory, Replica, Server


def directory(root: Path, pattern: str = "*.db", *, recursive: bool = True, path: str = "{relative}") -> Directory:
    """An entry of the configuration; where notification cannot be had, it is looked at often."""
    replica = Replica(Server(("nats://127.0.0.1:1",)), "B", path)
    return Directory(root, pattern, recursive, True, Database(root, replica, monitor_interval=0.02))


def make(file: Path, rows: int = 1) -> Path:
    """A database."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("PRAGMA synchronous=off")
        connection.execute("CREATE TABLE t (x)")
        connection.executemany("INSERT INTO t VALUES (?)", [("x" * 1000,)] * rows)
    return file
