"""One server and one database with four transactions in its bucket, for all tests of the commands."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support import agent
from tests.support.natsserver import NatsServer, nats_server
from tests.support.running import make_bucket
from tests.support.sqlitewriter import Writer


@dataclass(frozen=True)
class Backup:
    """A database that is open in an application, and its bucket."""

    server: NatsServer
    database: Path
    config: Path
    bucket: str
    #: The database file's content at each TXID.
    states: dict[int, bytes] = field(repr=False)

    @property
    def url(self) -> str:
        return f"{self.server.url}/{self.bucket}"

    @property
    def newest(self) -> bytes:
        return self.states[max(self.states)]


def object_name(txid: int) -> str:
    return f"ltx/0/{txid:016x}-{txid:016x}.ltx"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with nats_server(store_dir=tmp_path_factory.mktemp("nats")) as running:
        yield running


@pytest.fixture(scope="module")
def backup(server: NatsServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backup]:
    directory = tmp_path_factory.mktemp("source")
    database = directory / "app.db"
    make_bucket(server.url, "app")
    replica = {"url": server.url, "bucket": "app"}
    config = agent.write_config(directory / "litefleet.yml", [(database, replica)], logging={"level": "error"})
    states = {}
    with Writer(database) as app:
        app.run("CREATE TABLE t (n INTEGER PRIMARY KEY, b)")
        for txid in range(1, 5):
            app.run("INSERT INTO t (b) VALUES (zeroblob(?) || hex(randomblob(?)))", [[txid * 3000, 900]] * txid)
            done = agent.run("replicate", "--config", config, "--once")
            assert (done.code, done.out, done.err) == (0, "", "")
            states[txid] = agent.database_bytes(database, directory)
        yield Backup(server, database, config, "app", states)


_numbers = itertools.count(1)


@pytest.fixture
def copied(backup: Backup) -> Callable[[], str]:
    """Make a bucket of one's own to damage, with the same objects; its name."""

    def copy() -> str:
        name = f"copy{next(_numbers)}"
        agent.copy_bucket(backup.server.url, backup.bucket, name)
        return name

    return copy


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty directory to restore into."""
    directory = tmp_path / "place"
    directory.mkdir()
    return directory
