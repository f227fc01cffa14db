"""Databases of one agent, their buckets, and what is restored from them."""

from __future__ import annotations

import http
import http.client
import json
import socket
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import yaml

from tests.support.running import (
    PATIENCE,
    Agent,
    assert_same_pages,
    checkpointed,
    litefleet,
    litestream,
    make_bucket,
    write_config,
)

#: Servers that come back are found soon, and those that fall silent are given up soon.
QUICK = {"reconnect-wait": "100ms", "timeout": "2s", "shutdown-sync-timeout": "2s"}


class Databases:
    """Buckets are named as their databases, and exist unless the test makes them."""

    def __init__(self, directory: Path, url: str, *names: str, make: str = "", **extra: Any) -> None:
        """``url`` is the agent's way to the server; ``make`` the one to make buckets by, if it is another."""
        self.directory = directory
        self.url = make or url
        self.config = directory / "config.yml"
        self.names = names
        self._places: dict[str, str] = {}
        self._extra = {**QUICK, **extra}
        for name in names:
            make_bucket(self.url, name)
        self.configure(url, *names)

    def configure(self, url: str, *names: str, **extra: Any) -> None:
        """``database`` among the extras is for each of them, the others are for the top level."""
        top = {**self._extra, **extra}
        each = top.pop("database", {})
        write_config(self.config, url, {self.path(name): name for name in names}, **top)
        content = yaml.safe_load(self.config.read_text())
        content["dbs"] = [{**entry, **each} for entry in content["dbs"]]
        self.config.write_text(yaml.safe_dump(content))

    def share(self, bucket: str, *names: str) -> None:
        """Let all of them use one bucket, each below a path of its own."""
        content = yaml.safe_load(self.config.read_text())
        replica = content["dbs"][0]["replica"]
        content["dbs"] = [
            {"path": str(self.path(name)), "replica": {**replica, "bucket": bucket, "path": name}} for name in names
        ]
        self.config.write_text(yaml.safe_dump(content))
        self._places = {name: f"{bucket}/{name}" for name in names}

    def place(self, name: str) -> str:
        """The URL to restore from."""
        return f"{self.url}/{self._places.get(name, name)}"

    def path(self, name: str) -> Path:
        return self.directory / f"{name}.db"

    @property
    def spool(self) -> Path:
        return self.config.with_suffix(".spool")

    def agent(self, *options: str) -> Agent:
        return Agent(self.config, *options)

    def figures(self, name: str) -> dict[str, Any]:
        """What the running agent knows of a database."""
        rows = self._ask("GET", "/status")["databases"]
        found: list[dict[str, Any]] = [one for one in rows if one["path"] == str(self.path(name))]
        return found[0]

    def _ask(self, method: str, what: str, **body: Any) -> Any:
        with closing(_Unix(self.config.with_suffix(".sock"))) as connection:
            connection.request(method, what, json.dumps(body) if body else None)
            answer = connection.getresponse()
            content = json.loads(answer.read())
            assert answer.status == http.HTTPStatus.OK, content
            return content

    def wait(self, name: str, wanted: Callable[[dict[str, Any]], bool], *, patience: float = PATIENCE) -> None:
        """Until the agent's figures of a database are as wanted."""
        deadline = time.monotonic() + patience
        while not wanted(figures := self.figures(name)):
            assert time.monotonic() < deadline, figures
            time.sleep(0.05)

    def settle(self, *names: str) -> None:
        """Until the agent has sent all that is committed, and nothing is wrong."""
        for name in names:
            self._ask("POST", "/sync", path=str(self.path(name)), wait=True, timeout=PATIENCE - 5)
            self.wait(name, lambda figures: figures["state"] == "replicating" and not figures["pending"])

    def restored(self, name: str, program: str = "litefleet") -> Path:
        """A copy made from the bucket, which SQLite finds in order."""
        output = self.directory / f"{name}.{program}"
        output.unlink(missing_ok=True)
        if program == "litefleet":
            litefleet("restore", self.place(name), "-o", output, "--integrity-check", "full")
        else:
            litestream("restore", "-o", output, self.place(name))
        return output

    def assert_restores(self, *names: str, programs: Sequence[str] = ("litefleet", "litestream")) -> None:
        """By these programs, equal to the database, which no process may have open."""
        for name in names:
            live = self.directory / f"{name}.live"
            live.write_bytes(checkpointed(self.path(name)))
            for program in programs:
                assert_same_pages(self.restored(name, program), live, 4096)

    def wait_restorable(
        self, name: str, entries: int, *, programs: Sequence[str] = ("litefleet", "litestream")
    ) -> None:
        """Until these programs restore that many entries, while agent and application run; a minute at most."""
        deadline = time.monotonic() + PATIENCE
        for program in programs:
            while (found := self._restorable(name, program)) != entries:
                assert time.monotonic() < deadline, f"{program} restores {found} entries instead of {entries}"

    def restored_entries(self, name: str) -> int:
        """How many a restore brings back."""
        return entries_of(self.restored(name))

    def _restorable(self, name: str, program: str) -> int:
        output = self.directory / f"{name}.{program}"
        output.unlink(missing_ok=True)
        run = litefleet if program == "litefleet" else litestream
        done = run("restore", "-o", output, self.place(name), code=None)
        return entries_of(output) if done.returncode == 0 else -1


def entries_of(path: Path) -> int:
    """How many there are; both tables agree, or a transaction was torn."""
    with closing(sqlite3.connect(path)) as connection:
        count = int(connection.execute("SELECT count(*) FROM entry").fetchone()[0])
        assert connection.execute("SELECT entries FROM total").fetchone()[0] == count
    return count


class _Unix(http.client.HTTPConnection):
    """HTTP over a socket in the file system."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(str(self._path))
