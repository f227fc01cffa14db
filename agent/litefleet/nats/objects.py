"""The object store of one bucket, on publish and direct get alone: no consumers, no tombstones."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from litefleet.errors import BucketLost, BucketTaken, BucketUnusable, ObjectExists, RequestFailed
from litefleet.nats.batch import BatchEnd, Stored, fetch
from litefleet.nats.connection import Connection
from litefleet.nats.jetstream import TOO_MANY_REQUESTS, JetStreamRefused, Names, WrongSequence, api_request
from litefleet.nats.metadata import MetadataUnreadable, ObjectInfo, decode_metadata, parse_time
from litefleet.nats.put import WINDOW, Fence, Put
from litefleet.nats.read import Reader
from litefleet.nats.sweep import abandoned, chunk_counts

__all__ = ["BucketStatus", "Listing", "ObjectInfo", "ObjectStore"]

#: Batched direct get came with 2.11.
LEAST_SERVER = (2, 11)
#: Metadata messages, and their bytes, asked for at once.
PAGE_MESSAGES = 2000
PAGE_BYTES = 1 << 20
#: Attempts at an object that is at hand when the stream is too busy, each with a smaller window.
BUSY_ATTEMPTS = 5
LEAST_WINDOW = 1 << 20


@dataclass(frozen=True, slots=True)
class Listing:
    """The objects of a bucket at one moment."""

    objects: tuple[ObjectInfo, ...]
    #: Give it to the next ``list(after=…)`` to learn only what came since.
    last_sequence: int
    #: Metadata messages that do not describe an object.
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class BucketStatus:
    """The stream behind a bucket; sizes in bytes, times in seconds."""

    bucket: str
    messages: int
    bytes: int
    #: -1 is without limit.
    max_bytes: int
    last_sequence: int
    replicas: int
    storage: str
    compression: str
    #: 0 is for ever.
    max_age: float
    #: When the stream was created, as the server writes it; another text means another stream.
    created: str
    allow_direct: bool
    allow_rollup: bool
    server_url: str
    server_version: str


class ObjectStore:
    """The objects of ``bucket``; with ``path`` only those below it, under names without it."""

    def __init__(self, connection: Connection, bucket: str, path: str = "") -> None:
        self.bucket = bucket
        self.path = path
        self._prefix = f"{path}/" if path else ""
        self.names = Names(bucket)
        self._connection = connection
        #: Objects are completed only while it holds; see ``litefleet.bucket.lease``.
        self.fence: Fence | None = None
        #: The highest stream sequence that was acknowledged to us.
        self.last_sequence = 0
        self._window = WINDOW
        self._writing: set[str] = set()

    def __str__(self) -> str:
        """For messages: the bucket, and where it is."""
        path = f", path `{self.path}`," if self.path else ""
        return f"Bucket `{self.bucket}`{path} on {self._connection.connected_url}"

    async def check(self) -> BucketStatus:
        """The bucket's state, from its leader.

        Raises ``BucketNotFound``, ``BucketUnusable`` when backups cannot live in it, or what a request raises.
        """
        answer = await api_request(self._connection, self.names, "INFO")
        config, state = _dict(answer.get("config")), _dict(answer.get("state"))
        status = BucketStatus(
            bucket=self.bucket,
            messages=int(state.get("messages", 0)),
            bytes=int(state.get("bytes", 0)),
            max_bytes=int(config.get("max_bytes", -1)),
            last_sequence=int(state.get("last_seq", 0)),
            replicas=int(config.get("num_replicas", 1)),
            storage=str(config.get("storage", "")),
            compression=str(config.get("compression", "none")),
            max_age=int(config.get("max_age", 0)) / 1e9,
            created=str(answer.get("created", "")),
            allow_direct=bool(config.get("allow_direct", False)),
            allow_rollup=bool(config.get("allow_rollup_hdrs", False)),
            server_url=self._connection.connected_url,
            server_version=self._connection.server_version,
        )
        self._require_usable(status)
        return status

    async def put(
        self,
        name: str,
        data: AsyncIterable[bytes] | bytes,
        *,
        headers: Mapping[str, str],
        replace: bool = False,
        expect: int = 0,
    ) -> ObjectInfo:
        """Store an object; it exists when this returns.

        Nothing of it is left when this raises, unless the connection was lost: then the next ``sweep`` finds the rest,
        and when only the last answer was missing, the whole object may exist.

        Without ``replace`` the name must be free, or belong to an object of the same content; ``replace`` removes the
        chunks of an object of the same name afterwards; ``expect`` is the sequence of the object that may be replaced
        instead. ``modified`` of the result is the local time. Raises ``ObjectExists``, ``BucketTaken`` and
        ``BucketLost`` (see ``fence``), ``BucketFull``, ``BucketNotFound``, ``PermissionDenied``; ``RequestFailed`` or
        ``ServerUnreachable`` when another attempt, with new data, may succeed.

        ``headers`` are read after all of ``data``, so that they can tell something about it.
        """
        await self._connection.wait_connected(self._connection.server.timeout)
        old = await self.info(name) if replace else None
        attempts = BUSY_ATTEMPTS if isinstance(data, bytes) else 1
        while True:
            put = Put(
                self._connection,
                self.names,
                self._prefix + name,
                headers,
                window=self._window,
                expect=None if replace else expect,
                fence=self.fence,
            )
            self._writing.add(put.nuid)
            try:
                info = await put.run(data)
                break
            except ObjectExists as error:
                if not put.digest and isinstance(error, WrongSequence):
                    raise self._fenced(error) from None
                there = await self._same(name, put.digest) if not expect else None
                if there is None:
                    raise
                return there
            except JetStreamRefused as error:
                attempts -= 1
                if error.err_code != TOO_MANY_REQUESTS:
                    raise
                self._window //= 8
                if not attempts:
                    raise
            finally:
                self._writing.discard(put.nuid)
        self._window = min(max(self._window * 2, LEAST_WINDOW), WINDOW)
        self.last_sequence = max(self.last_sequence, info.sequence)
        if old is not None:
            await self._purge(self.names.chunks(old.nuid))
        return dataclasses.replace(info, name=name)

    def _fenced(self, error: WrongSequence) -> BucketTaken | BucketLost:
        """What the stream says when the last chunk of an object was refused."""
        if error.found:
            return BucketTaken(
                f"{self} was taken over by another agent",
                hint="stop one of the two; `litefleet replicate --takeover` takes it back",
            )
        return BucketLost(
            f"{self} was emptied or made anew: what had been acknowledged is gone",
            hint="the agent fills it again with a full copy; find out who did it",
        )

    async def _same(self, name: str, digest: str) -> ObjectInfo | None:
        """The object of that name if it has this content; a tombstone of that name is taken out of the way."""
        there = await self._newest(name)
        if there is None or not there.deleted:
            return there if there is not None and there.digest == digest else None
        await self._purge(self.metadata_subject(name), before=there.sequence + 1)
        raise RequestFailed(f"A tombstone of `{name}` was in the way; it is removed", hint="try again")

    async def info(self, name: str) -> ObjectInfo | None:
        """The object of that name, None if there is none or it was deleted.

        A replica answers, which may lag: do not use it to look for what was just put.
        """
        found = await self._newest(name)
        return None if found is None or found.deleted else found

    async def stored(self, info: ObjectInfo) -> bool:
        """Whether this very object of the bucket, by its whole name, is still there."""
        stored, _ = await self._fetch(self.names.metadata(info.name), start=info.sequence, messages=1)
        return bool(stored) and stored[0].sequence == info.sequence

    async def exists(self, name: str) -> bool:
        """Whether the leader has metadata under that name, be it a tombstone."""
        body = {"subjects_filter": self.metadata_subject(name)}
        answer = await api_request(self._connection, self.names, "INFO", body)
        return bool(_dict(answer.get("state")).get("subjects"))

    async def _newest(self, name: str) -> ObjectInfo | None:
        """The metadata under that name, be it a tombstone."""
        stored, _ = await self._fetch(self.metadata_subject(name), start=1, messages=1)
        found = self._decode(stored[-1]) if stored else None
        return None if found is None else dataclasses.replace(found, name=name)

    def metadata_subject(self, name: str) -> str:
        """The subject of an object's metadata."""
        return self.names.metadata(self._prefix + name)

    async def list(self, *, after: int = 0) -> Listing:
        """The objects whose metadata was stored after stream sequence ``after``, in stream order."""
        return below(self.path, await self.list_bucket(after=after))

    async def list_bucket(self, *, after: int = 0) -> Listing:
        """As ``list``, with the objects of all paths under their whole names."""
        objects: dict[str, ObjectInfo] = {}
        unreadable = 0
        position = after
        while True:
            stored, end = await self._fetch(self.names.all_metadata, start=position + 1, messages=PAGE_MESSAGES)
            for message in stored:
                position = message.sequence
                info = self._decode(message)
                if info is None:
                    unreadable += 1
                    continue
                objects.pop(info.name, None)  # replaced, or deleted, since the page before
                if not info.deleted:
                    objects[info.name] = info
            if end.pending == 0 or not stored:
                return Listing(tuple(objects.values()), position, unreadable)

    def read(self, info: ObjectInfo) -> AsyncIterator[bytes]:
        """The object's bytes, chunk by chunk; ``ObjectCorrupt`` at the end if they are not what was stored.

        Goes on by itself after a lost connection; raises ``RequestFailed`` or ``ServerUnreachable`` when it cannot.
        """
        return Reader(self._connection, self.names, info).verified()

    async def chunk_counts(self) -> dict[str, int]:
        """How many chunks the leader holds of each nuid, of the whole bucket."""
        return await chunk_counts(self._connection, self.names)

    async def read_head(self, info: ObjectInfo, length: int) -> bytes:
        """The first ``length`` bytes (all of a smaller object), not verified."""
        head = b""
        chunks = 0
        start = 1
        while len(head) < length and chunks < info.chunks:
            stored, _ = await self._fetch(
                self.names.chunks(info.nuid), start=start, messages=info.chunks - chunks, max_bytes=length - len(head)
            )
            if not stored:
                break
            head += b"".join(message.data for message in stored)
            chunks += len(stored)
            start = stored[-1].sequence + 1
        if len(head) < min(length, info.size):
            raise Reader(self._connection, self.names, info).corrupt(f"{chunks} of its {info.chunks} chunks exist")
        return head[:length]

    async def purge(self, info: ObjectInfo) -> None:
        """Remove an object without a trace; works in a full bucket, and when it is gone already.

        An object that was put under the same name later is left alone.
        """
        await self._purge(self.metadata_subject(info.name), before=info.sequence + 1)
        await self._purge(self.names.chunks(info.nuid))

    async def sweep(self, *, older_than: float = 3600.0) -> int:
        """Remove the chunks that puts left which were cut off; returns the number of those puts.

        Chunks younger than ``older_than`` seconds may belong to a put of somebody else and stay, unless they are older
        than the fence of a bucket that is all ours. Nothing is removed from a bucket with metadata that cannot be read.
        """
        before = self.fence.sequence if self.fence is not None and not self.path else 0
        nuids, until = await abandoned(
            self._connection, self.names, set(self._writing), older_than=older_than, before=before
        )
        # An object may have been completed since its chunks were found.
        used = {info.nuid for info in (await self.list_bucket(after=until)).objects} | self._writing
        unwanted = [nuid for nuid in nuids if nuid not in used]
        for nuid in unwanted:
            await self._purge(self.names.chunks(nuid))
        return len(unwanted)

    async def _purge(self, subject: str, *, before: int = 0) -> None:
        body: dict[str, Any] = {"filter": subject}
        if before:
            body["seq"] = before
        await api_request(self._connection, self.names, "PURGE", body)

    async def _fetch(
        self, subject: str, *, start: int, messages: int, max_bytes: int = PAGE_BYTES
    ) -> tuple[Sequence[Stored], BatchEnd]:
        return await fetch(self._connection, self.names, subject, start=start, messages=messages, max_bytes=max_bytes)

    def _decode(self, message: Stored) -> ObjectInfo | None:
        token = message.subject.rpartition(".")[2]
        try:
            modified = parse_time(message.time)
            return decode_metadata(message.data, token=token, modified=modified, sequence=message.sequence)
        except (MetadataUnreadable, ValueError):
            return None

    def _require_usable(self, status: BucketStatus) -> None:
        version = re.match(r"(\d+)\.(\d+)", status.server_version)
        if version is None or (int(version[1]), int(version[2])) < LEAST_SERVER:
            raise BucketUnusable(
                f"nats-server {status.server_version} at {status.server_url} is too old",
                hint="litefleet needs 2.11 or newer: `ansible-playbook playbooks/upgrade.yml`",
            )
        missing = [
            option
            for option, there in (("allow_direct", status.allow_direct), ("allow_rollup_hdrs", status.allow_rollup))
            if not there
        ]
        if missing:
            raise BucketUnusable(
                f"Bucket `{self.bucket}` on {status.server_url} lacks {' and '.join(f'`{m}`' for m in missing)}",
                hint="`ansible-playbook playbooks/buckets.yml` sets it, without touching what the bucket holds",
            )


def below(path: str, listing: Listing) -> Listing:
    """The part of a bucket's listing that is below ``path``, under names without it."""
    if not path:
        return listing
    prefix = f"{path}/"
    objects = tuple(
        dataclasses.replace(info, name=info.name.removeprefix(prefix))
        for info in listing.objects
        if info.name.startswith(prefix)
    )
    return Listing(objects, listing.last_sequence, listing.unreadable)


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
