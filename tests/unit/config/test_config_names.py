"""Databases whose names are not UTF-8: SQLite cannot open them, so nobody is to wait for a backup of theirs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from litefleet.config import expand, parse
from litefleet.config.settings import Database, Directory, Replica, Server
from litefleet.errors import ConfigError

NAME = os.fsdecode(b"caf\xe9.db")


def test_a_path_that_is_not_utf8_is_refused() -> None:
    text = "dbs: [{path: $NAME, replica: {url: 'nats://h/b'}}]"
    with pytest.raises(ConfigError, match="is not UTF-8"):
        parse(text, source="f", environ={"NAME": f"/data/{NAME}"})
    assert parse(text, source="f", environ={"NAME": "/data/größe 🗄.db"}).databases[0].path == Path("/data/größe 🗄.db")


@pytest.mark.parametrize("path", ["", "{relative}"])
def test_a_file_of_a_directory_that_is_not_utf8_is_refused(path: str) -> None:
    replica = Replica(Server(("nats://h:4222",)), "{name}", path)
    directory = Directory(Path("/data"), "*.db", False, True, Database(Path("/data"), replica))
    with pytest.raises(ConfigError, match="UTF-8"):
        expand(directory, Path("/data") / NAME)
