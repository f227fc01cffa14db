"""An object that is stored, read back and purged again, as the agent does it with every file."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from datetime import UTC, datetime, timedelta

from litefleet.doctor.finding import Finding
from litefleet.errors import BucketFull, NatsError, ObjectCorrupt
from litefleet.nats.objects import ObjectInfo, ObjectStore

_CONTENT = b"litefleet doctor\n"
#: Seconds between looks at what a replica does not have yet.
_PAUSE = 0.1
_OURS = re.compile(r"(?:^|/)litefleet/doctor-[0-9a-f]{16}$")


async def check_round_trip(store: ObjectStore, timeout: float) -> Finding:
    """Whether an object comes back as it was stored; nothing of it is left. A replica has ``timeout`` to get it."""
    what = f"bucket {store.bucket}"
    began = time.monotonic()
    try:
        info = await store.put(f"litefleet/doctor-{secrets.token_hex(8)}", _CONTENT, headers={})
        try:
            content = await _read(store, info, timeout)
        finally:
            await store.purge(info)
    except BucketFull as error:
        return Finding("problem", "room", what, error.message, error.hint)
    except NatsError as error:
        return Finding("problem", "round trip", what, error.message, error.hint)
    if content != _CONTENT:
        return Finding(
            "problem", "round trip", what, "what was stored did not come back",
            "see whether the stream's replicas are current, and whether another stream takes its subjects",
        )  # fmt: skip
    took = 1000 * (time.monotonic() - began)
    return Finding("ok", "round trip", what, f"an object was stored, read back and purged in {took:.0f} ms")


async def check_objects(store: ObjectStore, *, read_only: bool, older_than: float = 3600.0) -> Finding:
    """Whether all that is in the bucket can be listed; what a doctor left that was cut off is removed.

    Younger than ``older_than`` seconds it may belong to one that is at work. Raises what requests raise.
    """
    what = f"bucket {store.bucket}"
    listing = await store.list_bucket()
    long_ago = datetime.now(UTC) - timedelta(seconds=older_than)
    for info in listing.objects:
        if not read_only and _OURS.search(info.name) and info.modified < long_ago:
            await store.purge(info)
    if listing.unreadable:
        detail = f"{listing.unreadable} objects cannot be read: somebody else wrote, or damaged, what describes them"
        return Finding("warning", "objects", what, detail, "see who else writes to this bucket")
    count = len(listing.objects)
    return Finding("ok", "objects", what, f"{count} object{'' if count == 1 else 's'} can be listed")


async def _read(store: ObjectStore, info: ObjectInfo, timeout: float) -> bytes | None:
    """The object's content; None if it does not come within ``timeout``."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            return b"".join([chunk async for chunk in store.read(info)])
        except ObjectCorrupt:
            if time.monotonic() >= deadline:
                return None
        await asyncio.sleep(_PAUSE)
