"""An object that is stored, read back and purged again, as the agent does it with every file."""

from __future__ import annotations

import asyncio
import secrets
import time

from litefleet.doctor.finding import Finding
from litefleet.errors import BucketFull, NatsError, ObjectCorrupt
from litefleet.nats.objects import ObjectInfo, ObjectStore

_CONTENT = b"litefleet doctor\n"
#: Seconds between looks at what a replica does not have yet.
_PAUSE = 0.1


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
