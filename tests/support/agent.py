"""The real ``litefleet`` command, the files it needs, and buckets that are as damaged as a test wants them."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nats

from litefleet.config.settings import Server
from litefleet.nats.connection import Connection
from litefleet.nats.objects import ObjectStore
from tests.support.running import make_bucket
from tests.support.sqlitewriter import run_sql

#: Seconds after which a command that does not end fails the test.
PATIENCE = 60.0


def command() -> list[str]:
    """How to start ``litefleet``: the script beside the running Python, else the module."""
    script = Path(sys.executable).parent / "litefleet"
    return [str(script)] if script.exists() else [sys.executable, "-m", "litefleet"]


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Standard output as JSON; the command has succeeded."""
        assert self.code == 0, self.err
        return json.loads(self.out)


def run(*arguments: str | Path, env: Mapping[str, str] | None = None, timeout: float = PATIENCE) -> Finished:
    """Run ``litefleet`` to its end; ``env`` is added to the environment."""
    done = subprocess.run(
        [*command(), *map(str, arguments)],
        check=False, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL,
        env={**os.environ, **(env or {})},
    )  # fmt: skip
    return Finished(done.returncode, done.stdout, done.stderr)


@asynccontextmanager
async def started(*arguments: str | Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """``litefleet`` while the block runs; it is killed at its end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *command(),
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        # A shell that runs the tests in the background has them, and so their children, ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def finished(process: asyncio.subprocess.Process) -> Finished:
    """Wait for the end of a started command."""
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Finished(process.returncode, out.decode(), err.decode())


def write_config(path: Path, databases: Sequence[tuple[Path, Mapping[str, Any]]], **top: Any) -> Path:
    """A configuration file with a replica for each database (JSON is YAML)."""
    dbs = [{"path": str(db), "replica": {"type": "nats", **replica}} for db, replica in databases]
    path.touch(0o600)
    # Not where an installed agent keeps it.
    spool = {"path": str(path.with_suffix(".spool"))}
    path.write_text(json.dumps({"spool": spool, "dbs": dbs, **top}, indent=1))
    return path


def database_bytes(path: Path, scratch: Path) -> bytes:
    """What the database file will be once its WAL is checkpointed; works on a copy, while nobody writes."""
    copy = scratch / "copy.db"
    for suffix in ("", "-wal"):
        if Path(f"{path}{suffix}").exists():
            # Not here: closing a database's file would drop the locks of this process on it.
            subprocess.run(["cp", f"{path}{suffix}", f"{copy}{suffix}"], check=True, timeout=PATIENCE)
    assert run_sql(copy, "PRAGMA wal_checkpoint(TRUNCATE)")[0][0] == 0
    content = copy.read_bytes()
    copy.unlink()
    return content


def copy_bucket(url: str, source: str, target: str) -> None:
    """A new bucket with the same objects."""
    make_bucket(url, target)

    async def copy() -> None:
        async with Connection.open(Server((url,))) as connection:
            store, other = ObjectStore(connection, source), ObjectStore(connection, target)
            for info in (await store.list()).objects:
                await other.put(info.name, store.read(info), headers=info.headers)

    asyncio.run(copy())


@dataclass
class StoredObject:
    """An object as the stream has it."""

    metadata: dict[str, Any]
    chunks: list[bytes]

    @property
    def content(self) -> bytes:
        return b"".join(self.chunks)

    def remove(self) -> None:
        """No object at all."""
        self.metadata, self.chunks = {}, []

    def replace(self, content: bytes) -> None:
        """Other content, with metadata that fit."""
        self.chunks = [content]
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode()
        self.metadata |= {"size": len(content), "chunks": 1, "digest": f"SHA-256={digest}"}


def change_object(url: str, bucket: str, name: str, change: Callable[[StoredObject], object]) -> None:
    """Let ``change`` alter an object, then store it as it is; without chunks and metadata it is gone."""

    async def work() -> None:
        client = await nats.connect(url)
        stream = f"OBJ_{bucket}"
        js = client.jetstream()
        subject = f"$O.{bucket}.M.{base64.urlsafe_b64encode(name.encode()).decode()}"
        found = await js.get_last_msg(stream, subject)
        metadata = json.loads(found.data or b"")
        chunk_subject = f"$O.{bucket}.C.{metadata['nuid']}"
        chunks: list[bytes] = []
        sequence = 0
        while len(chunks) < metadata["chunks"]:
            message = await js.get_msg(stream, seq=sequence + 1, subject=chunk_subject, next=True)
            assert message.seq is not None
            chunks.append(message.data or b"")
            sequence = message.seq
        stored = StoredObject(metadata, chunks)
        change(stored)
        await js.purge_stream(stream, subject=chunk_subject)
        for chunk in stored.chunks:
            await js.publish(chunk_subject, chunk)
        if stored.metadata:
            await js.publish(subject, json.dumps(stored.metadata).encode(), headers={"Nats-Rollup": "sub"})
        else:
            await js.purge_stream(stream, subject=subject)
        await client.close()

    asyncio.run(work())
