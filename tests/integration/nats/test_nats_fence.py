"""An object is completed by the owner of the bucket only, and what is refused leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from litefleet.bucket.lease import LEASE_NAME, Lease, read_lease, take
from litefleet.config.settings import Server
from litefleet.errors import BucketLost, BucketTaken
from litefleet.nats.connection import Connection
from litefleet.nats.objects import ObjectStore
from tests.support.buckets import bucket_store, content
from tests.support.natsserver import NatsServer, nats_cluster

MINE, THEIRS = Lease("/a.db", "here", run="1"), Lease("/b.db", "there", run="2")
#: One chunk, and more than fit into the window at once.
SIZES = (1000, 20 << 20)


@pytest.fixture
async def rival(server: NatsServer, store: ObjectStore) -> AsyncIterator[ObjectStore]:
    """The same bucket through the connection of another agent."""
    async with Connection.open(Server((server.url,))) as connection:
        yield ObjectStore(connection, store.bucket)


async def names(store: ObjectStore) -> set[str]:
    return {info.name for info in (await store.list()).objects}


async def test_whose_bucket_it_is_can_be_read(store: ObjectStore) -> None:
    assert await read_lease(store) is None
    taken = await take(store, MINE)
    assert await read_lease(store) == taken
    again = await take(store, MINE)
    assert again.sequence > taken.sequence


async def test_another_database_is_refused_and_the_owner_does_not_notice(
    store: ObjectStore, rival: ObjectStore
) -> None:
    await take(store, MINE)
    with pytest.raises(BucketTaken, match=r"belongs to /a.db on here, not to /b.db on there; .*--takeover"):
        await take(rival, THEIRS)
    await store.put("x", b"abc", headers={})


@pytest.mark.parametrize("size", SIZES)
async def test_who_was_shut_out_leaves_nothing_behind(store: ObjectStore, rival: ObjectStore, size: int) -> None:
    await take(store, MINE)
    await store.put("before", b"abc", headers={})
    await take(rival, THEIRS, takeover=True)
    messages = (await rival.check()).messages
    with pytest.raises(BucketTaken, match="was taken over by another agent"):
        await store.put("after", os.urandom(size), headers={})
    assert (await rival.check()).messages == messages
    info = await rival.put("theirs", os.urandom(size), headers={})
    assert len(await content(rival, info)) == size
    assert await names(rival) == {LEASE_NAME, "before", "theirs"}


async def test_who_is_shut_out_in_the_middle_leaves_nothing_behind(store: ObjectStore, rival: ObjectStore) -> None:
    async def interrupted() -> AsyncIterator[bytes]:
        yield os.urandom(5 << 20)
        await take(rival, THEIRS, takeover=True)
        yield os.urandom(5 << 20)

    await take(store, MINE)
    with pytest.raises(BucketTaken):
        await store.put("x", interrupted(), headers={})
    assert await names(rival) == {LEASE_NAME}
    assert (await rival.check()).messages == 1


@pytest.mark.parametrize("size", SIZES)
async def test_a_bucket_that_was_emptied_takes_nothing_more(store: ObjectStore, rival: ObjectStore, size: int) -> None:
    await take(store, MINE)
    lease = await rival.info(LEASE_NAME)
    assert lease is not None
    await rival.purge(lease)
    with pytest.raises(BucketLost, match="was emptied or made anew"):
        await store.put("x", os.urandom(size), headers={})
    assert (await rival.check()).messages == 0
    await take(store, MINE)
    await store.put("x", b"abc", headers={})


async def test_of_many_that_take_it_at_once_the_last_one_has_it(store: ObjectStore, server: NatsServer) -> None:
    async def contend(number: int) -> tuple[int, ObjectStore]:
        async with Connection.open(Server((server.url,))) as connection:
            one = ObjectStore(connection, store.bucket)
            return (await take(one, Lease("/a.db", "here", run=str(number)))).sequence, one

    async with asyncio.TaskGroup() as tasks:
        contenders = [tasks.create_task(contend(number)) for number in range(8)]
    sequences = [task.result()[0] for task in contenders]
    assert len(set(sequences)) == len(sequences)
    lease = await read_lease(store)
    assert lease is not None
    assert lease.sequence == max(sequences)


async def test_of_two_databases_that_find_it_empty_at_once_one_has_it(store: ObjectStore, rival: ObjectStore) -> None:
    async def contend(one: ObjectStore, lease: Lease) -> Lease | None:
        try:
            return await take(one, lease)
        except BucketTaken:
            return None

    async with asyncio.TaskGroup() as tasks:
        contenders = [tasks.create_task(contend(store, MINE)), tasks.create_task(contend(rival, THEIRS))]
    (winner,) = [task.result() for task in contenders if task.result() is not None]
    assert await read_lease(store) == winner


async def test_puts_side_by_side_under_one_fence_in_a_cluster(tmp_path: Path) -> None:
    """Uploads and compactions of one database: a replicated stream has one checked message on its way at a time."""
    with nats_cluster(store_dir=tmp_path) as cluster:
        async with bucket_store(Server(cluster.urls), replicas=3) as store, asyncio.timeout(90):
            await take(store, MINE)

            async def upload(prefix: str, size: int, count: int) -> None:
                for number in range(count):
                    await store.put(f"{prefix}{number}", os.urandom(size), headers={})

            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(upload("small", 1000, 60))
                tasks.create_task(upload("medium", 300_000, 20))
                tasks.create_task(upload("large", 5 << 20, 3))
            assert len(await names(store)) == 1 + 60 + 20 + 3
