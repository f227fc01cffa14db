"""One connection to NATS: opened with a clear error, supervised, and never waited for without bound."""

from __future__ import annotations

import asyncio
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
from litefleet.nats.awaiting import Awaiting
from litefleet.nats.budget import ByteBudget
from litefleet.nats.causes import denied, explain, no_responders, reason
from litefleet.nats.dial import Callbacks, dial, hang_up
from litefleet.nats.exchange import Exchange, Reply
from litefleet.nats.watches import Watches
from litefleet.nats.wire import WireClient

log = logging.getLogger("litefleet.nats")

#: Unsent bytes from which on senders wait: more than a socket takes at once, little enough for pings to get through.
BACKLOG_LIMIT = 256 * 1024
#: Bytes that all readers of a connection together may have asked for; the server cuts clients off at 64 MiB.
READ_BUDGET = 32 * 1024 * 1024
#: Requests in a row without a single byte from the server, after which the connection is taken for dead.
SILENT_REQUESTS = 2
#: Seconds between attempts to make a connection anew, at most.
LONGEST_PAUSE = 10.0

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
        self._client: WireClient | None = None
        self._told = ""
        self._inbox = ""
        self._subscription: Subscription | None = None
        self._inbox_refused = False
        self._exchanges = Awaiting()
        self._listeners: list[Listener] = []
        self._up = asyncio.Event()
        self._ended = False
        self._ends = asyncio.Event()
        self._closing = False
        self._end_error: NatsError | None = None
        self._last_url = server.urls[0] if server.urls else ""
        self._watches = Watches()
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
            await connection.close()

    @classmethod
    def later(cls, server: Server, *, name: str = "litefleet") -> Connection:
        """A connection that does not exist yet; ``keep`` makes it, and so does the first request. ``close`` it."""
        connection = cls(server, name)
        url = ",".join(server.urls)
        connection._lost(ServerUnreachable(f"Not connected to {url} yet"), ended=True)
        return connection

    async def keep(self) -> None:
        """Until cancelled: when the connection has ended for good, or does not exist yet, make it anew.

        The pause between two attempts doubles from ``server.reconnect_wait`` to ten seconds; each is as ``open``.
        """
        loop = asyncio.get_running_loop()
        shortest = max(0.1, self.server.reconnect_wait)
        pause, since = shortest, loop.time() - LONGEST_PAUSE
        # Not only the cancellation ends it: nats-py may swallow that while it connects.
        while not self._closing:
            await self._ends.wait()
            if loop.time() - since > max(1.0, shortest):
                pause, self._told = shortest, ""
            else:
                # A server that lets us in and sends us away at once is no better than one that refuses.
                await asyncio.sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 2)
            try:
                await self._revive()
            except NatsError as error:
                if str(error) != self._told:
                    self._told = str(error)
                    log.warning("%s", error)
            since = loop.time()

    # what is known about the server

    @property
    def max_payload(self) -> int:
        """The most bytes of one message, headers included."""
        return self._connected.max_payload

    @property
    def server_version(self) -> str:
        """Such as ``2.15.1``."""
        return "" if self._client is None else self._client.server_version

    @property
    def client_id(self) -> int:
        """The server's number for this connection."""
        return self._connected.client_id or 0

    @property
    def server_name(self) -> str:
        """The name that the server gives itself."""
        return str(self._connected.server_info.get("server_name", ""))

    @property
    def _connected(self) -> WireClient:
        if self._client is None:
            raise self._end()
        return self._client

    @property
    def connected_url(self) -> str:
        """The server in use; the last one while there is none."""
        url = None if self._client is None else self._client.connected_url
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
        wire = None if self._client is None else self._client.wire
        return (0, 0) if wire is None else (wire.received, wire.sent)

    @property
    def _written(self) -> int:
        """Bytes handed over so far; compare it with what ``progress`` says was sent."""
        wire = self._connected.wire
        return 0 if wire is None else wire.written + self._connected.pending_data_size

    def on_state_change(self, listener: Listener) -> None:
        """Call ``listener`` at every change; it must not block."""
        self._listeners.append(listener)

    async def watch(self, subject: str, callback: Callable[[str, bytes], None]) -> None:
        """Call ``callback`` with subject and data of every message to ``subject``, over all reconnects.

        A server that does not permit it says so later: see ``watching``.
        """
        await self._watches.add(None if self._ended else self._client, subject, callback)

    def watching(self, subject: str) -> bool:
        """Whether ``subject`` is watched and the server has not refused it."""
        return self._watches.works(subject)

    async def wait_connected(self, timeout: float) -> None:
        """Until there is a connection, for ``timeout`` seconds; one that has ended for good is opened anew.

        Raises ``ServerUnreachable``, or what ``open`` raises.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._up.wait()
        except TimeoutError:
            raise self._not_connected() from None
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
            if not self.is_connected:
                raise self._not_connected() from None
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
        token, exchange = self._exchanges.begin(self, subject)
        try:
            await self._connected.publish(
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
        exchange.end = self._written
        return exchange

    async def writable(self) -> None:
        """Until the bytes sent before have left, but for a few; raises when the connection is lost."""
        while self.is_connected and self._connected.backlog > BACKLOG_LIMIT:
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
        client = await dial(self.server, self._name, callbacks)
        if self._closing:
            await hang_up(client)
            raise self._end()
        self._client = client
        self._subscription = None
        self._ended = False
        self._ends.clear()
        self._up.set()
        await self._listen()
        await self._watches.begin(self._client)
        log.debug("connected to %s (nats-server %s)", self.connected_url, self.server_version)

    async def _revive(self) -> None:
        """Connect anew after the connection has ended for good; at most once per ``reconnect_wait``."""
        loop = asyncio.get_running_loop()
        async with self._reviving:
            if not self._ended:
                return
            if self._closing or loop.time() < self._revive_at:
                raise self._end()
            first = self._client is None
            try:
                await self._connect()
            except NatsError as error:
                self._end_error = error
                self._revive_at = loop.time() + self.server.reconnect_wait
                raise
            if first:
                self._tell(StateChange("connected", f"connected to {self.connected_url}"))
            else:
                self._tell(StateChange("reconnected", f"connected to {self.connected_url} again"))

    async def _listen(self) -> None:
        if self._subscription is not None:
            with suppress(nats_errors.Error):
                await self._subscription.unsubscribe()
        self._inbox = self._connected.new_inbox() + "."
        self._inbox_refused = False
        self._subscription = await self._connected.subscribe(
            self._inbox + "*", cb=self._on_message, pending_msgs_limit=0, pending_bytes_limit=0
        )

    async def close(self) -> None:
        """Let go of it, within bounds."""
        self._closing = True
        self._ends.set()
        url = self.connected_url
        if self._client is not None:
            await hang_up(self._client)
        self._lost(ServerUnreachable(f"The connection to {url} was closed"), ended=True)

    def _end(self) -> NatsError:
        end = self._end_error or ServerUnreachable("The connection is closed")
        return type(end)(end.message, hint=end.hint)

    def _not_connected(self) -> ServerUnreachable:
        return ServerUnreachable(
            f"Not connected to {self.connected_url}: {reason(self._cause)}",
            hint="the agent goes on trying; see whether nats-server is running",
        )

    def _lost(self, error: NatsError, *, ended: bool) -> None:
        """No reply will come any more to what was sent."""
        self._up.clear()
        if ended:
            self._ended = True
            self._end_error = error
            self._ends.set()
            self._up.set()  # wakes those who wait; they find that it has ended
        self._room.set()
        self._exchanges.fail(error)

    async def _note_silence(self, *, silent: bool) -> None:
        self._silent = self._silent + 1 if silent else 0
        if self._silent >= SILENT_REQUESTS and self.is_connected:
            self._silent = 0
            log.warning("nothing comes from %s any more; connecting anew", self.connected_url)
            await self._connected.abandon()

    def _tell(self, change: StateChange) -> None:
        log.log(logging.INFO if change.state in ("connected", "reconnected") else logging.WARNING, "%s", change.reason)
        for listener in self._listeners:
            listener(change)

    @property
    def _cause(self) -> BaseException | None:
        return None if self._client is None else self._client.cause

    # nats-py's callbacks

    async def _on_message(self, message: Msg) -> None:
        self._exchanges.deliver(message.subject[len(self._inbox) :], message)

    async def _on_error(self, error: Exception) -> None:
        refused = _REFUSED.search(str(error).lower())
        if refused is None:
            log.debug("nats: %s", reason(error))
            if not self.is_connected and self._client is not None:
                self._client.cause = error
            return
        if refused.group(1) == "subscription":
            self._watches.refuse(refused.group(2))
            self._refuse_inbox(refused.group(2))
            return
        self._exchanges.refuse(refused.group(2), self.connected_url)

    def _refuse_inbox(self, subject: str) -> None:
        if subject != (self._inbox + "*").lower():
            return
        self._inbox_refused = True
        self._exchanges.fail(denied("subscribe to", self._inbox + "*", self.connected_url))

    async def _on_disconnected(self) -> None:
        # Attempts that fail, and the end of them, are no new loss.
        if self._closing or not self.is_connected:
            return
        url = self._last_url
        why = reason(self._cause)
        self._lost(ServerUnreachable(f"The connection to {url} was lost: {why}"), ended=False)
        self._tell(StateChange("disconnected", f"the connection to {url} was lost: {why}"))

    async def _on_reconnected(self) -> None:
        self._connected.cause = None
        self._silent = 0
        self._up.set()
        self._tell(StateChange("reconnected", f"connected to {self.connected_url} again"))

    async def _on_closed(self) -> None:
        if self._closing:
            return
        error = explain(self._cause, self._last_url, self.server)
        self._lost(error, ended=True)
        self._told = str(error)
        self._tell(StateChange("closed", str(error), error))
