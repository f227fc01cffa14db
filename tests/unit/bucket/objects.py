"""Objects as a listing gives them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from litefleet.bucket import object_name
from litefleet.nats.objects import ObjectInfo

EPOCH = datetime(2026, 11, 23, tzinfo=UTC)


def listed(name: str, *, timestamp: str | None = None, size: int = 100, stored: datetime = EPOCH) -> ObjectInfo:
    """An object of that name."""
    headers = {} if timestamp is None else {"Litestream-Timestamp": timestamp}
    return ObjectInfo(name, "n", size, 1, "", headers, stored, 1)


def ltx(level: int, lo: int, hi: int, *, minute: int = 0, size: int = 100) -> ObjectInfo:
    """An LTX object whose newest change is ``minute`` minutes after :data:`EPOCH`."""
    moment = (EPOCH + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return listed(object_name(level, lo, hi), timestamp=moment, size=size)
