"""A connection that cannot be made says why, and says it in one go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import nkeys
import pytest

from litefleet.config.settings import Credentials, Server
from litefleet.errors import AuthenticationFailed, NatsError, ServerUnreachable
from litefleet.nats.connection import Connection, StateChange
from tests.support.natsserver import NatsServer, free_ports, nats_server
from tests.support.operator import Key, Operator


async def opened(server: Server) -> str:
    """The URL of a connection that works."""
    async with Connection.open(server) as connection:
        await connection.request("$JS.API.INFO")
        return connection.connected_url


async def failure(server: Server) -> NatsError:
    """The error of a connection that does not."""
    with pytest.raises(NatsError) as caught:
        await opened(server)
    return caught.value


async def test_connection_refused() -> None:
    (port,) = free_ports(1)
    error = await failure(Server((f"nats://127.0.0.1:{port}",)))
    assert isinstance(error, ServerUnreachable)
    assert error.message == f"Cannot connect to nats://127.0.0.1:{port}: Connection refused"
    assert "4222" in error.hint


async def test_a_name_with_several_addresses_is_refused_the_same_way() -> None:
    (port,) = free_ports(1)
    assert "Connection refused" in (await failure(Server((f"nats://localhost:{port}",)))).message


async def test_a_host_name_that_does_not_exist() -> None:
    error = await failure(Server(("nats://no-such-host.invalid:4222",)))
    assert isinstance(error, ServerUnreachable)
    assert error.message == "Cannot connect to nats://no-such-host.invalid:4222: the host name cannot be resolved"


@asynccontextmanager
async def listener(greeting: bytes) -> AsyncIterator[str]:
    """A TCP server that says something and then listens."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        while await reader.read(1000):
            pass
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_server_that_says_nothing() -> None:
    async with listener(b"") as url:
        error = await failure(Server((url,), timeout=0.5))
    assert isinstance(error, ServerUnreachable)
    assert error.message.endswith("no answer in time")


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH_9.2\r\n", b"INFO no json\r\n", b"x" * 1_000_000])
async def test_something_that_is_not_nats(greeting: bytes) -> None:
    async with listener(greeting) as url:
        error = await failure(Server((url,), timeout=2))
    assert isinstance(error, ServerUnreachable)
    assert error.message.endswith("what answers there is not a NATS server")


async def test_every_server_that_was_tried_is_named() -> None:
    ports = free_ports(2)
    urls = (*(f"nats://127.0.0.1:{port}" for port in ports), "nats://no-such-host.invalid:4222")
    error = await failure(Server(urls))
    assert isinstance(error, ServerUnreachable)
    for port in ports:
        assert f"nats://127.0.0.1:{port} (Connection refused)" in error.message
    assert "nats://no-such-host.invalid:4222 (the host name cannot be resolved)" in error.message


async def test_one_server_of_the_list_is_enough(server: NatsServer) -> None:
    dead = tuple(f"nats://127.0.0.1:{port}" for port in free_ports(4))
    assert await opened(Server((*dead, server.url))) == server.url


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[NatsServer]:
    """A server that starts with a password."""
    with nats_server({"authorization": {"user": "u", "password": "right"}}, tmp_path / "nats") as running:
        yield running


async def test_username_and_password(locked: NatsServer) -> None:
    assert await opened(Server((locked.url,), Credentials(username="u", password="right"))) == locked.url
    error = await failure(Server((locked.url,), Credentials(username="u", password="w-r-o-n-g")))
    assert isinstance(error, AuthenticationFailed)
    assert error.message == f"Authorization violation: {locked.url} refuses the password of user `u`"
    assert "w-r-o-n-g" not in f"{error!r}{error}"


async def test_no_credentials_where_some_are_wanted(locked: NatsServer) -> None:
    error = await failure(Server((locked.url,)))
    assert isinstance(error, AuthenticationFailed)
    assert "a client without credentials" in error.message


async def test_token(locked: NatsServer) -> None:
    locked.reload({"authorization": {"token": "t0ken"}})
    assert await opened(Server((locked.url,), Credentials(token="t0ken"))) == locked.url
    error = await failure(Server((locked.url,), Credentials(token="other")))
    assert isinstance(error, AuthenticationFailed)
    assert "refuses the token" in error.message


async def test_nkey_inline_and_in_a_file(locked: NatsServer, tmp_path: Path) -> None:
    key, stranger = Key(nkeys.PREFIX_BYTE_USER), Key(nkeys.PREFIX_BYTE_USER)
    locked.reload({"authorization": {"users": [{"nkey": key.public}]}})
    file = tmp_path / "agent.nk"
    file.write_text(key.seed + "\n")
    assert await opened(Server((locked.url,), Credentials(nkey=key.seed))) == locked.url
    assert await opened(Server((locked.url,), Credentials(nkey=str(file)))) == locked.url
    error = await failure(Server((locked.url,), Credentials(nkey=stranger.seed)))
    assert isinstance(error, AuthenticationFailed)
    assert "refuses the nkey" in error.message
    assert stranger.seed not in f"{error!r}{error}"


@pytest.mark.parametrize("nkey", ["SUnonsense", "", "/does/not/exist"])
async def test_an_nkey_that_is_none_is_refused_before_connecting(nkey: str) -> None:
    error = await failure(Server(("nats://127.0.0.1:1",), Credentials(nkey=nkey)))
    assert isinstance(error, AuthenticationFailed)


async def test_credentials_file(locked: NatsServer, tmp_path: Path) -> None:
    operator, stranger = Operator(), Operator()
    locked.stop()
    locked.configure(operator.config())
    locked.start()
    good, bad = tmp_path / "good.creds", tmp_path / "bad.creds"
    good.write_text(operator.creds()[0])
    bad.write_text(stranger.creds()[0])
    assert await opened(Server((locked.url,), Credentials(creds=good))) == locked.url
    error = await failure(Server((locked.url,), Credentials(creds=bad)))
    assert isinstance(error, AuthenticationFailed)
    assert f"refuses the credentials file `{bad}`" in error.message


@pytest.mark.parametrize("mark", ["NATS USER JWT", "USER NKEY SEED"])
async def test_a_credentials_file_without_a_block(tmp_path: Path, mark: str) -> None:
    creds = tmp_path / "half.creds"
    creds.write_text("".join(part for part in Operator().creds()[0].split("\n\n") if mark not in part))
    error = await failure(Server(("nats://127.0.0.1:1",), Credentials(creds=creds)))
    assert isinstance(error, AuthenticationFailed)
    assert f"has no `BEGIN {mark}` block" in error.message


async def test_a_credentials_file_that_is_not_there(tmp_path: Path) -> None:
    error = await failure(Server(("nats://127.0.0.1:1",), Credentials(creds=tmp_path / "no.creds")))
    assert isinstance(error, AuthenticationFailed)
    assert "No such file" in error.message


async def test_credentials_that_expire_end_the_connection_and_new_ones_revive_it(
    locked: NatsServer, tmp_path: Path
) -> None:
    operator = Operator()
    locked.stop()
    locked.configure(operator.config())
    locked.start()
    creds = tmp_path / "agent.creds"
    text, public = operator.creds()
    creds.write_text(text)
    closed: asyncio.Queue[StateChange] = asyncio.Queue()
    server = Server((locked.url,), Credentials(creds=creds), max_reconnects=2, reconnect_wait=0.05)
    async with Connection.open(server) as connection:
        connection.on_state_change(lambda change: closed.put_nowait(change) if change.state == "closed" else None)
        await asyncio.to_thread(locked.reload, operator.config(revoked=(public,)))
        async with asyncio.timeout(30):
            change = await closed.get()
        assert isinstance(change.error, AuthenticationFailed)
        with pytest.raises(AuthenticationFailed, match="Authorization violation"):
            await connection.request("$JS.API.INFO")
        creds.write_text(operator.creds()[0])
        await asyncio.sleep(server.reconnect_wait)  # a login is not tried again before that
        assert (await connection.request("$JS.API.INFO")).data


async def test_nothing_of_nats_py_reaches_the_terminal(
    locked: NatsServer, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        await failure(Server((locked.url,), Credentials(username="u", password="no")))
        async with Connection.open(Server((locked.url,), Credentials(username="u", password="right"))) as connection:
            lost = asyncio.Event()
            connection.on_state_change(lambda _: lost.set())
            await asyncio.to_thread(locked.kill)
            await lost.wait()
    assert capfd.readouterr() == ("", "")
    assert {record.name for record in caplog.records} == {"litefleet.nats"}
    assert not any(record.exc_info for record in caplog.records)
