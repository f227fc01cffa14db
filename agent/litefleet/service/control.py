"""The control socket: HTTP on a Unix socket, for ``litefleet status`` and its kin, and for ``curl --unix-socket``.

    GET  /status[?sync=SECONDS]              the figures of every database; ``sync``: what is committed is sent first,
                                             and ``synced`` tells whether it is acknowledged, null if nobody tried
    GET  /info                               version, process, uptime
    POST /sync    {path?, wait?, timeout?}   send what is committed; ``wait``: until it is acknowledged
    POST /add     {path, replica, …}         replicate one more database, until the agent ends
    POST /remove  {path}                     send a database's last transactions, then let it go
    POST /reload                             read the configuration again

An error is ``{error, hint, exit_code}``. Whom the socket's mode lets in may look; only root and the agent's own user
may change anything.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

from litefleet import __version__
from litefleet.config.settings import Socket
from litefleet.errors import ConfigError, LitefleetError, NatsError, NotDurable, UsageError
from litefleet.replicate.figures import Figures
from litefleet.service.addition import database_of
from litefleet.service.describe import describe, moment_text, txid_text
from litefleet.service.interface import FleetLike
from litefleet.service.listener import listener, peer
from litefleet.service.pace import paced
from litefleet.service.web import Handler, Request, Response, Routes, answering
from litefleet.sqlite.files import companion

#: Databases that one request syncs at the same time.
_AT_ONCE = 32
#: Seconds.
_TIMEOUT = 30.0
_MAX_TIMEOUT = 3600.0
#: Seconds that a request which does not wait gives the transactions nevertheless: mostly they need less.
_MOMENT = 0.5
_QUIET = 10.0
#: Seconds that the first copy of a database which is added is waited for, before it is said how it is.
_FIRST_COPY = 2.0


@asynccontextmanager
async def listening(socket: Socket, fleet: FleetLike) -> AsyncIterator[None]:
    """Answer on the control socket while the block runs; without a path there is none.

    Raises ConfigError if the socket cannot be made, or another agent listens on it.
    """
    if socket.path is None:
        yield
        return
    control = _Control(fleet)
    with listener(socket.path, socket.permissions) as sock:
        async with answering(control.routes(), sock=sock):
            yield


class _Control:
    def __init__(self, fleet: FleetLike) -> None:
        self._fleet = fleet

    def routes(self) -> Routes:
        return {
            "/status": {"GET": _answer(self._status)},
            "/info": {"GET": _answer(self._info)},
            "/sync": {"POST": _answer(_owner(self._sync))},
            "/add": {"POST": _answer(_owner(self._add))},
            "/remove": {"POST": _answer(_owner(self._remove))},
            "/reload": {"POST": _answer(_owner(self._reload))},
        }

    async def _status(self, request: Request) -> Response:
        seconds = _seconds(request.query.get("sync", 0), "sync")

        async def work() -> Response:
            synced = await self._bring_up_to_date(seconds) if seconds else {}
            now = time.time()
            found = [describe(one, now) async for one in paced(self._fleet.figures())]
            rows = [{**one, "synced": synced.get(one["path"])} for one in found]
            return await asyncio.to_thread(Response.of, {"databases": rows})

        return await request.while_wanted(work())

    async def _bring_up_to_date(self, seconds: float) -> dict[str, bool]:
        """Whether all is acknowledged, for each database that works; the others would only be waited for in vain."""
        working = [one for one in self._fleet.figures() if one.state in ("starting", "replicating")]
        # Released databases are not opened just to look at them: nothing has touched their files for a while.
        released = [
            one.path for one in working if not one.open and one.state == "replicating" and not one.pending_since
        ]
        quiet = await asyncio.to_thread(lambda: {path for path in released if _is_quiet(path)})
        rows = await self._sync_all([one.path for one in working if one.path not in quiet], seconds)
        return {str(path): True for path in quiet} | {row["path"]: row["status"] == "acknowledged" for row in rows}

    async def _info(self, _: Request) -> Response:
        return Response.of(
            {
                "version": __version__,
                "pid": os.getpid(),
                "started": moment_text(self._fleet.started),
                "uptime": round(time.time() - self._fleet.started, 3),
                "databases": len(self._fleet.figures()),
            }
        )

    async def _sync(self, request: Request) -> Response:
        fields = _fields(request, {"path", "wait", "timeout"})
        wait = fields.get("wait", False)
        if not isinstance(wait, bool):
            raise UsageError("`wait` is not true or false")
        seconds = _seconds(fields.get("timeout", _TIMEOUT), "timeout")
        paths = [one.path for one in self._fleet.figures()]
        if "path" in fields:
            path = _path(fields)
            if path not in paths:
                return _unknown(path)
            paths = [path]

        async def work() -> Response:
            rows = await self._sync_all(paths, seconds if wait else min(seconds, _MOMENT))
            missing = [row for row in rows if row["status"] == "failed" or (wait and row["status"] == "pending")]
            if not missing:
                return Response.of({"databases": rows})
            what = f"{len(missing)} of {len(rows)} databases" if len(rows) > 1 else missing[0]["path"]
            error = missing[0]["error"] or f"not acknowledged within {seconds:g} s"
            code = max(row["exit_code"] for row in missing)
            # An error of one database often names it already.
            said = error if error.startswith(what) else f"{what}: {error}"
            content = {"error": said, "hint": "`litefleet status` says what is wrong", "exit_code": code}
            return Response.of({**content, "databases": rows}, HTTPStatus.GATEWAY_TIMEOUT)

        return await request.while_wanted(work())

    async def _sync_all(self, paths: Iterable[Path], seconds: float) -> list[dict[str, Any]]:
        """A row for each database, after ``seconds`` at most."""
        deadline = asyncio.get_running_loop().time() + seconds
        room = asyncio.Semaphore(_AT_ONCE)

        async def sync(path: Path) -> dict[str, Any]:
            try:
                async with asyncio.timeout_at(deadline), room:
                    figures = await self._fleet.sync(path)
            except TimeoutError:
                return _row(path, "pending", exit_code=NotDurable.exit_code)
            except LitefleetError as error:
                return _row(path, "failed", error=error.message, exit_code=error.exit_code)
            return _row(path, "acknowledged", figures)

        async with asyncio.TaskGroup() as tasks:
            rows = [tasks.create_task(sync(path)) for path in paths]
        return [row.result() for row in rows]

    async def _add(self, request: Request) -> Response:
        database = database_of(_fields(request), self._fleet.settings)
        url = database.replica.url
        for one in self._fleet.figures():
            if one.path == database.path and one.replica != url:
                return Response.problem(
                    HTTPStatus.CONFLICT, f"{one.path} is replicated to {one.replica}",
                    hint=f"`litefleet remove {one.path}` ends that", exit_code=UsageError.exit_code,
                )  # fmt: skip
        added = await self._fleet.add(database)
        # So that whoever adds it learns whether it works: a bucket may be missing, or be another's.
        await self._sync_all([database.path], _FIRST_COPY)
        figures = next((one for one in self._fleet.figures() if one.path == database.path), None)
        return Response.of(
            {
                "status": "added" if added else "already added",
                "path": str(database.path),
                "replica": url,
                "state": figures.state if figures else "stopped",
                "problem": figures.problem if figures else "",
            }
        )

    async def _remove(self, request: Request) -> Response:
        path = _path(_fields(request, {"path"}))
        if not await self._fleet.remove(path):
            return _unknown(path)
        return Response.of({"status": "removed", "path": str(path)})

    async def _reload(self, request: Request) -> Response:
        _fields(request, set())
        reloaded = await self._fleet.reload()
        return Response.of(
            {
                "added": [str(path) for path in reloaded.added],
                "removed": [str(path) for path in reloaded.removed],
                "changed": [str(path) for path in reloaded.changed],
                "note": reloaded.note,
            }
        )


def _is_quiet(path: Path) -> bool:
    """Whether the last change is so old that the agent has noticed it for certain; blocks."""
    try:
        changed = [file.stat().st_mtime for file in (path, companion(path, "-wal")) if file.exists()]
    except OSError:
        return False
    return bool(changed) and time.time() - max(changed) > _QUIET


def _row(
    path: Path, status: str, figures: Figures | None = None, *, error: str = "", exit_code: int = 0
) -> dict[str, Any]:
    txid = txid_text(figures.acknowledged_txid) if figures else None
    return {"path": str(path), "status": status, "txid": txid, "error": error, "exit_code": exit_code}


def _answer(work: Callable[[Request], Awaitable[Response]]) -> Handler:
    """Errors become answers."""

    async def handle(request: Request) -> Response:
        try:
            return await work(request)
        except LitefleetError as error:
            return Response.problem(_status_of(error), error.message, hint=error.hint, exit_code=error.exit_code)

    return handle


def _status_of(error: LitefleetError) -> HTTPStatus:
    if isinstance(error, UsageError | ConfigError):
        return HTTPStatus.BAD_REQUEST
    if isinstance(error, NotDurable):
        return HTTPStatus.GATEWAY_TIMEOUT
    return HTTPStatus.BAD_GATEWAY if isinstance(error, NatsError) else HTTPStatus.INTERNAL_SERVER_ERROR


def _owner(work: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Only for root and the agent's own user."""

    async def handle(request: Request) -> Response:
        if peer(request.peer)[1] not in (0, os.geteuid()):
            return Response.problem(
                HTTPStatus.FORBIDDEN, "only root and the agent's own user may change anything", hint="use sudo"
            )
        return await work(request)

    return handle


def _unknown(path: Path) -> Response:
    return Response.problem(
        HTTPStatus.NOT_FOUND, f"Database not replicated: {path}", hint="`litefleet status` lists those that are",
        exit_code=UsageError.exit_code,
    )  # fmt: skip


def _fields(request: Request, allowed: set[str] | None = None) -> dict[str, Any]:
    """The JSON object that a request holds; raises UsageError."""
    try:
        fields = json.loads(request.body or b"{}")
    except (ValueError, RecursionError):
        raise UsageError("The request's body is not JSON") from None
    if not isinstance(fields, dict):
        raise UsageError("The request's body is not a JSON object")
    unknown = fields.keys() - allowed if allowed is not None else set()
    if unknown:
        raise UsageError(f"Unknown: {', '.join(sorted(unknown))}", hint=f"known are {', '.join(sorted(allowed or ()))}")
    return fields


def _path(fields: dict[str, Any]) -> Path:
    path = fields.get("path")
    if not isinstance(path, str) or not path.startswith("/"):
        raise UsageError("`path` is not the absolute path of a database")
    return Path(path)


def _seconds(value: object, name: str) -> float:
    try:
        seconds = float(value) if isinstance(value, int | float | str) else -1.0
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _MAX_TIMEOUT:
        raise UsageError(f"`{name}` is not a number of seconds from 0 to {_MAX_TIMEOUT:g}")
    return seconds
