"""Running ``litefleet doctor``, and picking out what it found."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.support import agent


def database(path: Path) -> Path:
    """A database that nobody has open, without a WAL, as a SQLite without the WAL-reset bug would leave it."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS t (x)")
    with path.open("r+b") as file:
        file.seek(96)
        file.write((3_053_000).to_bytes(4, "big"))
    return path


def configuration(directory: Path, databases: Mapping[Path, Mapping[str, Any]], **top: Any) -> Path:
    """A configuration with a replica for each database, and a spool that any user can have."""
    spool = {"path": str(directory / "spool"), "limit": "1MiB"}
    return agent.write_config(directory / "litefleet.yml", list(databases.items()), spool=spool, **top)


class Report:
    """What one run found."""

    def __init__(self, config: Path, *options: str, code: int | None = None) -> None:
        done = agent.run("doctor", "--config", config, "--json", *options)
        assert done.err == ""
        assert code is None or done.code == code, done.out
        self.code = done.code
        self.findings: list[dict[str, str]] = agent.Finished(0, done.out, done.err).json()

    def of(self, status: str, check: str | None = None) -> list[dict[str, str]]:
        """The findings of a status and, if it is given, a check."""
        return [found for found in self.findings if found["status"] == status and check in (None, found["check"])]

    def details(self, status: str, check: str | None = None) -> list[str]:
        return [found["detail"] for found in self.of(status, check)]

    def one(self, check: str) -> dict[str, str]:
        """The only finding of a check."""
        (found,) = [found for found in self.findings if found["check"] == check]
        return found
