"""Batched direct get: messages of a subject, in stream order, without a consumer."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from litefleet.errors import NatsError, RequestFailed, ServerUnreachable
from litefleet.nats.budget import while_progress
from litefleet.nats.causes import NobodyAnswers, no_responders
from litefleet.nats.connection import Connection
from litefleet.nats.exchange import Exchange, Reply
from litefleet.nats.jetstream import Names, api_request

log = logging.getLogger("litefleet.nats")

#: Attempts at a batch, and the pause between them in seconds, longer each time.
FETCH_ATTEMPTS = 3
FETCH_PAUSE = 0.3
#: The end of a batch, and: nothing there.
END, NOTHING = 204, 404


@dataclass(frozen=True, slots=True)
class Stored:
    """One message of the stream."""

    subject: str
    sequence: int
    time: str
    data: bytes


@dataclass(frozen=True, slots=True)
class BatchEnd:
    """What the server said after the last message."""

    #: Messages of the subject that did not fit into the batch.
    pending: int
    #: The sequence of the last message that was sent; 0 if there was none.
    last_sequence: int
    #: The last sequence of the stream as the answering server knows it; 0 if it did not say: only some requests tell.
    up_to: int = 0


class Batch:
    """One batch on its way; its bytes count against the connection's budget until they are here."""

    def __init__(self, exchange: Exchange, connection: Connection, held: int) -> None:
        self.end: BatchEnd | None = None
        #: Seconds from the request to the end of the batch; set when it has arrived.
        self.duration = 0.0
        self._exchange = exchange
        self._connection = connection
        self._held = held
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        exchange.on_arrival = self._arrived

    @classmethod
    async def ask(
        cls, connection: Connection, names: Names, subject: str, *, start: int, messages: int, max_bytes: int
    ) -> Batch:
        """Ask for up to ``messages`` messages and about ``max_bytes`` bytes from stream sequence ``start`` on."""
        body: dict[str, Any] = {
            "seq": max(start, 1),
            "batch": messages,
            "next_by_subj": subject,
            "max_bytes": max_bytes,
        }
        held = await connection.read_budget.take(max_bytes)
        try:
            exchange = await connection.send(names.direct_get, json.dumps(body).encode())
        except BaseException:
            connection.read_budget.give(held)
            raise
        return cls(exchange, connection, held)

    async def next(self) -> Stored | None:
        """The next message, None at the end; ``RequestFailed`` when nothing moves for the server's timeout."""
        if self.end is not None:
            return None
        timeout = self._connection.server.timeout
        try:
            reply = self._exchange.reply_now()
            if reply is None:
                async with while_progress(lambda: self._connection.progress, timeout):
                    reply = await self._exchange.reply()
        except TimeoutError:
            raise RequestFailed(
                f"{self._connection.connected_url} sent nothing of `{self._exchange.subject}` for {timeout:g} s",
                hint="the server is overloaded, or the network lost the connection",
            ) from None
        if reply.status in (END, NOTHING):
            self.end = BatchEnd(
                _number(reply, "Nats-Num-Pending"),
                _number(reply, "Nats-Last-Sequence"),
                _number(reply, "Nats-UpTo-Sequence"),
            )
            return None
        if reply.status == 503:
            raise no_responders(self._exchange.subject, self._connection.connected_url)
        sequence = _number(reply, "Nats-Sequence")
        if reply.status or not sequence:
            raise RequestFailed(
                f"{self._connection.connected_url} answers `{self._exchange.subject}` with"
                f" {reply.status} {reply.description or 'an unknown kind of message'}",
                hint="litefleet needs nats-server 2.11 or newer",
            )
        return Stored(
            reply.headers.get("Nats-Subject", ""), sequence, reply.headers.get("Nats-Time-Stamp", ""), reply.data
        )

    async def rest(self) -> list[Stored]:
        """All messages up to the end."""
        stored: list[Stored] = []
        while (message := await self.next()) is not None:
            stored.append(message)
        return stored

    def close(self) -> None:
        """What is still to come is not wanted."""
        self._exchange.close()
        self._give_back()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _arrived(self, outcome: Reply | NatsError) -> None:
        if isinstance(outcome, NatsError) or outcome.status:
            self.duration = self._loop.time() - self._began
            self._give_back()

    def _give_back(self) -> None:
        held, self._held = self._held, 0
        if held:
            self._connection.read_budget.give(held)


async def fetch(
    connection: Connection, names: Names, subject: str, *, start: int, messages: int, max_bytes: int
) -> tuple[list[Stored], BatchEnd]:
    """One whole batch, asked for again after a failure that may pass.

    Raises ``BucketNotFound``, ``PermissionDenied``, or the last ``RequestFailed`` or ``ServerUnreachable``.
    """
    for attempt in range(1, FETCH_ATTEMPTS + 1):
        try:
            await connection.wait_connected(connection.server.timeout)
            with await Batch.ask(
                connection, names, subject, start=start, messages=messages, max_bytes=max_bytes
            ) as batch:
                stored = await batch.rest()
                assert batch.end is not None
                return stored, batch.end
        except NobodyAnswers as error:
            await require_bucket(connection, names)
            if attempt == FETCH_ATTEMPTS:
                raise
            log.debug("asking again after: %s", error.message)
        except (RequestFailed, ServerUnreachable) as error:
            if attempt == FETCH_ATTEMPTS:
                raise
            log.debug("asking again after: %s", error.message)
        await asyncio.sleep(FETCH_PAUSE * attempt)
    raise AssertionError("the last attempt returns or raises")


async def require_bucket(connection: Connection, names: Names) -> None:
    """Tell a bucket that is missing from one that cannot answer; raises ``BucketNotFound``."""
    with suppress(RequestFailed, ServerUnreachable):
        await api_request(connection, names, "INFO")


def _number(reply: Reply, header: str) -> int:
    text = reply.headers.get(header, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 20 else 0
