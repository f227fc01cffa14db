"""Damaged objects are found, at once, and a bucket that cannot take an object is left as it was."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from litefleet.config.settings import Credentials, Server
from litefleet.errors import BucketFull, BucketNotFound, BucketUnusable, ConfigError, ObjectCorrupt, RequestFailed
from litefleet.nats.connection import Connection
from litefleet.nats.objects import ObjectStore
from tests.support.buckets import bucket_store, content
from tests.support.natsserver import NatsServer, nats_server


async def test_missing_chunks_are_reported(store: ObjectStore, server: NatsServer) -> None:
    info = await store.put("x", os.urandom(5_000_000), headers={})
    async with Connection.open(Server((server.url,))) as connection:
        await connection.request("$JS.API.STREAM.PURGE.OBJ_B", b'{"filter":"$O.B.C.%s"}' % info.nuid.encode())
    async with asyncio.timeout(5):
        with pytest.raises(ObjectCorrupt, match="0 of its 5 chunks exist"):
            await content(store, info)
        with pytest.raises(ObjectCorrupt, match="0 of its 5 chunks exist"):
            await store.read_head(info, 100)


async def test_a_missing_first_chunk_is_reported(store: ObjectStore, server: NatsServer) -> None:
    info = await store.put("x", os.urandom(5_000_000), headers={})
    async with Connection.open(Server((server.url,))) as connection:
        await connection.request("$JS.API.STREAM.MSG.DELETE.OBJ_B", b'{"seq":1}')
    with pytest.raises(ObjectCorrupt, match="4 of its 5 chunks exist"):
        await content(store, info)


async def rewrite_chunk(server: NatsServer, nuid: str, data: bytes) -> None:
    async with Connection.open(Server((server.url,))) as connection:
        await connection.request("$JS.API.STREAM.PURGE.OBJ_B", b'{"filter":"$O.B.C.%s"}' % nuid.encode())
        await connection.request(f"$O.B.C.{nuid}", data)


async def test_a_flipped_bit_is_found(store: ObjectStore, server: NatsServer) -> None:
    data = bytearray(os.urandom(1000))
    info = await store.put("x", bytes(data), headers={})
    data[500] ^= 1
    await rewrite_chunk(server, info.nuid, bytes(data))
    with pytest.raises(ObjectCorrupt, match="SHA-256 differs"):
        await content(store, info)


@pytest.mark.parametrize("size", [999, 1001])
async def test_a_wrong_size_is_found(store: ObjectStore, server: NatsServer, size: int) -> None:
    info = await store.put("x", os.urandom(1000), headers={})
    await rewrite_chunk(server, info.nuid, os.urandom(size))
    with pytest.raises(ObjectCorrupt, match=r"of 1000 bytes|more than its 1000 bytes"):
        await content(store, info)


async def fill(store: ObjectStore) -> None:
    for n in range(10_000):
        await store.put(f"{n}", b"x" * 4000, headers={})


async def test_a_full_bucket_refuses_whole_objects_and_can_be_emptied(server: NatsServer) -> None:
    async with bucket_store(Server((server.url,)), max_bytes=10 << 20) as store:
        kept = await store.put("kept", os.urandom(6 << 20), headers={})
        before = await store.check()
        with pytest.raises(BucketFull, match=r"Bucket `B` on .* is full") as refused:
            await store.put("too much", os.urandom(20 << 20), headers={})
        assert "max_bytes" in refused.value.hint
        after = await store.check()
        assert (after.messages, after.bytes) == (before.messages, before.bytes)
        assert [info.name for info in (await store.list()).objects] == ["kept"]
        # Up to the brim, so that not even metadata fits: purge still works.
        with pytest.raises(BucketFull):
            await fill(store)
        await store.purge(kept)
        await store.put("fits again", os.urandom(5 << 20), headers={})


async def test_a_full_account_is_reported_as_such(server: NatsServer) -> None:
    server.stop()
    server.configure(
        {
            "accounts": {
                "A": {"jetstream": {"max_file": 2 << 20, "max_mem": 0}, "users": [{"user": "a", "password": "a"}]}
            }
        }
    )
    server.start()
    async with bucket_store(Server((server.url,), Credentials(username="a", password="a"))) as store:
        with pytest.raises(BucketFull, match="account of bucket `B`"):
            await store.put("x", os.urandom(4 << 20), headers={})
        assert (await store.check()).messages == 0


async def test_a_missing_bucket_has_the_expected_words(server: NatsServer) -> None:
    async with Connection.open(Server((server.url,))) as connection:
        store = ObjectStore(connection, "backups")
        expected = (
            f"Bucket not found: `backups` on {server.url}; create it with `ansible-playbook playbooks/buckets.yml`"
        )
        with pytest.raises(BucketNotFound, match=f"^{re.escape(expected)}$"):
            await store.check()
        for call in (store.put("x", b"abc", headers={}), store.list(), store.info("x")):
            with pytest.raises(BucketNotFound):
                await call


async def test_a_bucket_name_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="is not a bucket name"):
        ObjectStore(None, "a.b")  # type: ignore[arg-type]


async def test_jetstream_that_is_off_is_named(server: NatsServer) -> None:
    server.stop()
    server.configure({"jetstream": False})
    server.start()
    async with Connection.open(Server((server.url,))) as connection:
        with pytest.raises(RequestFailed, match="JetStream is not enabled for this account"):
            await ObjectStore(connection, "B").check()


@pytest.mark.parametrize("option", ["allow_direct", "allow_rollup_hdrs"])
async def test_a_bucket_without_what_backups_need_is_refused(server: NatsServer, option: str) -> None:
    config = {
        "name": "OBJ_B",
        "subjects": ["$O.B.C.>", "$O.B.M.>"],
        "storage": "file",
        "allow_direct": True,
        "allow_rollup_hdrs": True,
    }
    async with Connection.open(Server((server.url,))) as connection:
        await connection.request("$JS.API.STREAM.CREATE.OBJ_B", json.dumps({**config, option: False}).encode())
        with pytest.raises(BucketUnusable, match=f"lacks `{option}`"):
            await ObjectStore(connection, "B").check()


async def broken() -> AsyncIterator[bytes]:
    yield os.urandom(3 << 20)
    raise RuntimeError("the source failed")


async def test_a_source_that_fails_leaves_nothing(store: ObjectStore) -> None:
    with pytest.raises(RuntimeError, match="the source failed"):
        await store.put("x", broken(), headers={})
    assert (await store.check()).messages == 0


async def test_a_cancelled_put_leaves_nothing(store: ObjectStore) -> None:
    reached = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield os.urandom(3 << 20)
        reached.set()
        await asyncio.Event().wait()

    async with asyncio.TaskGroup() as tasks:
        put = tasks.create_task(store.put("x", endless(), headers={}))
        await reached.wait()
        put.cancel()
    assert put.cancelled()
    assert (await store.check()).messages == 0


async def test_a_stream_that_is_too_busy_gets_a_smaller_window(tmp_path: Path) -> None:
    config = {"jetstream": {"max_buffered_msgs": 2}, "max_payload": 16 * 1024}
    async with nats_server(config, tmp_path) as server, bucket_store(Server((server.url,))) as store:
        data = os.urandom(4 << 20)
        info = await store.put("x", data, headers={})
        assert info.chunks > 300
        assert await content(store, info) == data
        assert (await store.check()).messages == info.chunks + 1
