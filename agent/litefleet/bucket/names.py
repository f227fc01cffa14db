"""Names and headers of LTX objects, as Litestream writes them: ``ltx/<level>/<min>-<max>.ltx``."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

#: Level 9 holds snapshots: all pages, from TXID 1 on.
SNAPSHOT_LEVEL = 9
#: Object header with the time of the newest change in the file; authoritative for point-in-time restore.
TIMESTAMP_HEADER = "Litestream-Timestamp"
#: Our own object header: the WAL's cumulative checksum where the file ends. Equal again means: the same WAL goes on.
WAL_HEADER = "Litefleet-Wal"
#: Our own object header: checksum of the whole database after the file. A database with the same needs no new copy.
IMAGE_HEADER = "Litefleet-Image"
#: Our own object beside the LTX files: the position and checksum that an agent left when it was stopped.
MARK_NAME = "litefleet/stopped-at"
#: Our own object header on level 0 files that hold every page, though not from TXID 1 on.
FULL_HEADER = "Litefleet-Full"
_NAME = re.compile(r"ltx/([0-9])/([0-9a-f]{16})-([0-9a-f]{16})\.ltx")
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - its zone is written by hand
#: The calendar's ends in Unix milliseconds.
_FIRST, _LAST = -62_135_596_800_000, 253_402_300_799_999
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def object_name(level: int, min_txid: int, max_txid: int) -> str:
    """The object's name."""
    return f"ltx/{level}/{min_txid:016x}-{max_txid:016x}.ltx"


def parse_object_name(name: str) -> tuple[int, int, int] | None:
    """Level and TXID range; None for objects that are not LTX files."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    level, lo, hi = int(match[1]), int(match[2], 16), int(match[3], 16)
    return (level, lo, hi) if 1 <= lo <= hi else None


def format_timestamp(milliseconds: int) -> str:
    """RFC 3339 in UTC without trailing zeros, as Go prints it: ``2026-11-23T08:32:22.73Z``.

    A time before year 1 or after year 9999 becomes the first or the last of the calendar.
    """
    milliseconds = min(max(milliseconds, _FIRST), _LAST)
    moment = (_EPOCH + timedelta(seconds=milliseconds // 1000)).isoformat(timespec="seconds")
    fraction = f"{milliseconds % 1000:03d}".rstrip("0")
    return f"{moment}.{fraction}Z" if fraction else f"{moment}Z"


def parse_timestamp(text: str) -> datetime | None:
    """A moment with its zone from RFC 3339; nanoseconds are cut to microseconds; None if it is no such text."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    date, time, fraction, zone = match.groups("")
    try:
        return datetime.fromisoformat(f"{date}T{time}.{fraction[:6]:0<6}{zone.upper()}").astimezone(UTC)
    except (ValueError, OverflowError):  # no such day, or none in UTC: the first and the last hours of the calendar
        return None
