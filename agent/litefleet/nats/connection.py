"""One connection to NATS: opened with a clear error, supervised, and never waited for without bound."""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Literal

from nats import errors as nats_errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from litefleet.config.settings import Server
from litefleet.errors import NatsError, RequestFailed, ServerUnreachable
from litefleet.nats.budget import ByteBudget
from litefleet.nats.causes import denied, explain, no_responders, reason
from litefleet.nats.dial import Callbacks, dial, hang_up
from litefleet.nats.exchange import Exchange, Reply
from litefleet.nats.wire import WireClient

log = logging.getLogger("litefleet.nats")

#: Unsent bytes from which on senders wait: more than a socket takes at once, little enough for pings to get through.
BACKLOG_LIMIT = 256 * 1024
#: Bytes that all readers of a connection together may have asked for; the server cuts clients off at 64 MiB.
READ_BUDGET = 32 * 1024 * 1024
#: Requests in a row without a single byte from the server, after which the connection is taken for dead.
SILENT_REQUESTS = 2

_REFUSED = re.compile(r'permissions violation for (publish|subscription) to "([^"]+)"')


@dataclass(frozen=True, slots=True)
class StateChange:
    """What happened to the connection, and why."""

    state: Literal["connected", "disconnected", "reconnected", "closed"]
    reason: str
    error: NatsError | None = None


Listener = Callable[[StateChange], None]


class Connection:
    """One TCP connection, which reconnects by itself; make it with ``open``.

    When nats-py has given it up (``max_reconnects`` attempts, a login that expired), ``closed`` is reported, what waits
    for an answer fails, and the next request opens it anew.
    """

    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.read_budget = ByteBudget(READ_BUDGET)
        self._name = name
        self._client: WireClient
        self._inbox = ""
        self._subscription: Subscription | None = None
        self._inbox_refused = False
        self._exchanges: dict[str, Exchange] = {}
        self._tokens = map(str, itertools.count())
        self._listeners: list[Listener] = []
        self._up = asyncio.Event()
        self._ended = False
        self._closing = False
        self._end_error: NatsError | None = None
        self._last_url = ""
        self._silent = 0
        self._room = asyncio.Event()
        self._reviving = asyncio.Lock()
        self._revive_at = 0.0

    @classmethod
    @asynccontextmanager
    async def open(cls, server: Server, *, name: str = "litefleet") -> AsyncIterator[Connection]:
        """Connect, each server of the list once, within ``server.timeout`` each.

        Raises ``ServerUnreachable``, ``AuthenticationFailed`` or ``TLSFailed``.
        """
        connection = cls(server, name)
        await connection._connect()
        try:
            yield connection
        finally:
            await connection._close()

    # what is known about the server

    @property
    def max_payload(self) -> int:
        """The most bytes of one message, headers included."""
        return self._client.max_payload

    @property
    def server_version(self) -> str:
        """Such as ``2.15.1``."""
        return self._client.server_version

    @property
    def connected_url(self) -> str:
        """The server in use; the last one while there is none."""
        url = self._client.connected_url
        if url is not None:
            self._last_url = f"{url.scheme}://{url.netloc}"
        return self._last_url

    @property
    def is_connected(self) -> bool:
        """Whether a request can be sent right now."""
        return self._up.is_set() and not self._ended

    @property
    def progress(self) -> tuple[int, int]:
        """Bytes received and bytes sent so far; a change means that the server is there."""
        wire = self._client.wire
        return (0, 0) if wire is None else (wire.received, wire.sent)

    def on_state_change(self, listener: Listener) -> None:
        """Call ``listener`` at every change; it must not block."""
        self._listeners.append(listener)

    async def wait_connected(self, timeout: float) -> None:
        """Until there is a connection, for ``timeout`` seconds; one that has ended for good is opened anew.

        Raises ``ServerUnreachable``, or what ``open`` raises.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._up.wait()
        except TimeoutError:
            raise ServerUnreachable(
                f"Not connected to {self.connected_url}: {reason(self._client.cause)}",
                hint="the agent goes on trying; see whether nats-server is running",
            ) from None
        if self._ended:
            await self._revive()

    # requests

    async def request(
        self,
        subject: str,
        payload: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Reply:
        """Send and wait for one reply, all within ``timeout`` (default: the server's).

        Raises ``PermissionDenied`` naming the subject, ``RequestFailed`` when nobody answers, ``ServerUnreachable``
        without a connection.
        """
        limit = self.server.timeout if timeout is None else timeout
        received = self.progress[0]
        try:
            async with asyncio.timeout(limit):
                await self.wait_connected(limit)
                with await self.send(subject, payload, headers=headers) as exchange:
                    reply = await exchange.reply()
        except TimeoutError:
            await self._note_silence(silent=self.progress[0] == received)
            raise RequestFailed(
                f"No answer from {self.connected_url} to `{subject}` within {limit:g} s",
                hint="the server is overloaded, or its JetStream has no leader; see its /healthz",
            ) from None
        self._silent = 0
        if reply.status == 503 and not reply.data:
            raise no_responders(subject, self.connected_url)
        return reply

    async def send(self, subject: str, payload: bytes = b"", *, headers: Mapping[str, str] | None = None) -> Exchange:
        """Send without waiting; the replies come through the exchange. Use ``writable`` first for bulk."""
        if self._ended:
            raise self._end()
        if not self._up.is_set():
            await self.wait_connected(0)
        if self._inbox_refused:
            await self._listen()
        token = next(self._tokens)
        exchange = Exchange(self, token, subject)
        self._exchanges[token] = exchange
        try:
            await self._client.publish(
                subject, payload, reply=self._inbox + token, headers=None if headers is None else dict(headers)
            )
        except nats_errors.MaxPayloadError as error:
            self.forget(token)
            raise RequestFailed(
                f"A message of {len(payload)} bytes is more than {self.connected_url} takes ({self.max_payload})",
                hint="its `max_payload` was lowered; the next attempt uses smaller messages",
            ) from error
        except (nats_errors.Error, OSError) as error:
            self.forget(token)
            raise ServerUnreachable(f"Cannot send to {self.connected_url}: {reason(error)}") from error
        return exchange

    async def writable(self) -> None:
        """Until the bytes sent before have left, but for a few; raises when the connection is lost."""
        while self.is_connected and self._client.backlog > BACKLOG_LIMIT:
            self._room.clear()
            await self._room.wait()
        if self._ended:
            raise self._end()
        if not self.is_connected:
            await self.wait_connected(0)

    def forget(self, token: str) -> None:
        """Drop replies that nobody waits for; for ``Exchange``."""
        self._exchanges.pop(token, None)

    # opening and closing

    async def _connect(self) -> None:
        callbacks = Callbacks(
            self._on_error, self._on_disconnected, self._on_reconnected, self._on_closed, self._room.set
        )
        self._client = await dial(self.server, self._name, callbacks)
        self._subscription = None
        self._ended = False
        self._up.set()
        await self._listen()
        log.info("connected to %s (nats-server %s)", self.connected_url, self.server_version)

    async def _revive(self) -> None:
        """Connect anew after the connection has ended for good; at most once per ``reconnect_wait``."""
        loop = asyncio.get_running_loop()
        async with self._reviving:
            if not self._ended:
                return
            if self._closing or loop.time() < self._revive_at:
                raise self._end()
            try:
                await self._connect()
            except NatsError as error:
                self._end_error = error
                self._revive_at = loop.time() + self.server.reconnect_wait
                raise
            self._tell(StateChange("reconnected", f"connected to {self.connected_url} again"))

    async def _listen(self) -> None:
        if self._subscription is not None:
            with suppress(nats_errors.Error):
                await self._subscription.unsubscribe()
        self._inbox = self._client.new_inbox() + "."
        self._inbox_refused = False
        self._subscription = await self._client.subscribe(
            self._inbox + "*", cb=self._on_message, pending_msgs_limit=0, pending_bytes_limit=0
        )

    async def _close(self) -> None:
        self._closing = True
        url = self.connected_url
        await hang_up(self._client)
        self._lost(ServerUnreachable(f"The connection to {url} was closed"), ended=True)

    def _end(self) -> NatsError:
        end = self._end_error or ServerUnreachable("The connection is closed")
        return type(end)(end.message, hint=end.hint)

    def _lost(self, error: NatsError, *, ended: bool) -> None:
        """No reply will come any more to what was sent."""
        self._up.clear()
        if ended:
            self._ended = True
            self._end_error = error
            self._up.set()  # wakes those who wait; they find that it has ended
        self._room.set()
        for exchange in list(self._exchanges.values()):
            exchange.deliver(error)
        self._exchanges.clear()

    async def _note_silence(self, *, silent: bool) -> None:
        self._silent = self._silent + 1 if silent else 0
        if self._silent >= SILENT_REQUESTS and self.is_connected:
            self._silent = 0
            log.warning("nothing comes from %s any more; connecting anew", self.connected_url)
            await self._client.abandon()

    def _tell(self, change: StateChange) -> None:
        log.log(logging.INFO if change.state == "reconnected" else logging.WARNING, "%s", change.reason)
        for listener in self._listeners:
            listener(change)

    # nats-py's callbacks

    async def _on_message(self, message: Msg) -> None:
        exchange = self._exchanges.get(message.subject[len(self._inbox) :])
        if exchange is None:
            return
        headers = message.headers or {}
        status = headers.get("Status", "")
        exchange.deliver(
            Reply(message.data, headers, int(status) if status.isdigit() else 0, headers.get("Description", ""))
        )

    async def _on_error(self, error: Exception) -> None:
        refused = _REFUSED.search(str(error).lower())
        if refused is None:
            log.debug("nats: %s", reason(error))
            if not self.is_connected:
                self._client.cause = error
            return
        if refused.group(1) == "subscription":
            self._refuse_inbox(refused.group(2))
            return
        # The server's words arrive in lower case; the exact subject is that of the message that waits.
        for token, exchange in list(self._exchanges.items()):
            if exchange.subject.lower() == refused.group(2):
                self.forget(token)
                exchange.deliver(denied("publish to", exchange.subject, self.connected_url))

    def _refuse_inbox(self, subject: str) -> None:
        if subject != (self._inbox + "*").lower():
            return
        self._inbox_refused = True
        for exchange in self._exchanges.values():
            exchange.deliver(denied("subscribe to", self._inbox + "*", self.connected_url))
        self._exchanges.clear()

    async def _on_disconnected(self) -> None:
        if self._closing or self._ended:
            return
        url = self._last_url
        why = reason(self._client.cause)
        self._lost(ServerUnreachable(f"The connection to {url} was lost: {why}"), ended=False)
        self._tell(StateChange("disconnected", f"the connection to {url} was lost: {why}"))

    async def _on_reconnected(self) -> None:
        self._client.cause = None
        self._silent = 0
        self._up.set()
        self._tell(StateChange("reconnected", f"connected to {self.connected_url} again"))

    async def _on_closed(self) -> None:
        if self._closing:
            return
        error = explain(self._client.cause, self._last_url, self.server)
        self._lost(error, ended=True)
        self._tell(StateChange("closed", str(error), error))
