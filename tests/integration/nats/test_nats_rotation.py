"""Logins that are replaced on disk: the next attempt uses them, also where attempts never end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import nkeys
import pytest

from litefleet.config.settings import Credentials, Server
from litefleet.errors import AuthenticationFailed
from litefleet.nats.connection import Connection, StateChange
from tests.support.natsserver import NatsServer, nats_server
from tests.support.operator import Key, Operator


@asynccontextmanager
async def changes(
    server: NatsServer, login: Credentials, *, max_reconnects: int
) -> AsyncIterator[asyncio.Queue[StateChange]]:
    """What happens to a connection inside the block; at its end it has to work."""
    queue: asyncio.Queue[StateChange] = asyncio.Queue()
    settings = Server((server.url,), login, max_reconnects=max_reconnects, reconnect_wait=0.05)
    async with asyncio.timeout(60), Connection.open(settings) as connection:
        connection.on_state_change(queue.put_nowait)
        yield queue
        assert (await connection.request("$JS.API.INFO")).data


async def until(queue: asyncio.Queue[StateChange], state: str) -> StateChange:
    """The next change to ``state``."""
    while (change := await queue.get()).state != state:
        pass
    return change


def only(key: Key) -> dict[str, object]:
    """A server that knows one user, by its nkey."""
    return {"authorization": {"users": [{"nkey": key.public}]}}


async def test_nkey_file(tmp_path: Path) -> None:
    old, new = Key(nkeys.PREFIX_BYTE_USER), Key(nkeys.PREFIX_BYTE_USER)
    file = tmp_path / "agent.nk"
    file.write_text(old.seed)
    async with (
        nats_server(only(old), tmp_path / "nats") as server,
        changes(server, Credentials(nkey=str(file)), max_reconnects=-1) as queue,
    ):
        await asyncio.to_thread(server.stop)
        await until(queue, "disconnected")
        file.write_text(new.seed)
        server.configure(only(new))
        await asyncio.to_thread(server.start)
        await until(queue, "reconnected")


async def test_creds_file(tmp_path: Path) -> None:
    operator = Operator()
    file = tmp_path / "agent.creds"
    text, public = operator.creds()
    file.write_text(text)
    async with (
        nats_server(operator.config(), tmp_path / "nats") as server,
        changes(server, Credentials(creds=file), max_reconnects=-1) as queue,
    ):
        await asyncio.to_thread(server.stop)
        await until(queue, "disconnected")
        file.write_text(operator.creds()[0])
        server.configure(operator.config(revoked=(public,)))
        await asyncio.to_thread(server.start)
        await until(queue, "reconnected")


@pytest.mark.parametrize("content", [None, "SUno seed"])
async def test_nkey_file_that_is_none_at_an_attempt_ends_the_connection_with_its_name(
    tmp_path: Path, content: str | None
) -> None:
    key = Key(nkeys.PREFIX_BYTE_USER)
    file = tmp_path / "agent.nk"
    file.write_text(key.seed)
    async with (
        nats_server(only(key), tmp_path / "nats") as server,
        changes(server, Credentials(nkey=str(file)), max_reconnects=1) as queue,
    ):
        file.unlink() if content is None else file.write_text(content)
        await asyncio.to_thread(server.restart)
        change = await until(queue, "closed")
        assert isinstance(change.error, AuthenticationFailed)
        assert f"nkey file `{file}`" in change.error.message
        file.write_text(key.seed)
