"""An application in this process, as SQLite's users write them, and what its backup holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.natsserver import NatsServer
from tests.support.running import make_bucket


class Application:
    """A database that this process has open; a transaction is a row."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.connection.execute("PRAGMA journal_mode=wal")
        self.connection.execute("CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY)")

    def commit(self, count: int = 1) -> None:
        for _ in range(count):
            self.connection.execute("INSERT INTO entry DEFAULT VALUES")


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Application]:
    application = Application(tmp_path / "app.db")
    yield application
    application.connection.close()


@pytest.fixture
def url(server: NatsServer) -> str:
    """The replica of bucket ``app``."""
    make_bucket(server.url, "app")
    return f"{server.url}/app"


def rows(path: Path) -> int:
    """The transactions of a restored database, which nobody else has open."""
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM entry").fetchone()[0])
