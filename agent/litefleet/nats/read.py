"""Reading one object: chunks in order, verified, in a window that follows the speed of the link."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator

from litefleet.errors import ObjectCorrupt, RequestFailed, ServerUnreachable
from litefleet.nats.batch import Batch, require_bucket
from litefleet.nats.causes import NobodyAnswers
from litefleet.nats.connection import Connection
from litefleet.nats.jetstream import Names
from litefleet.nats.metadata import ObjectInfo, decode_digest

log = logging.getLogger("litefleet.nats")

FIRST_WINDOW, LEAST_WINDOW, MOST_WINDOW = 1 << 20, 128 << 10, 8 << 20
#: A window that arrives sooner is doubled, one that takes longer halved (seconds); the server gives up on a client
#: that does not take what it asked for within ten.
QUICK, SLOW = 0.5, 2.0
MOST_MESSAGES = 10_000
#: Attempts without a single new chunk, and the pause between them in seconds, doubled each time.
ATTEMPTS = 5
PAUSE = 0.2
#: A replica that has not caught up lacks chunks its leader has: ask again before calling them lost.
LAG_ATTEMPTS = 3
LAG_PAUSE = 0.1


class Reader:
    """One pass over the chunks of an object."""

    def __init__(self, connection: Connection, names: Names, info: ObjectInfo) -> None:
        self._connection = connection
        self._names = names
        self._info = info
        self._subject = names.chunks(info.nuid)
        self._window = FIRST_WINDOW
        self._next_sequence = 1
        self._chunks = 0
        self._size = 0

    async def verified(self) -> AsyncIterator[bytes]:
        """All chunks; raises ``ObjectCorrupt`` at the end if they are not what the metadata promises."""
        digest = hashlib.sha256()
        async for chunk in self.chunks():
            digest.update(chunk)
            if self._size > self._info.size:
                raise self.corrupt(f"it has more than its {self._info.size} bytes")
            yield chunk
        if self._size != self._info.size:
            raise self.corrupt(f"it has {self._size} of {self._info.size} bytes")
        if decode_digest(self._info.digest) != digest.digest():
            raise self.corrupt("its SHA-256 differs from the one in its metadata")

    async def chunks(self) -> AsyncIterator[bytes]:
        """All chunks, counted but not verified; goes on where it was after a lost connection."""
        failures = lags = 0
        pending: Batch | None = None
        try:
            while self._chunks < self._info.chunks:
                try:
                    if pending is None:
                        pending = await self._ask()
                    batch, pending = pending, None
                    with batch:
                        stored = await batch.rest()
                except (RequestFailed, ServerUnreachable) as error:
                    failures += 1
                    await self._recover(error, failures)
                    continue
                if not stored:
                    lags += 1
                    if lags >= LAG_ATTEMPTS:
                        raise self.corrupt(f"{self._chunks} of its {self._info.chunks} chunks exist")
                    await asyncio.sleep(LAG_PAUSE * lags)
                    continue
                failures = lags = 0
                self._adapt(batch.duration)
                self._next_sequence = stored[-1].sequence + 1
                if self._chunks + len(stored) < self._info.chunks:
                    pending = await self._ask_ahead()
                for message in stored[: self._info.chunks - self._chunks]:
                    self._chunks += 1
                    self._size += len(message.data)
                    yield message.data
        finally:
            if pending is not None:
                pending.close()

    async def _ask(self) -> Batch:
        return await Batch.ask(
            self._connection,
            self._names,
            self._subject,
            start=self._next_sequence,
            messages=min(self._info.chunks - self._chunks, MOST_MESSAGES),
            max_bytes=self._window,
        )

    async def _ask_ahead(self) -> Batch | None:
        """The next batch, so that it arrives while the last one is used; None to ask for it later."""
        try:
            return await self._ask()
        except (RequestFailed, ServerUnreachable):
            return None

    async def _recover(self, error: RequestFailed | ServerUnreachable, failures: int) -> None:
        self._window = max(self._window // 2, LEAST_WINDOW)
        if isinstance(error, NobodyAnswers):
            await require_bucket(self._connection, self._names)
        if failures >= ATTEMPTS:
            raise error
        log.info("reading %s goes on from chunk %d after: %s", self._info.name, self._chunks + 1, error.message)
        await asyncio.sleep(PAUSE * 2 ** (failures - 1))
        # As long as one reconnect may take; an end for good is raised at once.
        await self._connection.wait_connected(self._connection.server.timeout + self._connection.server.reconnect_wait)

    def _adapt(self, duration: float) -> None:
        if duration < QUICK:
            self._window = min(self._window * 2, MOST_WINDOW)
        elif duration > SLOW:
            self._window = max(self._window // 2, LEAST_WINDOW)

    def corrupt(self, what: str) -> ObjectCorrupt:
        """The error for an object whose chunks are not what its metadata says."""
        return ObjectCorrupt(
            f"Object `{self._info.name}` in bucket `{self._names.bucket}` is damaged: {what}",
            hint="another object may cover the same transactions; `litefleet verify` tells",
        )
