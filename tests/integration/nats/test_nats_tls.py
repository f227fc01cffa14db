"""TLS: encrypted and trusted, or not connected at all."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from litefleet.config.settings import TLS, Credentials, Server
from litefleet.errors import NatsError, TLSFailed
from litefleet.nats.connection import Connection
from tests.support.authority import Authority
from tests.support.buckets import bucket_store, content
from tests.support.natsserver import NatsServer, nats_server

SECRET = "s3cr3t-w0rd"
LOGIN = Credentials(username="u", password=SECRET)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path)


@pytest.fixture
def secured(authority: Authority, tmp_path: Path) -> Callable[..., NatsServer]:
    def make(*names: str, login: bool = True, tls: dict[str, Any] | None = None, **options: Any) -> NatsServer:
        config: dict[str, Any] = {"tls": {**authority.server_tls(*names, **options), **(tls or {})}}
        if login:
            config["authorization"] = {"user": "u", "password": SECRET}
        return nats_server(config, tmp_path / "nats")

    return make


def trusting(url: str, authority: Authority | None, **options: Any) -> Server:
    return Server((url,), LOGIN, TLS((authority.file,) if authority else ()), **options)


async def failure(server: Server) -> NatsError:
    with pytest.raises(NatsError) as caught:
        async with Connection.open(server):
            pass
    return caught.value


@pytest.mark.parametrize(
    "handshake", [{}, {"handshake_first": "auto"}, {"handshake_first": True}, {"allow_non_tls": True}]
)
async def test_data_goes_over_tls(
    secured: Callable[..., NatsServer], authority: Authority, handshake: dict[str, Any]
) -> None:
    """``allow_non_tls`` goes beside ``tls``, not into it."""
    inside = {key: value for key, value in handshake.items() if key != "allow_non_tls"}
    server = secured(tls=inside)
    if "allow_non_tls" in handshake:
        config = json.loads(server.config_path.read_text())
        server.config_path.write_text(json.dumps({**config, **handshake}))
    async with server, bucket_store(trusting(server.url, authority)) as store:
        data = os.urandom(5_000_000)
        assert await content(store, await store.put("x", data, headers={})) == data
        connections = server.monitor("/connz")["connections"]
        assert [connection["tls_version"] for connection in connections] == ["1.3"]


async def test_tls_survives_a_reconnect(secured: Callable[..., NatsServer], authority: Authority) -> None:
    async with (
        secured() as server,
        Connection.open(trusting(server.url, authority, reconnect_wait=0.05)) as connection,
    ):
        changes: asyncio.Queue[str] = asyncio.Queue()
        connection.on_state_change(lambda change: changes.put_nowait(change.state))
        await asyncio.to_thread(server.restart)
        async with asyncio.timeout(30):
            assert [await changes.get(), await changes.get()] == ["disconnected", "reconnected"]
        await connection.request("$JS.API.INFO")
        assert server.monitor("/connz")["connections"][0]["tls_version"] == "1.3"


async def test_an_untrusted_ca(secured: Callable[..., NatsServer], tmp_path: Path) -> None:
    other = trustme.CA()
    other.cert_pem.write_to_path(str(tmp_path / "other.pem"))
    async with secured() as server:
        error = await failure(Server((server.url,), LOGIN, TLS((tmp_path / "other.pem",))))
        assert isinstance(error, TLSFailed)
        assert "certificate is not trusted" in error.message
        assert str(tmp_path / "other.pem") in error.hint
        # And with the system's CAs, whether TLS was asked for or the server insists on it.
        for tls in (TLS(), None):
            error = await failure(Server((server.url,), LOGIN, tls))
            assert isinstance(error, TLSFailed)
            assert "root-cas" in error.hint


async def test_a_certificate_for_another_name(secured: Callable[..., NatsServer], authority: Authority) -> None:
    async with secured("nats.example.com") as server:
        for url in (server.url, server.url.replace("127.0.0.1", "localhost")):
            error = await failure(trusting(url, authority))
            assert isinstance(error, TLSFailed)
            assert error.message.endswith("the server's certificate is for another host name")


async def test_an_expired_certificate(secured: Callable[..., NatsServer], authority: Authority) -> None:
    past = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    async with secured(not_after=past) as server:
        error = await failure(trusting(server.url, authority))
    assert isinstance(error, TLSFailed)
    assert error.message.endswith("the server's certificate has expired")


async def test_a_server_that_asks_for_a_certificate(secured: Callable[..., NatsServer], authority: Authority) -> None:
    async with secured(tls={"verify": True, "ca_file": str(authority.file)}) as server:
        error = await failure(trusting(server.url, authority))
    assert isinstance(error, TLSFailed)
    assert error.message.endswith("the server asks clients for a certificate")
    assert error.hint == "set `client-cert` and `client-key`"


@pytest.mark.parametrize("text", [None, "no certificate"])
async def test_a_ca_file_that_is_none(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "ca.pem"
    if text is not None:
        file.write_text(text)
    error = await failure(Server(("nats://127.0.0.1:1",), LOGIN, TLS((file,))))
    assert isinstance(error, TLSFailed)
    assert str(file) in error.message


async def test_a_server_without_tls_is_refused(server: NatsServer, authority: Authority) -> None:
    error = await failure(trusting(server.url, authority))
    assert isinstance(error, TLSFailed)
    assert "does not encrypt" in error.message


@asynccontextmanager
async def eavesdropper(info: dict[str, Any]) -> AsyncIterator[tuple[str, bytearray, asyncio.Event]]:
    """A server that claims what it is told to and keeps every byte it gets."""
    heard, ended = bytearray(), asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"INFO " + json.dumps({"server_id": "X", "max_payload": 1 << 20, **info}).encode() + b"\r\n")
        # Already here: an answer to the login, smuggled in before any handshake.
        writer.write(b"PONG\r\n")
        while data := await reader.read(1000):
            heard.extend(data)
        writer.close()
        ended.set()

    listener = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with listener:
        yield f"nats://127.0.0.1:{listener.sockets[0].getsockname()[1]}", heard, ended


@pytest.mark.parametrize(
    "info",
    [
        {},
        {"tls_required": False},
        {"auth_required": True, "tls_required": False, "tls_available": False},
        {"auth_required": True, "tls_required": True},
        {"auth_required": True, "tls_available": True},
    ],
)
async def test_credentials_never_reach_a_server_that_does_not_encrypt(
    info: dict[str, Any], authority: Authority
) -> None:
    async with eavesdropper({"auth_required": True, **info}) as (url, heard, ended):
        error = await failure(trusting(url, authority, timeout=1))
        await ended.wait()
    assert SECRET.encode() not in heard
    assert b"CONNECT" not in heard
    if not (info.get("tls_required") or info.get("tls_available")):
        assert isinstance(error, TLSFailed)
        assert bytes(heard) == b""
