"""What a bucket's listing can hold: names, times, and sets of files that no agent would have left."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from litefleet.bucket.catalogue import Catalogue
from litefleet.bucket.lease import LEASE_NAME
from litefleet.bucket.lease import parse as parse_lease
from litefleet.bucket.names import (
    FULL_HEADER,
    TIMESTAMP_HEADER,
    format_timestamp,
    object_name,
    parse_object_name,
    parse_timestamp,
)
from litefleet.bucket.plan import Plan
from litefleet.bucket.plan import plan as make_plan
from litefleet.errors import LitefleetError, NoBackup
from litefleet.nats.metadata import ObjectInfo
from litefleet.replicate.compact import sources
from litefleet.replicate.retain import Policy, next_removal, removable
from tests.fuzz.target import Cut, text_of

EPOCH = datetime(2026, 11, 23, tzinfo=UTC)
POLICY = Policy(window=1800.0, l0_retention=300.0)
MOST_FILES = 16


def name(data: bytes) -> None:
    """An object's name: none of ours, or spelled as we would."""
    text = text_of(data)
    found = None if text is None else parse_object_name(text)
    if found is not None:
        assert object_name(*found) == text
        assert 1 <= found[1] <= found[2] < 1 << 64


def timestamp(data: bytes) -> None:
    """A time in a header or on the command line; every time of an LTX file is written so that it can be read."""
    text = text_of(data)
    found = None if text is None else parse_timestamp(text)
    if found is not None:
        assert found.utcoffset() == timedelta(0)
    milliseconds = int.from_bytes(data[:8], "big", signed=True)
    written = format_timestamp(milliseconds)
    read = parse_timestamp(written)
    assert read is not None
    calendar = min(max(milliseconds, -62_135_596_800_000), 253_402_300_799_999)
    assert (read - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1) == calendar


def plan(data: bytes) -> None:
    """Any listing: a chain of files that connect, or no backup and the reason."""
    cut = Cut(data)
    txid, second = cut.byte(), cut.byte()
    catalogue = Catalogue.of(_objects(cut))
    moment = min((file.created for file in catalogue.files), default=EPOCH)
    ways = ((None, None), (txid, None), (None, EPOCH + timedelta(seconds=second)), (None, moment))
    wanted, at = ways[second % len(ways)]
    found = restored(catalogue, txid=wanted, at=at)
    if found is not None and wanted is not None:
        assert found.txid == wanted
    chain = sources(catalogue, 1 + txid % 9)
    assert all(after.min_txid <= before.max_txid + 1 for before, after in pairwise(chain))


def restored(catalogue: Catalogue, *, txid: int | None = None, at: datetime | None = None) -> Plan | None:
    """The plan, checked; None if there is no backup."""
    try:
        found = make_plan(catalogue, txid=txid, timestamp=at)
    except NoBackup as error:
        assert error.hint
        return None
    first, *others = found.files
    assert first.min_txid == 1
    reached = first.max_txid
    for file in others:
        assert file.min_txid <= reached + 1 <= file.max_txid
        reached = file.max_txid
    assert reached == found.txid
    assert at is None or all(file.created <= at for file in found.files)
    return found


def retention(data: bytes) -> None:
    """Whatever is removed, the newest state stays; and what agents left can still restore every time of the window."""
    cut = Cut(data)
    orderly, now = cut.byte() % 4 > 0, EPOCH + timedelta(minutes=cut.byte())
    catalogue = Catalogue.of(_history(cut) if orderly else _objects(cut))
    wait = next_removal(catalogue, POLICY, now)
    assert wait is None or wait >= 0
    try:
        gone = {removal.file.object.name for removal in removable(catalogue, POLICY, now)}
    except LitefleetError as error:
        assert "Nothing is removed" in error.message
        return
    left = Catalogue(tuple(file for file in catalogue.files if file.object.name not in gone))
    if not gone:
        return
    before, after = restored(catalogue), restored(left)
    assert before is not None
    assert after is not None
    assert after.txid == before.txid
    start = now - timedelta(seconds=POLICY.window)
    times = {start, *(file.created for file in catalogue.files if start <= file.created <= now)}
    for moment in times if orderly else ():
        if restored(catalogue, at=moment) is not None:
            assert restored(left, at=moment) is not None, f"{moment} is lost with {sorted(gone)}"


def lease(data: bytes) -> None:
    """What a lease's header says: who it belongs to, or nobody."""
    text = data.decode(errors="replace")
    info = ObjectInfo(LEASE_NAME, "N", 0, 0, "", {"Litefleet-Lease": text}, EPOCH, 3)
    found = parse_lease(info)
    assert found is not None
    assert found.mode is None or 0 <= found.mode < 1 << 12
    assert math.isfinite(found.since)
    assert parse_lease(replace(info, headers={"Litefleet-Lease": found.header()})) == found


def _history(cut: Cut) -> list[ObjectInfo]:
    """What an agent leaves, a byte for each level 0 file: every level joins whole files of the one below.

    Some files of level 0 are lost.
    """
    found: list[ObjectInfo] = []
    txid = minute = 0
    starts = [1, 1, 1]
    for step in cut.rest[:MOST_FILES]:
        lo, txid, minute = txid + 1, txid + 1 + step % 3, minute + step // 4 % 8
        if step < 240:
            found.append(_ltx(0, lo, txid, minute))
        for level in range(1, 1 + (0, 0, 0, 0, 1, 1, 2, 3)[step // 32]):
            found.append(_ltx(level, starts[level - 1], txid, minute))
            starts[level - 1] = txid + 1
        if step % 16 == 15:
            found.append(_ltx(9, 1, txid, minute))
    return found


def _ltx(level: int, lo: int, hi: int, minute: int) -> ObjectInfo:
    name, created = object_name(level, lo, hi), EPOCH + timedelta(minutes=minute)
    return ObjectInfo(name, "N", 1, 1, "", {TIMESTAMP_HEADER: format_timestamp(_milliseconds(created))}, EPOCH, hi)


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _objects(cut: Cut) -> list[ObjectInfo]:
    """Any listing, with names and times of any kind."""
    found: dict[str, ObjectInfo] = {}
    while cut.rest and len(found) < MOST_FILES:
        kind, lo, length, minute = cut.byte(), cut.byte(), cut.byte(), cut.byte()
        level = kind % 10
        headers = {}
        if kind < 200:
            lo = max(1, lo % 32)
            text = object_name(level, 1 if level == 9 else lo, lo + length % 8)
            headers[TIMESTAMP_HEADER] = format_timestamp(_milliseconds(EPOCH + timedelta(minutes=minute)))
        else:
            text = cut.piece().decode(errors="replace") or object_name(level, (1 << 64) - 1 - lo, (1 << 64) - 1)
            headers[TIMESTAMP_HEADER] = cut.piece().decode(errors="replace")
        if kind >= 100 and level == 0:
            headers[FULL_HEADER] = "1"
        info = ObjectInfo(text, "N", 1, 1, "", headers, EPOCH, len(found) + 1)
        found[text] = replace(info, size=length)
    return list(found.values())
