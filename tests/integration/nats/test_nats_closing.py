"""A connection that is closed is gone, whatever it was about."""

from __future__ import annotations

import asyncio

from litefleet.config.settings import Server
from litefleet.nats.connection import Connection, StateChange
from tests.support.natsserver import NatsServer
from tests.support.proxy import tcp_proxy


async def test_closing_in_the_middle_of_an_attempt_ends_the_attempts(server: NatsServer) -> None:
    """The cancellation meets an attempt that fails at the same moment; in some of the rounds at least."""
    for attempts in range(20, 28):
        async with tcp_proxy(server.port) as quick, tcp_proxy(server.port) as slow, asyncio.timeout(60):
            often = Server((quick.url,), max_reconnects=-1, reconnect_wait=0.01)
            seldom = Server((slow.url,), max_reconnects=-1, reconnect_wait=600)
            changes: asyncio.Queue[StateChange] = asyncio.Queue()
            async with Connection.open(often), Connection.open(seldom) as waiting:
                waiting.on_state_change(changes.put_nowait)
                quick.refuse()
                slow.refuse()
                await changes.get()
                await quick.wait_connections(attempts)
    names = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]
    assert not [name for name in names if "reconnect" in name]
