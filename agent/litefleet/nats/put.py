"""Writing one object: chunks in a window, then, only when all of them are acknowledged, the metadata."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import logging
from collections import deque
from collections.abc import AsyncIterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from nats.nuid import NUID

from litefleet.errors import BucketFull, BucketUnusable, NatsError, ObjectExists, PermissionDenied, RequestFailed
from litefleet.nats.budget import while_progress
from litefleet.nats.chunks import chunk_size, recut
from litefleet.nats.connection import Connection
from litefleet.nats.exchange import Exchange
from litefleet.nats.jetstream import CHECK_UNDER_WAY, TOO_MANY_REQUESTS, JetStreamRefused, Names, api_request, parse
from litefleet.nats.metadata import ObjectInfo, encode_digest, encode_metadata

log = logging.getLogger("litefleet.nats")

#: Bytes that may be unacknowledged.
WINDOW = 16 * 1024 * 1024
#: Seconds to wait for the chunks that are on their way when a put fails.
SETTLE_TIMEOUT = 5.0
#: Seconds for each step of cleaning up after a put that was cancelled.
HURRIED_TIMEOUT = 1.0
#: Times a stream that is too busy is asked again, and the first pause in seconds.
BUSY_RETRIES = 6
BUSY_PAUSE = 0.1

_nuids = NUID()


@dataclass(frozen=True, slots=True)
class Fence:
    """What the stream must hold for an object to be completed: this message as the newest under its subject.

    ``turn`` lets one message at a time carry the check: a replicated stream refuses a second one on its way.
    """

    subject: str
    sequence: int
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def headers(self) -> dict[str, str]:
        """Those of a message that is stored only while it holds."""
        return {
            "Nats-Expected-Last-Subject-Sequence": str(self.sequence),
            "Nats-Expected-Last-Subject-Sequence-Subject": self.subject,
        }


class NobodyStores(RequestFailed):
    """A message that no stream has taken."""


class Put:
    """One object on its way; use once."""

    def __init__(
        self,
        connection: Connection,
        names: Names,
        name: str,
        headers: Mapping[str, str],
        *,
        window: int,
        expect: int | None = 0,
        fence: Fence | None = None,
    ) -> None:
        """``expect``: the stream sequence of the metadata that is there (0: none may be), None for whatever it is."""
        self.nuid = _nuids.next().decode()
        self._connection = connection
        self._names = names
        self._name = name
        self._headers = headers
        self._subject = names.chunks(self.nuid)
        self._window = window
        self._expect = expect
        self._fence = fence
        self._flight: deque[tuple[bytes, Exchange]] = deque()
        self._in_flight = 0
        #: Answers that have come, also those that nobody has looked at yet.
        self._arrived = 0
        #: Chunks may be in the stream, and certainly no metadata.
        self._chunks_alone = False
        #: Of the whole content, once all of it is stored.
        self.digest = ""

    async def run(self, data: AsyncIterable[bytes] | bytes) -> ObjectInfo:
        """Write all of it, or remove what was written and raise."""
        try:
            return await self._write(data)
        except BaseException as error:
            # Whoever cancels wants an end soon; the next sweep removes what is left.
            hurried = isinstance(error, asyncio.CancelledError)
            await self._clean_up(HURRIED_TIMEOUT if hurried else self._connection.server.timeout)
            raise
        finally:
            for _, exchange in self._flight:
                exchange.close()

    async def _write(self, data: AsyncIterable[bytes] | bytes) -> ObjectInfo:
        limit = chunk_size(self._connection.max_payload)
        digest = hashlib.sha256()
        size = chunks = 0
        last = b""
        async for chunk in recut(data, limit):
            digest.update(chunk)
            size += len(chunk)
            chunks += 1
            if last:
                await self._send_in_window(last)
            last = chunk
        if self._fence is None:
            if last:
                await self._send_in_window(last)
            await self._settle()
        else:
            await self._settle()
            await self._send_fenced(last, self._fence)
        self.digest = encode_digest(digest.digest())
        info = ObjectInfo(
            name=self._name,
            nuid=self.nuid,
            size=size,
            chunks=chunks,
            digest=self.digest,
            headers=dict(self._headers),
            modified=datetime.now(UTC),
            sequence=0,
        )
        body = encode_metadata(info, bucket=self._names.bucket, max_chunk_size=limit)
        return dataclasses.replace(info, sequence=await self._publish_metadata(body))

    async def _send_in_window(self, chunk: bytes) -> None:
        while self._flight and self._in_flight + len(chunk) > self._window:
            await self._settle_oldest()
        self._flight.append((chunk, await self._send(chunk)))
        self._in_flight += len(chunk)

    async def _settle(self) -> None:
        while self._flight:
            await self._settle_oldest()

    async def _send_fenced(self, chunk: bytes, fence: Fence) -> None:
        """The last chunk, which is stored only while the fence holds: so the object is completed by its owner only."""
        if not chunk:
            return
        pause = BUSY_PAUSE
        async with fence.turn:
            for attempt in range(BUSY_RETRIES + 1):
                try:
                    await self._acknowledged(await self._send(chunk, fence.headers))
                    return
                except JetStreamRefused as error:
                    if error.err_code not in (TOO_MANY_REQUESTS, CHECK_UNDER_WAY) or attempt == BUSY_RETRIES:
                        raise
                await asyncio.sleep(pause)
                pause *= 2

    async def _send(self, chunk: bytes, headers: Mapping[str, str] | None = None) -> Exchange:
        try:
            async with while_progress(lambda: self._connection.progress, self._connection.server.timeout):
                await self._connection.writable()
                self._chunks_alone = True
                exchange = await self._connection.send(self._subject, chunk, headers=headers)
                exchange.on_arrival = self._note_arrival
                return exchange
        except TimeoutError:
            raise self._stalled() from None

    def _note_arrival(self, _: object) -> None:
        self._arrived += 1

    async def _settle_oldest(self) -> None:
        """Wait for the acknowledgement of the chunk that has waited longest."""
        chunk, exchange = self._flight[0]
        try:
            await self._acknowledged(exchange)
        except JetStreamRefused as refused:
            if refused.err_code != TOO_MANY_REQUESTS:
                raise
            await self._send_again(refused)
            return
        self._flight.popleft()
        self._in_flight -= len(chunk)

    async def _acknowledged(self, exchange: Exchange) -> int:
        """The stream sequence of one message."""

        def progress() -> object:
            # Not that of the connection: others may keep it busy while an answer to us is lost for good.
            return min(self._connection.progress[1], exchange.end), self._arrived

        try:
            async with while_progress(progress, self._connection.server.timeout):
                with exchange:
                    reply = await exchange.reply()
        except TimeoutError:
            raise self._stalled() from None
        if reply.status == 503 and not reply.data:
            # Nothing listens to the subject: STREAM.INFO tells whether it is the bucket that is missing.
            await api_request(self._connection, self._names, "INFO")
            raise NobodyStores(
                f"Nothing on {self._connection.connected_url} stores into bucket `{self._names.bucket}`",
                hint="its stream has no leader, or other subjects than those of an object store",
            )
        answer = parse(reply, self._names, self._connection)
        sequence = answer.get("seq")
        if answer.get("stream") != self._names.stream or not isinstance(sequence, int):
            raise RequestFailed(
                f"`{exchange.subject}` was stored in stream `{answer.get('stream')}` instead of `{self._names.stream}`",
                hint="another stream takes the subjects of this bucket",
            )
        return sequence

    async def _send_again(self, refused: JetStreamRefused) -> None:
        """The stream was too busy for the oldest chunk: send what is in flight again, in order, one by one.

        A chunk that was stored after the refused one cannot be taken back: then the object is given up.
        """
        for _, exchange in list(self._flight)[1:]:
            try:
                await self._acknowledged(exchange)
            except JetStreamRefused as error:
                if error.err_code != TOO_MANY_REQUESTS:
                    raise
            else:
                raise refused
        self._window //= 2
        while self._flight:
            chunk, _ = self._flight[0]
            await self._send_until_taken(chunk)
            self._flight.popleft()
            self._in_flight -= len(chunk)

    async def _send_until_taken(self, chunk: bytes) -> None:
        pause = BUSY_PAUSE
        for attempt in range(BUSY_RETRIES + 1):
            await asyncio.sleep(pause)
            pause *= 2
            try:
                await self._acknowledged(await self._send(chunk))
                return
            except JetStreamRefused as error:
                if error.err_code != TOO_MANY_REQUESTS or attempt == BUSY_RETRIES:
                    raise

    async def _publish_metadata(self, body: bytes) -> int:
        subject = self._names.metadata(self._name)
        headers = {"Nats-Rollup": "sub"}
        if self._expect is not None:
            # 0: nothing may be there yet, no other writer's object, nor ours from an attempt that was given up.
            headers["Nats-Expected-Last-Subject-Sequence"] = str(self._expect)
        exchange = await self._connection.send(subject, body, headers=headers)
        # Should no answer come it may be stored nevertheless, and metadata must not outlive its chunks.
        chunks, self._chunks_alone = self._chunks_alone, False
        try:
            return await self._acknowledged(exchange)
        except (BucketFull, BucketUnusable, JetStreamRefused, NobodyStores, ObjectExists, PermissionDenied):
            self._chunks_alone = chunks
            raise

    async def _clean_up(self, patience: float) -> None:
        """Remove the chunks that were stored; ``ObjectStore.sweep`` finds those that cannot be removed in time."""
        if not self._chunks_alone:
            return
        if not self._connection.is_connected:
            log.info("no connection to remove the rest of %s with; it stays until the next sweep", self._name)
            return
        # What is still on its way would be stored after the purge.
        with suppress(TimeoutError):
            async with asyncio.timeout(min(SETTLE_TIMEOUT, patience)):
                for _, exchange in self._flight:
                    await exchange.settled()
        with suppress(NatsError, TimeoutError):
            async with asyncio.timeout(patience):
                await api_request(self._connection, self._names, "PURGE", {"filter": self._subject})

    def _stalled(self) -> RequestFailed:
        return RequestFailed(
            f"{self._connection.connected_url} has not acknowledged a part of `{self._name}` within"
            f" {self._connection.server.timeout:g} s",
            hint="the server is overloaded, or its stream has no leader; see its /healthz",
        )
