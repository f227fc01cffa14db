"""Restore a database from within a program."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Literal

from litefleet.api.options import PathLike, ReplicaLike, absolute, checked, configuration
from litefleet.bucket import Catalogue
from litefleet.errors import UsageError
from litefleet.nats.connection import Connection
from litefleet.nats.objects import ObjectStore
from litefleet.restore import Restored, plan
from litefleet.restore import restore as carry_out
from litefleet.restore.output import check_free

__all__ = ["Restored", "restore"]


async def restore(
    replica: ReplicaLike,
    path: PathLike,
    *,
    txid: int | None = None,
    timestamp: datetime | None = None,
    force: bool = False,
    integrity_check: Literal["quick", "full"] | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: object,
) -> Restored:
    """Make the newest state of a database at ``path``, or that of ``txid``, or the newest one up to ``timestamp``.

    The file appears there whole, or not at all; with ``force`` it replaces another, which nobody may have open.
    ``progress`` is called with fetched and total bytes. ``options`` are keys of the configuration file with ``_`` for
    ``-``. Raises RestoreError, NatsError, LTXError, ConfigError or UsageError.
    """
    if txid is not None and timestamp is not None:
        raise UsageError("`txid` and `timestamp` name two points in time", hint="give one of them")
    if timestamp is not None and timestamp.tzinfo is None:
        raise UsageError("`timestamp` has no time zone", hint="for example `datetime.now(UTC)`")
    output = absolute(path)
    settings = await asyncio.to_thread(checked, configuration({output: replica}, options))
    await asyncio.to_thread(check_free, output, force=force)
    target = settings.databases[0].replica
    async with Connection.open(target.server) as connection:
        store = ObjectStore(connection, target.bucket, target.path)
        await store.check()
        chosen = plan(Catalogue.of((await store.list()).objects), txid=txid, timestamp=timestamp)
        return await carry_out(
            store, chosen, output, force=force, integrity_check=integrity_check, progress=progress
        )  # fmt: skip
