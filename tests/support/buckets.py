"""Buckets for tests, made the way the agent's own provisioning makes them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litefleet.bucket.settings import BucketSettings, apply
from litefleet.config.settings import Server
from litefleet.nats.connection import Connection
from litefleet.nats.objects import ObjectInfo, ObjectStore


@asynccontextmanager
async def bucket_store(server: Server, bucket: str = "B", **settings: Any) -> AsyncIterator[ObjectStore]:
    """A new bucket, through a connection of its own."""
    async with Connection.open(server) as connection:
        await apply(connection, BucketSettings(bucket, **settings), check=False)
        yield ObjectStore(connection, bucket)


async def content(store: ObjectStore, info: ObjectInfo) -> bytes:
    """All bytes of an object."""
    return b"".join([chunk async for chunk in store.read(info)])
