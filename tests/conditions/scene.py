"""What a condition is made of: a program under test, a directory, databases, buckets and what was seen."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nats
import nats.errors
import nats.js.errors
import yaml
from nats.aio.client import Client

from tests.support.running import BIN, Process, make_bucket

#: Seconds for a command or for something to come about; a condition is over long before.
PATIENCE = 90.0
#: Characters of an error that are shown.
LONGEST = 200
NAMES = ("litefleet", "litestream")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a program did: whether a user can live with it, and in words."""

    good: bool
    text: str


@dataclass(frozen=True, slots=True)
class Condition:
    """``check`` provokes it for a program; ``open_because`` says what litefleet still lacks, if it does."""

    number: int
    title: str
    check: Callable[[Scene], Seen]
    open_because: str = ""
    #: Mostly waiting: both programs can be watched at once.
    waiting: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended; its code is None if it had to be ended."""

    code: int | None
    output: str
    seconds: float

    @property
    def complaint(self) -> str:
        return f"exit {self.code}" if self.code is not None else "did not end"


class Scene:
    """One program (``litefleet`` or ``litestream``) in a directory of its own."""

    def __init__(self, program: str, directory: Path) -> None:
        self.program = program
        self.ours = program == "litefleet"
        self.directory = directory

    def database(self, name: str = "app.db", *, megabytes: float = 0, rows: int = 3) -> Path:
        """A new database in WAL mode; each of its rows says which database it is in."""
        path = self.directory / name
        with writing(path) as connection:
            connection.execute("PRAGMA journal_mode=wal")
            connection.execute("CREATE TABLE entry (id INTEGER PRIMARY KEY, origin TEXT, body BLOB)")
            connection.execute("BEGIN")
            connection.executemany("INSERT INTO entry (origin) VALUES (?)", [(name,)] * rows)
            connection.execute("COMMIT")
        if megabytes:
            fill(path, megabytes)
        return path

    def config(self, replicas: dict[Path, dict[str, Any]], *, each: dict[str, Any] | None = None, **top: Any) -> Path:
        """A configuration file in the form of Litestream's NATS guide; ``each`` goes to every database."""
        path = self.directory / "config.yml"
        dbs = [
            {"path": str(db), **(each or {}), "replica": {"type": "nats", **replica}}
            for db, replica in replicas.items()
        ]
        path.write_text(yaml.safe_dump({"dbs": dbs, **self.defaults, **top}, sort_keys=False))
        return path

    @property
    def defaults(self) -> dict[str, Any]:
        """What keeps the program inside its directory."""
        return {"spool": {"path": str(self.spool)}} if self.ours else {}

    def simple(self, database: Path, url: str, bucket: str = "backups", **top: Any) -> Path:
        """One database to one bucket."""
        return self.config({database: self.where(url, bucket)}, **top)

    def where(self, url: str, bucket: str = "backups", **options: Any) -> dict[str, Any]:
        """A replica, with the bucket where the program looks for it."""
        place = {"url": url, "bucket": bucket} if self.ours else {"url": f"{url}/{bucket}"}
        return place | options

    def once(self, config: Path, *, patience: float = PATIENCE) -> Done:
        return self.run("replicate", "-config", config, "-once", patience=patience)

    def daemon(self, config: Path) -> Process:
        return Process(BIN / self.program, "replicate", "-config", config)

    def restore(self, url: str, bucket: str = "backups", *, patience: float = PATIENCE) -> Done:
        """Into ``restored``, anew each time."""
        self.restored.unlink(missing_ok=True)
        return self.run("restore", "-o", self.restored, f"{url}/{bucket}", patience=patience)

    @property
    def restored(self) -> Path:
        return self.directory / "restored.db"

    @property
    def spool(self) -> Path:
        """Where litefleet keeps what waits for the server."""
        return self.directory / "spool"

    def run(self, *arguments: str | Path, patience: float = PATIENCE) -> Done:
        command = [str(BIN / self.program), *(str(argument) for argument in arguments)]
        began = time.monotonic()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            try:
                output, _ = process.communicate(timeout=patience)
                code: int | None = process.returncode
            except subprocess.TimeoutExpired:
                process.kill()
                output, _ = process.communicate()
                code = None
        return Done(code, output, time.monotonic() - began)

    def said(self, output: str) -> str:
        """The error in what a program printed: one short line without this run's paths and ports."""
        text = re.sub(r"\n {2,}(?=\S)", " ", output)  # lines that go on with the one before
        wanted = "error|ERR|refus|unknown|fail|not supported|same bucket|hint|^litefleet:"
        found = text.splitlines()
        lines = [line for line in found if re.search(wanted, line, re.IGNORECASE)]
        lines = lines or [line for line in found if "WARN" in line]
        # Litefleet says it first, a list of problems below its heading; Litestream says it last.
        lines = [line for line in lines if not re.search(r"\d+ problems in the configuration$", line)] or lines
        line = lines[0 if self.ours else -1] if lines else ""
        line = re.sub(r"^(time=)?\S+ (level=)?\w+ (msg=)?", "", line) if re.match("(time=|20)", line) else line
        line = line.replace(f"{self.directory}/", "/data/").replace(str(self.directory), "/data")
        line = re.sub(r"127\.0\.0\.1:\d+", "HOST:4222", line)
        if len(line) <= LONGEST:
            return line
        # Here too: what happened stands first in the one, last in the other.
        return f"{line[:LONGEST]} …" if self.ours else f"{line[: LONGEST // 3]} … {line[-LONGEST * 2 // 3 :]}"


@contextlib.contextmanager
def writing(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that commits by itself, closed afterwards."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    try:
        yield connection
    finally:
        connection.close()


def fill(path: Path, megabytes: float) -> None:
    """Add incompressible rows, in transactions of up to 20 MB."""
    with writing(path) as connection:
        left = int(megabytes * 250)
        while left > 0:
            rows, left = min(left, 5000), left - 5000
            connection.execute(
                "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
                " INSERT INTO entry (origin, body) SELECT 'fill', randomblob(3900) FROM n",
                (rows,),
            )


def commit(path: Path) -> None:
    """One small transaction."""
    with writing(path) as connection:
        connection.execute("INSERT INTO entry (origin) VALUES ('commit')")


def count(path: Path, origin: str | None = None) -> int:
    with writing(path) as connection:
        if origin is None:
            return int(connection.execute("SELECT count(*) FROM entry").fetchone()[0])
        return int(connection.execute("SELECT count(*) FROM entry WHERE origin = ?", (origin,)).fetchone()[0])


def equal(one: Path, other: Path) -> bool:
    """Whether two databases hold the same rows and both are sound."""
    query = "SELECT origin, count(*), sum(id), sum(length(body)) FROM entry GROUP BY origin ORDER BY origin"
    answers = []
    for path in (one, other):
        with writing(path) as connection:
            try:
                found = connection.execute(query).fetchall(), connection.execute("PRAGMA quick_check").fetchone()
            except sqlite3.DatabaseError:  # so damaged that not even its rows can be counted
                return False
            answers.append(found)
    return answers[0] == answers[1] and answers[0][1] == ("ok",)


def sound(path: Path) -> bool:
    """Whether SQLite finds no fault with it."""
    with writing(path) as connection:
        try:
            return bool(connection.execute("PRAGMA quick_check").fetchone() == ("ok",))
        except sqlite3.DatabaseError:
            return False


def on_server(url: str, work: Callable[[Client], Any], **login: Any) -> Any:
    """Run ``work`` with a client of the server."""

    async def run() -> Any:
        client = await nats.connect(url, **login)
        try:
            return await work(client)
        finally:
            await client.close()

    return asyncio.run(run())


def bucket(url: str, name: str = "backups", **options: Any) -> None:
    make_bucket(url, name, **options)


def subjects(url: str, name: str = "backups", kind: str = "M") -> dict[str, int]:
    """The bucket's subjects of metadata (``M``) or chunks (``C``), with the messages under each."""

    async def ask(client: Client) -> dict[str, int]:
        body = json.dumps({"subjects_filter": f"$O.{name}.{kind}.>"}).encode()
        try:
            answer = json.loads((await client.request(f"$JS.API.STREAM.INFO.OBJ_{name}", body, timeout=5)).data)
        except nats.errors.Error:
            return {}
        return dict(answer.get("state", {}).get("subjects") or {})

    found: dict[str, int] = on_server(url, ask)
    return found


def objects(url: str, name: str = "backups", level: int | None = None) -> list[dict[str, Any]]:
    """The metadata of what the bucket holds, of one level if asked, in order of the names; no tombstones."""
    prefix = "" if level is None else f"ltx/{level}/"
    wanted = subjects(url, name)

    async def ask(client: Client) -> list[dict[str, Any]]:
        stream, found = client.jetstream(), []
        for subject in wanted:
            with contextlib.suppress(nats.js.errors.NotFoundError):  # gone since
                message = await stream.get_last_msg(f"OBJ_{name}", subject)
                found.append(json.loads(message.data or b"{}"))
        return found

    kept = [one for one in on_server(url, ask) if one["name"].startswith(prefix) and not one.get("deleted")]
    return sorted(kept, key=lambda one: str(one["name"]))


def stored_bytes(url: str, name: str = "backups") -> int:
    async def ask(client: Client) -> int:
        return int((await client.jetstream().stream_info(f"OBJ_{name}")).state.bytes)

    return int(on_server(url, ask))


def comes_true(condition: Callable[[], bool], patience: float = PATIENCE) -> bool:
    """Whether it becomes true in time."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def cpu_seconds(pid: int) -> float:
    """Processor time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def stop(process: Process, patience: float = PATIENCE) -> int | None:
    """The exit code after SIGTERM; None if it does not end."""
    process.signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.wait(patience)
    return None
