"""The first connection to one of several servers: one attempt at each, and one clear error."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import cast

from nats import errors as nats_errors

from litefleet.config.settings import Server
from litefleet.errors import NatsError
from litefleet.nats.causes import combine, explain
from litefleet.nats.credentials import login_options, nkey_renewal
from litefleet.nats.tls import make_context
from litefleet.nats.wire import CLOSE_GRACE, WireClient

#: Seconds; a server that leaves two pings unanswered is given up, after 30 s at most.
PING_INTERVAL = 10


@dataclass(frozen=True, slots=True)
class Callbacks:
    """What a connected client reports."""

    error: Callable[[Exception], Awaitable[None]]
    disconnected: Callable[[], Awaitable[None]]
    reconnected: Callable[[], Awaitable[None]]
    closed: Callable[[], Awaitable[None]]
    #: Bytes have left, or never will.
    moved: Callable[[], None]


async def dial(server: Server, name: str, callbacks: Callbacks) -> WireClient:
    """A connected client, which from now on reconnects by itself and reports to ``callbacks``.

    Each server has ``server.timeout`` seconds. Raises ``ServerUnreachable``, ``AuthenticationFailed`` or ``TLSFailed``.
    """
    options = await asyncio.to_thread(login_options, server.credentials)
    tls = None if server.tls is None else await asyncio.to_thread(make_context, server.tls)
    failures: list[tuple[str, NatsError]] = []
    for url in random.sample(server.urls, len(server.urls)):
        client = WireClient(tls, callbacks.moved)
        relay = _Relay(callbacks)
        try:
            async with asyncio.timeout(server.timeout):
                await client.connect(
                    servers=[url, *(other for other in server.urls if other != url)],
                    name=name,
                    error_cb=relay.on_error,
                    disconnected_cb=relay.on_disconnected,
                    reconnected_cb=relay.on_reconnected,
                    closed_cb=relay.on_closed,
                    allow_reconnect=False,
                    dont_randomize=True,
                    connect_timeout=cast("int", server.timeout),
                    ping_interval=PING_INTERVAL,
                    inbox_prefix=server.inbox_prefix.encode(),
                    # Senders are slowed down by Connection.writable; nats-py's own way swallows cancellation.
                    pending_size=1 << 40,
                    tls=tls,
                    **options,
                )
        except (OSError, ValueError, nats_errors.Error) as error:
            failures.append((url, explain(error, url, server)))
            await hang_up(client)
        except BaseException:
            await hang_up(client)
            raise
        else:
            client.settle(
                max_reconnects=server.max_reconnects,
                reconnect_wait=server.reconnect_wait,
                renew_nkey=nkey_renewal(server.credentials),
                renew_tls=None if server.tls is None else partial(make_context, server.tls),
            )
            client.cause = None
            relay.open = True
            return client
    raise combine(failures)


async def hang_up(client: WireClient) -> None:
    """Close within bounds, whatever state the client is in."""
    if client.wire is not None:
        client.wire.give_up()
    with suppress(nats_errors.Error, OSError, AttributeError):
        async with asyncio.timeout(2 * CLOSE_GRACE):
            await client.close()
    if client.wire is not None:
        client.wire.close()


class _Relay:
    """Keeps the noise of attempts from the callbacks."""

    def __init__(self, callbacks: Callbacks) -> None:
        self.open = False
        self._callbacks = callbacks

    async def on_error(self, error: Exception) -> None:
        if self.open:
            await self._callbacks.error(error)

    async def on_disconnected(self) -> None:
        if self.open:
            await self._callbacks.disconnected()

    async def on_reconnected(self) -> None:
        if self.open:
            await self._callbacks.reconnected()

    async def on_closed(self) -> None:
        if self.open:
            await self._callbacks.closed()
