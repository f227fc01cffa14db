"""A fleet whose figures a test sets, and a plain HTTP client; the sockets in between are real."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from litefleet.config.settings import Database, Settings
from litefleet.errors import LitefleetError, UsageError
from litefleet.replicate.figures import Figures
from litefleet.service.interface import Reloaded


@dataclass
class Fleet:
    """Does what the test tells it to, and remembers what it was asked."""

    known: list[Figures] = field(default_factory=list)
    settings: Settings = field(default_factory=lambda: Settings(databases=()))
    started: float = field(default_factory=time.time)
    #: Set: whatever is asked for raises it.
    trouble: LitefleetError | None = None
    #: Cleared: what is asked for does not end.
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    #: Calls that have begun; whether there are any, and whether one was cancelled.
    begun: list[object] = field(default_factory=list)
    called: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    reloaded: Reloaded = field(default_factory=Reloaded)

    def __post_init__(self) -> None:
        self.ready.set()

    def figures(self) -> tuple[Figures, ...]:
        return tuple(self.known)

    async def _do(self, call: object) -> None:
        self.begun.append(call)
        self.called.set()
        try:
            await self.ready.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        if self.trouble is not None:
            raise self.trouble

    def _find(self, path: Path) -> Figures | None:
        return next((one for one in self.known if one.path == path), None)

    async def sync(self, path: Path) -> Figures:
        found = self._find(path)
        if found is None:
            raise UsageError(f"{path}: not replicated")
        await self._do(("sync", path))
        found.pending_since = 0.0
        found.acknowledged_txid = found.captured_txid
        return found

    async def add(self, database: Database) -> bool:
        await self._do(("add", database))
        if self._find(database.path):
            return False
        self.known.append(Figures(database.path, database.replica.url))
        return True

    async def remove(self, path: Path) -> bool:
        await self._do(("remove", path))
        found = self._find(path)
        if found is not None:
            self.known.remove(found)
        return found is not None

    async def reload(self) -> Reloaded:
        await self._do("reload")
        return self.reloaded


@dataclass(frozen=True)
class Answer:
    status: int
    fields: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(str(self._path))


async def ask(where: tuple[str, int] | Path, method: str, path: str, body: object = None, **fields: str) -> Answer:
    """A request by Python's own client, in a thread; ``fields`` are header fields with ``_`` for ``-``."""

    def run() -> Answer:
        connection = (
            _UnixConnection(where) if isinstance(where, Path) else http.client.HTTPConnection(*where, timeout=30)
        )
        content = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            connection.request(method, path, content, {name.replace("_", "-"): text for name, text in fields.items()})
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    return await asyncio.to_thread(run)
