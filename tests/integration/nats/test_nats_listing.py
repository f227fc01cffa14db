"""Listing and purging: what is there, what is new, and that nothing is left."""

from __future__ import annotations

import json

import nats
import pytest

from litefleet.config.settings import Server
from litefleet.nats.connection import Connection
from litefleet.nats.metadata import encode_name
from litefleet.nats.objects import PAGE_MESSAGES, ObjectStore
from tests.support.buckets import content
from tests.support.natsserver import NatsServer


async def test_a_listing_has_every_object_in_the_order_of_the_stream(store: ObjectStore) -> None:
    put = [await store.put(f"o/{n}", b"%d" % n, headers={}) for n in range(50)]
    listing = await store.list()
    assert [(info.name, info.nuid) for info in listing.objects] == [(info.name, info.nuid) for info in put]
    assert listing.last_sequence == put[-1].sequence
    assert listing.unreadable == 0


async def test_a_listing_after_a_sequence_has_only_what_came_since(store: ObjectStore) -> None:
    await store.put("a", b"1", headers={})
    first = await store.list()
    assert (await store.list(after=first.last_sequence)).objects == ()
    assert (await store.list(after=first.last_sequence)).last_sequence == first.last_sequence
    await store.put("b", b"2", headers={})
    second = await store.list(after=first.last_sequence)
    assert [info.name for info in second.objects] == ["b"]
    assert second.last_sequence > first.last_sequence


async def test_a_listing_of_several_pages_is_complete(store: ObjectStore, server: NatsServer) -> None:
    count = PAGE_MESSAGES * 2 + 1
    async with Connection.open(Server((server.url,))) as connection:
        sent = []
        for n in range(count):
            body = {"name": f"o/{n}", "nuid": f"N{n}", "size": 0, "chunks": 0, "mtime": "0001-01-01T00:00:00Z"}
            await connection.writable()
            sent.append(await connection.send(f"$O.B.M.{encode_name(f'o/{n}')}", json.dumps(body).encode()))
        for exchange in sent:
            with exchange:
                await exchange.reply()
    listing = await store.list()
    assert [info.name for info in listing.objects] == [f"o/{n}" for n in range(count)]
    assert listing.last_sequence == count


async def test_tombstones_are_not_objects(store: ObjectStore, server: NatsServer) -> None:
    await store.put("gone", b"1", headers={})
    await store.put("here", b"2", headers={})
    client = await nats.connect(server.url)
    bucket = await client.jetstream().object_store("B")
    await bucket.delete("gone")
    await client.close()
    listing = await store.list()
    assert [info.name for info in listing.objects] == ["here"]
    assert listing.unreadable == 0
    assert await store.info("gone") is None


GARBAGE = {
    "not JSON": b"\xff\x00 no",
    "empty": b"",
    "a list": b"[]",
    "no name": b'{"nuid":"N","size":1,"chunks":1}',
    "another name": b'{"name":"other","nuid":"N","size":1,"chunks":1}',
    "a wildcard for a nuid": b'{"name":"x","nuid":"*","size":1,"chunks":1}',
    "a size that is none": b'{"name":"x","nuid":"N","size":"1","chunks":1}',
    "less than nothing": b'{"name":"x","nuid":"N","size":-1,"chunks":1}',
    "a link": b'{"name":"x","nuid":"N","size":0,"chunks":0,"options":{"link":{"bucket":"b"}}}',
}


@pytest.mark.parametrize("body", GARBAGE.values(), ids=GARBAGE.keys())
async def test_foreign_metadata_is_counted_and_skipped(store: ObjectStore, server: NatsServer, body: bytes) -> None:
    await store.put("good", b"1", headers={})
    async with Connection.open(Server((server.url,))) as connection:
        await connection.request(f"$O.B.M.{encode_name('x')}", body)
    listing = await store.list()
    assert [info.name for info in listing.objects] == ["good"]
    assert listing.unreadable == 1
    assert await store.info("x") is None


async def test_purge_leaves_nothing(store: ObjectStore) -> None:
    infos = [await store.put(name, b"x" * 3_000_000, headers={}) for name in ("a", "b")]
    for info in infos:
        await store.purge(info)
    status = await store.check()
    assert (status.messages, status.bytes) == (0, 0)
    await store.purge(infos[0])  # once more does no harm


async def test_purge_of_an_old_object_leaves_the_new_one_of_its_name(store: ObjectStore) -> None:
    old = await store.put("x", b"old", headers={})
    new = await store.put("x", b"new", headers={}, replace=True)
    await store.purge(old)
    assert [info.nuid for info in (await store.list()).objects] == [new.nuid]
    assert await content(store, new) == b"new"


async def test_sweep_removes_only_what_no_object_refers_to(store: ObjectStore, server: NatsServer) -> None:
    kept = await store.put("kept", b"k" * 100, headers={})
    async with Connection.open(Server((server.url,))) as connection:
        for _ in range(3):
            await connection.request("$O.B.C.LEFTBEHIND", b"chunk")
    assert await store.sweep() == 0  # too young to be sure
    assert (await store.check()).messages == 5
    assert await store.sweep(older_than=0) == 1
    assert (await store.check()).messages == 2
    assert await content(store, kept) == b"k" * 100


async def test_sweep_touches_nothing_beside_metadata_it_cannot_read(store: ObjectStore, server: NatsServer) -> None:
    async with Connection.open(Server((server.url,))) as connection:
        await connection.request("$O.B.C.SOMEBODYS", b"chunk")
        await connection.request(f"$O.B.M.{encode_name('x')}", b"a format of the future")
    assert await store.sweep(older_than=0) == 0
    assert (await store.check()).messages == 2
