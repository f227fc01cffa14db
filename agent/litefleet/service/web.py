"""As much of an HTTP/1.1 server as metrics and the control socket need: one small request for each connection.

Everything a client can make us hold or wait for is bounded: the request's size, the time it takes to arrive and to be
taken, the number of connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qsl

log = logging.getLogger("litefleet.service")

_MAX_HEAD = 8 * 1024
_MAX_BODY = 64 * 1024
_MAX_CONNECTIONS = 64
#: Seconds for a request to arrive, and for an answer to be taken.
_PATIENCE = 30.0
_REQUEST_LINE = re.compile(rb"([A-Z]{1,16}) (/[\x21-\x7e]*) HTTP/1\.[01]")


class ClientGone(Exception):
    """Whoever asked does not wait for the answer any more."""


@dataclass(frozen=True, slots=True)
class Request:
    """``peer`` is the socket, for those who want to know who asks."""

    method: str
    path: str
    query: Mapping[str, str]
    #: Header fields; names in lower case.
    fields: Mapping[str, str]
    body: bytes
    peer: socket.socket
    gone: Callable[[], Awaitable[object]]

    async def while_wanted(self, work: Awaitable[Response]) -> Response:
        """What ``work`` answers; it is cancelled when the client closes the connection. Raises ClientGone."""

        async def watch() -> None:
            await self.gone()
            raise ClientGone

        try:
            async with asyncio.TaskGroup() as tasks:
                watching = tasks.create_task(watch())
                response = await work
                watching.cancel()
        except* ClientGone:
            raise ClientGone from None
        return response


@dataclass(frozen=True, slots=True)
class Response:
    """An answer that is complete."""

    status: HTTPStatus
    body: bytes
    content_type: str = "application/json"
    headers: tuple[str, ...] = ()

    @classmethod
    def of(cls, content: object, status: HTTPStatus = HTTPStatus.OK, *, headers: tuple[str, ...] = ()) -> Response:
        """JSON, with a line break at its end for people."""
        return cls(status, json.dumps(content).encode() + b"\n", headers=headers)

    @classmethod
    def problem(cls, status: HTTPStatus, error: str, *, hint: str = "", exit_code: int = 1) -> Response:
        """What is wrong, in the form of every error."""
        return cls.of({"error": error, "hint": hint, "exit_code": exit_code}, status)


Handler = Callable[[Request], Awaitable[Response]]
#: By path and method.
Routes = Mapping[str, Mapping[str, Handler]]


class _Refused(Exception):
    def __init__(self, status: HTTPStatus, error: str) -> None:
        super().__init__(error)
        self.response = Response.problem(status, error)


@asynccontextmanager
async def answering(
    routes: Routes, *, sock: socket.socket | None = None, host: str | None = None, port: int | None = None
) -> AsyncIterator[None]:
    """Answer on a listening socket, or at an address, while the block runs; raises OSError.

    What is being answered when the block ends is dropped.
    """
    running: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            if len(running) <= _MAX_CONNECTIONS:
                await _serve(reader, writer, routes)
        except asyncio.CancelledError:
            # By the end of the block; nobody else waits for this task, and asyncio's server would take it for an error.
            pass
        finally:
            writer.transport.abort()
            running.discard(task)

    server = await asyncio.start_server(connected, host, port, sock=sock, limit=_MAX_HEAD)
    try:
        yield
    finally:
        server.close()
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, routes: Routes) -> None:
    try:
        try:
            async with asyncio.timeout(_PATIENCE):
                request = await _read(reader, writer)
            response = await _route(request, routes)
        except _Refused as refused:
            response = refused.response
        async with asyncio.timeout(_PATIENCE):
            writer.write(_head(response) + response.body)
            await writer.drain()
            writer.close()
            await writer.wait_closed()
    except (OSError, EOFError, TimeoutError, ClientGone):
        # The client is gone, or too slow to be waited for; it knows.
        pass


async def _route(request: Request, routes: Routes) -> Response:
    methods = routes.get(request.path)
    if methods is None:
        return Response.problem(HTTPStatus.NOT_FOUND, f"no such path; there are {', '.join(routes)}")
    handler = methods.get(request.method)
    if handler is None:
        error = {"error": f"{request.path} takes {', '.join(methods)}", "hint": "", "exit_code": 1}
        return Response.of(error, HTTPStatus.METHOD_NOT_ALLOWED, headers=(f"Allow: {', '.join(methods)}",))
    try:
        return await handler(request)
    except ClientGone:
        raise
    except Exception:
        # A mistake of ours in an answer is no reason to stop replicating.
        log.exception("%s %s failed", request.method, request.path)
        return Response.problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the agent failed to answer; its log says more")


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise _Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request's head is too large") from None
    line, *lines = head[:-4].split(b"\r\n")
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise _Refused(HTTPStatus.BAD_REQUEST, "not a request of HTTP/1.1")
    parts = (line.decode("latin-1").partition(":") for line in lines)
    fields = {name.strip().lower(): value.strip() for name, _, value in parts}
    path, _, query = match[2].decode().partition("?")
    return Request(
        method=match[1].decode(),
        path=path,
        query=dict(parse_qsl(query)),
        fields=fields,
        body=await _body(reader, fields),
        peer=writer.get_extra_info("socket"),
        gone=lambda: _end(reader),
    )


async def _body(reader: asyncio.StreamReader, fields: Mapping[str, str]) -> bytes:
    if "transfer-encoding" in fields:
        raise _Refused(HTTPStatus.LENGTH_REQUIRED, "send the body with a Content-Length")
    length = fields.get("content-length", "0")
    if not re.fullmatch("[0-9]{1,9}", length):
        raise _Refused(HTTPStatus.BAD_REQUEST, "Content-Length is not a number")
    if int(length) > _MAX_BODY:
        raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {_MAX_BODY} bytes")
    return await reader.readexactly(int(length))


async def _end(reader: asyncio.StreamReader) -> None:
    """Until the client has closed its side; whatever it still sends is not looked at."""
    with contextlib.suppress(OSError):
        while await reader.read(_MAX_HEAD):
            pass


def _head(response: Response) -> bytes:
    lines = [
        f"HTTP/1.1 {response.status.value} {response.status.phrase}",
        f"Content-Type: {response.content_type}",
        f"Content-Length: {len(response.body)}",
        "Connection: close",
        *response.headers,
    ]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()
