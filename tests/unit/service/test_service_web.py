"""The HTTP server: whatever arrives is answered or dropped, and nothing is waited for without bound."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from litefleet.service import web
from litefleet.service.web import Request, Response, answering
from tests.support.natsserver import free_ports
from tests.unit.service.standin import ask

PATIENCE = 30.0


async def echo(request: Request) -> Response:
    return Response.of({"query": dict(request.query), "body": request.body.decode("latin-1")})


async def broken(_: Request) -> Response:
    raise ZeroDivisionError


@asynccontextmanager
async def running(handler: web.Handler = echo) -> AsyncIterator[tuple[str, int]]:
    where = ("127.0.0.1", free_ports(1)[0])
    async with answering({"/": {"POST": handler, "GET": handler}}, host=where[0], port=where[1]):
        yield where


async def raw(where: tuple[str, int], sent: bytes, *, end: bool = True) -> bytes:
    """All that is answered to these bytes; ``end``: nothing more is to come."""
    reader, writer = await asyncio.open_connection(*where)
    try:
        async with asyncio.timeout(PATIENCE):
            writer.write(sent)
            if end:
                writer.write_eof()
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


async def test_a_request_with_query_and_body() -> None:
    async with running() as where:
        answer = await ask(where, "POST", "/?a=%2Fx&b=1", b"hello")
    assert (answer.status, answer.json()) == (200, {"query": {"a": "/x", "b": "1"}, "body": "hello"})
    assert answer.fields["Connection"] == "close"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 400),
        (b"GET http://elsewhere/ HTTP/1.1\r\n\r\n", 400),
        (b"GET /nothing HTTP/1.1\r\n\r\n", 404),
        (b"PUT / HTTP/1.1\r\n\r\n", 405),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1e3\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 9000 + b"\r\n\r\n", 431),
        (b"GET /" + b"x" * 100_000, 431),
    ],
)
async def test_what_is_refused(sent: bytes, code: int) -> None:
    async with running() as where:
        answer = await raw(where, sent)
        assert status(answer) == code
        assert json.loads(answer.partition(b"\r\n\r\n")[2]).keys() == {"error", "hint", "exit_code"}
        assert status(await raw(where, b"GET / HTTP/1.1\r\n\r\n")) == 200


@given(st.binary(max_size=300) | st.binary(max_size=200).map(lambda tail: b"POST / HTTP/1.1\r\n" + tail + b"\r\n\r\n"))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_bytes_do_harm(sent: bytes) -> None:
    async def check() -> None:
        async with running() as where:
            answer = await raw(where, sent)
            assert not answer or status(answer) in {200, 400, 404, 405, 411, 413, 431}
            assert status(await raw(where, b"GET / HTTP/1.1\r\n\r\n")) == 200

    asyncio.run(check())


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc"])
async def test_a_request_that_does_not_arrive_is_not_waited_for(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "_PATIENCE", 0.05)
    async with running() as where:
        assert await raw(where, sent, end=False) == b""


async def test_an_answer_that_nobody_takes_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "_PATIENCE", 0.2)

    async def much(_: Request) -> Response:
        return Response(HTTPStatus.OK, bytes(50_000_000))

    async def push(writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with running(much) as where:
        # It reads nothing: the end shows only in what cannot be written any more.
        _, writer = await asyncio.open_connection(*where, limit=1)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(ConnectionError):
                await push(writer)
        writer.transport.abort()


async def test_more_connections_than_there_is_room_for_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "_MAX_CONNECTIONS", 2)
    async with running() as where:
        idle = [await asyncio.open_connection(*where) for _ in range(2)]
        assert await raw(where, b"GET / HTTP/1.1\r\n\r\n") == b""
        for reader, writer in idle:
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            async with asyncio.timeout(PATIENCE):
                assert status(await reader.read()) == 200
            writer.transport.abort()
        assert status(await raw(where, b"GET / HTTP/1.1\r\n\r\n")) == 200


async def test_a_mistake_of_ours_is_logged_and_does_not_end_the_agent(caplog: pytest.LogCaptureFixture) -> None:
    async with running(broken) as where:
        answer = await ask(where, "GET", "/")
        assert answer.status == 500
        assert "log" in answer.json()["error"]
    assert "ZeroDivisionError" in caplog.text


async def test_work_is_dropped_when_the_client_goes() -> None:
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def work() -> Response:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        raise AssertionError

    async with running(lambda request: request.while_wanted(work())) as where:
        _, writer = await asyncio.open_connection(*where)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(PATIENCE):
            await began.wait()
            writer.close()
            await cancelled.wait()


async def test_what_is_being_answered_at_the_end_is_dropped() -> None:
    began = asyncio.Event()

    async def stay(_: Request) -> Response:
        began.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with running(stay) as where:
        reader, writer = await asyncio.open_connection(*where)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(PATIENCE):
            await began.wait()
    async with asyncio.timeout(PATIENCE):
        assert await reader.read() == b""
    writer.transport.abort()
