"""Buckets that are full, littered or gone."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path

from nats.aio.client import Client
from nats.js.errors import APIError

from litefleet.config.settings import Server
from litefleet.nats.connection import Connection
from litefleet.nats.objects import ObjectStore
from tests.conditions.scene import (
    Condition,
    Scene,
    Seen,
    bucket,
    comes_true,
    count,
    equal,
    fill,
    on_server,
    stop,
    subjects,
)
from tests.support.natsserver import nats_server

TOMBSTONES = 40_000
#: Seconds in which a bucket that lost everything is noticed.
NOTICED_WITHIN = 60


def _pad(url: str) -> None:
    """Take up what room is left in the bucket."""

    async def publish(client: Client) -> None:
        for size in (512 << 10, 16 << 10, 256):
            while True:
                try:
                    await client.jetstream().publish("$O.backups.C.filler", bytes(size))
                except APIError:
                    break

    on_server(url, publish)


def _purges(url: str) -> bool:
    """Whether an object can be removed from the full bucket."""

    async def remove() -> bool:
        async with Connection.open(Server((url,))) as connection:
            store = ObjectStore(connection, "backups")
            before = (await store.list()).objects
            await store.purge(before[-1])
            return len((await store.list()).objects) == len(before) - 1

    return asyncio.run(remove())


def full_bucket(scene: Scene) -> Seen:
    """Transactions until the bucket is full: is what was there before still restorable?"""
    with nats_server() as server:
        bucket(server.url, max_bytes=20_000_000)
        database = scene.database(megabytes=5)
        config = scene.simple(database, server.url, **{"shutdown-sync-timeout": "5s"})
        first = scene.once(config)
        before = count(database)
        with scene.daemon(config) as process:
            comes_true(lambda: bool(subjects(server.url)))
            for _ in range(6):
                fill(database, 3.6)
                process.wait_quietly(2)
            code = stop(process)
            said = scene.said(process.output())
        back = scene.restore(server.url)
        restored = count(scene.restored) if back.code == 0 else 0
        if first.code or back.code or restored < before:
            return Seen(False, f"unrestorable ({back.complaint}): {scene.said(back.output)}")
        text = f"the {restored} older rows restore; says: {said}; exit {code} at the end"
        if scene.ours:
            _pad(server.url)
            if not _purges(server.url):
                return Seen(False, text + "; an object cannot be removed")
            text += "; an object can be removed while it is full"
        return Seen(bool(code), text)


def _litter(url: str) -> None:
    """Tombstones as Litestream's own retention leaves them."""

    async def publish(client: Client) -> None:
        for number in range(TOMBSTONES):
            name = f"ltx/0/{number + 1000:016x}-{number + 1000:016x}.ltx"
            token = base64.urlsafe_b64encode(name.encode()).decode()
            body = {
                "name": name,
                "options": {"max_chunk_size": 131072},
                "bucket": "backups",
                "nuid": f"{number:022d}",
                "size": 0,
                "mtime": "2026-11-23T00:00:00Z",
                "chunks": 0,
                "digest": "",
                "deleted": True,
            }
            await client.publish(f"$O.backups.M.{token}", json.dumps(body).encode(), headers={"Nats-Rollup": "sub"})
            if number % 500 == 499:
                await client.flush(30)

    on_server(url, publish)
    assert comes_true(lambda: len(subjects(url)) >= TOMBSTONES), "the tombstones were not stored"


def tombstones(scene: Scene) -> Seen:
    with nats_server() as server:
        bucket(server.url)
        _litter(server.url)
        database = scene.database(rows=1)
        done = scene.once(scene.simple(database, server.url))
        back = scene.restore(server.url)
        if done.code != 0 or back.code != 0:
            return Seen(False, f"fails: {scene.said(done.output)} {scene.said(back.output)}")
        # Not a measurement: the one takes a tenth of this, the other far more.
        good = equal(database, scene.restored) and back.seconds < 8
        return Seen(good, f"restore of a database with one row takes {back.seconds:.1f} s")


def recreated(scene: Scene) -> Seen:
    """Delete the bucket and make it anew, empty, while the program runs."""
    with nats_server() as server:
        bucket(server.url)
        database = scene.database()
        with scene.daemon(scene.simple(database, server.url)) as process:
            comes_true(lambda: bool(subjects(server.url)))
            process.wait_quietly(3)

            async def delete(client: Client) -> None:
                await client.jetstream().delete_object_store("backups")

            on_server(server.url, delete)
            bucket(server.url)
            said = len(process.lines)
            for _ in range(3):
                fill(database, 0.02)
                process.wait_quietly(2)

            def whole() -> bool:
                return scene.restore(server.url).code == 0 and _same(database, scene.restored)

            good = comes_true(whole, NOTICED_WITHIN)
            back = scene.restore(server.url)
            objects = len(subjects(server.url))
            warned = scene.said("\n".join(process.lines[said:]))
            stop(process)
        words = f"says: {warned}" if warned else "says nothing"
        if good:
            return Seen(True, f"starts over with a full copy; {words}")
        return Seen(
            False, f"{objects} objects in the new bucket a minute later; {words}; restore: {scene.said(back.output)}"
        )


def _same(database: Path, restored: Path) -> bool:
    return restored.exists() and equal(database, restored)


CONDITIONS = (
    Condition(10, "The bucket reaches `max_bytes`", full_bucket, waiting=True),
    Condition(11, f"{TOMBSTONES:,} tombstones in the bucket", tombstones),
    Condition(
        12,
        "The bucket is deleted and made anew, empty, while the program runs",
        recreated,
        waiting=True,
    ),
)
