"""Objects go in and come out; other clients see the same."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator

import nats
import pytest
from nats.js import api

from litefleet.config.settings import Server
from litefleet.errors import ObjectExists, RequestFailed
from litefleet.nats.chunks import MOST
from litefleet.nats.objects import ObjectStore
from litefleet.nats.read import FIRST_WINDOW
from tests.support.buckets import bucket_store, content
from tests.support.natsserver import NatsServer
from tests.support.running import BIN

SIZES = [0, 1, MOST - 1, MOST, MOST + 1, 2 * MOST, FIRST_WINDOW, 40 << 20]
TIMESTAMP = {"Litestream-Timestamp": "2026-11-23T08:32:22.73Z"}


async def pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


@pytest.mark.parametrize("size", SIZES)
async def test_an_object_comes_back_as_it_was_put(store: ObjectStore, size: int) -> None:
    data = os.urandom(size)
    info = await store.put("ltx/0/x.ltx", data, headers=TIMESTAMP)
    assert await content(store, info) == data
    assert (info.size, info.chunks) == (size, -(-size // MOST))
    assert await store.read_head(info, 100) == data[:100]


async def test_what_a_put_returns_is_what_the_bucket_says(store: ObjectStore) -> None:
    put = await store.put("a/ä€😀 b", b"abc", headers=TIMESTAMP)
    found = await store.info("a/ä€😀 b")
    listing = await store.list()
    assert found is not None
    assert listing.objects == (found,)
    assert (found.nuid, found.sequence, found.digest, found.headers, found.size) == (
        put.nuid,
        put.sequence,
        put.digest,
        TIMESTAMP,
        3,
    )
    assert abs((found.modified - put.modified).total_seconds()) < 60


async def test_pieces_of_any_size_become_one_object(store: ObjectStore) -> None:
    data = os.urandom(3_000_000)
    info = await store.put("x", pieces(data, 4097), headers={})
    assert await content(store, info) == data
    assert info.chunks == 3


async def test_the_head_of_an_object_of_tiny_chunks(store: ObjectStore, server: NatsServer) -> None:
    data = os.urandom(5000)
    client = await nats.connect(server.url)
    bucket = await client.jetstream().object_store("B")
    await bucket.put("tiny", data, api.ObjectMeta(options=api.ObjectMetaOptions(max_chunk_size=10)))
    await client.close()
    info = await store.info("tiny")
    assert info is not None
    assert info.chunks == 500
    assert await store.read_head(info, 123) == data[:123]
    assert await store.read_head(info, 9999) == data
    assert await content(store, info) == data


async def test_a_missing_object_is_none(store: ObjectStore) -> None:
    assert await store.info("nothing") is None


async def test_putting_a_name_again_replaces_it_only_if_asked_to(store: ObjectStore) -> None:
    old = await store.put("x", b"old" * 1000, headers={})
    with pytest.raises(ObjectExists):
        await store.put("x", b"new", headers={})
    assert (await store.check()).messages == 2
    assert await content(store, old) == b"old" * 1000
    await store.put("x", b"new", headers={}, replace=True)
    listing = await store.list()
    assert [await content(store, info) for info in listing.objects] == [b"new"]
    assert (await store.check()).messages == 2


async def test_putting_the_same_again_is_no_conflict(store: ObjectStore) -> None:
    first = await store.put("x", b"same", headers={})
    assert (await store.put("x", b"same", headers={})).nuid == first.nuid
    assert (await store.check()).messages == 2


async def test_a_tombstone_does_not_keep_a_name(store: ObjectStore, server: NatsServer) -> None:
    await store.put("x", b"old", headers={})
    client = await nats.connect(server.url)
    bucket = await client.jetstream().object_store("B")
    await bucket.delete("x")
    await client.close()
    with pytest.raises(RequestFailed, match="tombstone") as failed:
        await store.put("x", b"new", headers={})
    assert failed.value.retryable
    assert await content(store, await store.put("x", b"new", headers={})) == b"new"


@pytest.mark.parametrize("size", SIZES[:5])
async def test_nats_py_reads_what_we_put(store: ObjectStore, server: NatsServer, size: int) -> None:
    data = os.urandom(size)
    await store.put("ltx/0/x.ltx", data, headers=TIMESTAMP)
    client = await nats.connect(server.url)
    try:
        bucket = await client.jetstream().object_store("B")
        result = await bucket.get("ltx/0/x.ltx")
        assert (result.data or b"") == data
        assert result.info.headers == {"Litestream-Timestamp": ["2026-11-23T08:32:22.73Z"]}
        assert result.info.digest == (await store.list()).objects[0].digest
        assert [entry.name for entry in await bucket.list()] == ["ltx/0/x.ltx"]
    finally:
        await client.close()


@pytest.mark.parametrize("size", SIZES[1:5])
async def test_we_read_what_nats_py_put(store: ObjectStore, server: NatsServer, size: int) -> None:
    data = os.urandom(size)
    client = await nats.connect(server.url)
    bucket = await client.jetstream().object_store("B")
    await bucket.put("x", data)
    await client.close()
    (info,) = (await store.list()).objects
    assert hashlib.sha256(await content(store, info)).digest() == hashlib.sha256(data).digest()


async def test_litestream_lists_what_we_put(store: ObjectStore, server: NatsServer) -> None:
    names = [f"ltx/0/{n:016x}-{n:016x}.ltx" for n in range(1, 4)]
    for name in names:
        await store.put(name, b"x" * 1234, headers=TIMESTAMP)
    gone = await store.put("ltx/0/0000000000000004-0000000000000004.ltx", b"y", headers=TIMESTAMP)
    await store.purge(gone)
    process = await asyncio.create_subprocess_exec(
        BIN / "litestream", "ltx", f"{server.url}/B", stdout=asyncio.subprocess.PIPE
    )
    listed, _ = await asyncio.wait_for(process.communicate(), 30)
    assert [line.split() for line in listed.decode().splitlines()[1:]] == [
        ["0", f"{n:016x}", f"{n:016x}", "1234", "2026-11-23T08:32:22Z"] for n in range(1, 4)
    ]


async def test_chunks_fit_a_server_with_small_messages(server: NatsServer) -> None:
    server.reload({"max_payload": 64 * 1024})
    async with bucket_store(Server((server.url,))) as store:
        data = os.urandom(1_000_000)
        info = await store.put("x", data, headers={})
        assert info.chunks == -(-1_000_000 // (60 * 1024))
        assert await content(store, info) == data
