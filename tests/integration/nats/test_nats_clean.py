"""What is removed is decided by what the leader holds, and by nothing that has changed since."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from litefleet.bucket.settings import BucketSettings, apply
from litefleet.config.settings import Server
from litefleet.nats.clean import remove, survey
from litefleet.nats.connection import Connection
from litefleet.nats.inventory import inventory, stream_subjects
from litefleet.nats.metadata import encode_name
from litefleet.nats.newest import MOST_SUBJECTS, Lagging, newest
from litefleet.nats.objects import ObjectStore
from tests.support.buckets import bucket_store, content
from tests.support.natsserver import NatsServer, nats_cluster, nats_server


async def metadata(connection: Connection, name: str, **fields: object) -> None:
    """Store metadata as another client would."""
    body = {"name": name, "size": 0, "chunks": 0, "mtime": "0001-01-01T00:00:00Z", **fields}
    headers = {"Nats-Rollup": "sub"}
    await connection.request(f"$O.B.M.{encode_name(name)}", json.dumps(body).encode(), headers=headers)


async def litter(connection: Connection) -> None:
    """Two tombstones, an object that lacks a chunk, and an upload without an object."""
    await metadata(connection, "gone/1", nuid="N1", deleted=True)
    await metadata(connection, "gone/2", deleted=True)
    await connection.request("$O.B.C.HALF", b"half")
    await metadata(connection, "half", nuid="HALF", size=8, chunks=2)
    await connection.request("$O.B.C.KILLED", b"killed")


async def test_what_takes_a_name_after_the_look_stays(store: ObjectStore, server: NatsServer) -> None:
    async with Connection.open(Server((server.url,))) as connection:
        await litter(connection)
        found = await survey(connection, store.names, older_than=0)
        assert [info.name for info in found.tombstones] == ["gone/1", "gone/2"]
        assert [half.info.name for half in found.halves] == ["half"]
        assert [upload.nuid for upload in found.uploads] == ["KILLED"]
        new = [await store.put(name, os.urandom(300_000), headers={}, replace=True) for name in ("gone/1", "half")]
        # The upload was not dead after all: what came later stays, and is for the next look to judge.
        await connection.request("$O.B.C.KILLED", b"alive")
        await remove(connection, store.names, found)
        for info in new:
            assert len(await content(store, info)) == 300_000
        subjects = await stream_subjects(connection, store.names, "$O.B.>")
        assert subjects.counts["$O.B.C.KILLED"] == 1
        assert (await store.check()).messages == sum(info.chunks + 1 for info in new) + 1


async def test_objects_come_and_go_unharmed_while_it_cleans(store: ObjectStore, server: NatsServer) -> None:
    async with Connection.open(Server((server.url,))) as connection:
        finished = asyncio.Event()

        async def write() -> None:
            for number in range(150):
                kept = await store.put(f"kept/{number % 20}", os.urandom(150_000), headers={}, replace=True)
                await store.put(f"purged/{number}", b"p" * 1000, headers={})
                await store.purge(kept if number % 3 == 0 else await store.put("last", b"l", headers={}, replace=True))
                await metadata(connection, f"tombstone/{number}", nuid=f"T{number}", deleted=True)
            finished.set()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(write())
            async with Connection.open(Server((server.url,))) as other:
                looks = 0
                while not finished.is_set():
                    found = await survey(other, store.names, older_than=3600)
                    assert (found.halves, found.uploads) == ((), ())
                    await remove(other, store.names, found)
                    looks += 1
        assert looks > 1
        listing = await store.list()
        for info in listing.objects:
            assert len(await content(store, info)) == info.size
        names = {info.name for info in listing.objects}
        assert {f"purged/{number}" for number in range(150)} <= names
        assert sum(name.startswith("kept/") for name in names) >= 10


async def test_chunks_of_a_renamed_object_stay_with_its_new_name(store: ObjectStore, server: NatsServer) -> None:
    """Between its two steps a rename leaves two names for the same chunks; a half one leaves two halves of them."""
    info = await store.put("old", b"x" * 100, headers={})
    async with Connection.open(Server((server.url,))) as connection:
        fields = {"nuid": info.nuid, "size": info.size, "digest": info.digest}
        await metadata(connection, "new", chunks=1, **fields)
        await metadata(connection, "old", chunks=2, **fields)
        found = await survey(connection, store.names, older_than=0)
        assert [half.info.name for half in found.halves] == ["old"]
        await remove(connection, store.names, found)
    (left,) = (await store.list()).objects
    assert left.name == "new"
    assert await content(store, left) == b"x" * 100


async def test_an_answer_that_lags_behind_the_leader_is_not_believed(store: ObjectStore, server: NatsServer) -> None:
    info = await store.put("x", b"x", headers={})
    subject = store.names.metadata("x")
    async with Connection.open(Server((server.url,))) as connection:
        assert list(await newest(connection, store.names, [subject], at_least=info.sequence)) == [subject]
        with pytest.raises(Lagging, match="lags behind its leader"):
            await newest(connection, store.names, [subject], at_least=info.sequence + 1)


async def test_large_and_many_messages_take_several_questions(store: ObjectStore, server: NatsServer) -> None:
    large = [await store.put(f"large/{n}", os.urandom(900_000), headers={}) for n in range(4)]
    async with Connection.open(Server((server.url,))) as connection:
        last = (await store.check()).last_sequence
        chunks = [store.names.chunks(info.nuid) for info in large]
        found = await newest(connection, store.names, [*chunks, store.names.chunks("NOTHING")], at_least=last)
        assert {subject: len(stored.data) for subject, stored in found.items()} == dict.fromkeys(chunks, 900_000)
        for number in range(MOST_SUBJECTS + 10):
            await metadata(connection, f"m/{number}", nuid=f"N{number}")
        assert len((await inventory(connection, store.names)).objects) == MOST_SUBJECTS + 14


async def test_questions_fit_into_the_messages_that_a_server_takes(tmp_path: Path) -> None:
    async with nats_server({"max_payload": 8192}, tmp_path) as server, bucket_store(Server((server.url,))) as store:
        for number in range(200):
            await store.put(f"{'long' * 20}/{number}", b"1", headers={})
        async with Connection.open(Server((server.url,))) as connection:
            found = await inventory(connection, store.names)
    assert (len(found.objects), sum(found.chunks.values())) == (200, 200)


@pytest.mark.slow
async def test_a_replicated_bucket_is_cleaned_without_one_of_its_servers(tmp_path: Path) -> None:
    with nats_cluster(store_dir=tmp_path) as cluster:
        async with Connection.open(Server(cluster.urls)) as connection:
            await apply(connection, BucketSettings("B", replicas=3), check=False)
            store = ObjectStore(connection, "B")
            await asyncio.to_thread(cluster.wait_direct_access, "OBJ_B")
            kept = [await store.put(f"kept/{n}", os.urandom(200_000), headers={}) for n in range(10)]
            await litter(connection)
            leader = await asyncio.to_thread(cluster.leader, "OBJ_B")
            follower = next(s for s in cluster.servers if s is not leader and s.url != connection.connected_url)
            await asyncio.to_thread(follower.kill)
            found = await survey(connection, store.names, older_than=0)
            assert (len(found.tombstones), len(found.halves), len(found.uploads)) == (2, 1, 1)
            await remove(connection, store.names, found)
            # The one that was away has what was removed, until it has caught up.
            await asyncio.to_thread(follower.start)
            again = await survey(connection, store.names, older_than=0)
            assert again.messages == 0
            for info in kept:
                assert len(await content(store, info)) == info.size
            assert (await store.check()).messages == sum(info.chunks + 1 for info in kept)
