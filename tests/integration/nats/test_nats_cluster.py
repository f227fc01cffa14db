"""Three servers and a replicated bucket."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from litefleet.config.settings import Server
from litefleet.errors import NatsError
from litefleet.nats.connection import Connection
from litefleet.nats.objects import ObjectInfo, ObjectStore
from tests.support.buckets import bucket_store, content
from tests.support.natsserver import NatsCluster, nats_cluster


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[NatsCluster]:
    with nats_cluster(store_dir=tmp_path) as running:
        yield running


async def test_a_large_object_in_a_replicated_bucket(cluster: NatsCluster) -> None:
    data = os.urandom(64 << 20)
    async with bucket_store(Server(cluster.urls), replicas=3) as store:
        assert (await store.check()).replicas == 3
        info = await store.put("x", data, headers={})
        for server in cluster.servers:
            async with Connection.open(Server((server.url,))) as connection:
                assert await content(ObjectStore(connection, "B"), info) == data


async def test_puts_go_on_after_the_leader_was_killed(cluster: NatsCluster) -> None:
    data = os.urandom(4 << 20)
    settings = Server(cluster.urls, timeout=3, reconnect_wait=0.1)
    async with bucket_store(settings, replicas=3) as store:
        before = await store.put("before", data, headers={})
        await asyncio.to_thread(cluster.leader("OBJ_B").kill)
        async with asyncio.timeout(60):
            while (after := await put_or_none(store, data)) is None:
                pass
        assert await content(store, before) == data
        assert await content(store, after) == data
        assert {info.name for info in (await store.list()).objects} == {"before", "after"}


async def put_or_none(store: ObjectStore, data: bytes) -> ObjectInfo | None:
    """One attempt; None if another one is worth it."""
    try:
        return await store.put("after", data, headers={})
    except NatsError as error:
        if not error.retryable:
            raise
        return None


async def test_reading_needs_no_quorum(cluster: NatsCluster) -> None:
    data = os.urandom(4 << 20)
    async with bucket_store(Server(cluster.urls), replicas=3) as store:
        info = await store.put("x", data, headers={})
    await asyncio.to_thread(cluster.wait_direct_access, "OBJ_B")
    survivor, *others = cluster.servers
    for server in others:
        await asyncio.to_thread(server.kill)
    async with Connection.open(Server((survivor.url,))) as connection:
        store = ObjectStore(connection, "B")
        assert [one.name for one in (await store.list()).objects] == ["x"]
        assert await content(store, info) == data
