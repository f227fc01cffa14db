"""How one database is: as the running agent says, or by a look at its bucket and its WAL."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from litefleet.bucket import Catalogue
from litefleet.cli.common import open_store, time_text
from litefleet.config.settings import Database
from litefleet.errors import LitefleetError, NatsError
from litefleet.ltx import HEADER_SIZE, Header
from litefleet.restore import plan
from litefleet.sqlite.outside import WalState, frame_salts, wal_state
from litefleet.wal import FRAME_HEADER, WAL_HEADER, WalIndex

_UNKNOWN = "the WAL was emptied since; whether all of it was sent, only a running agent can tell"


@dataclass(frozen=True, slots=True)
class Row:
    """``status`` is ``ok`` only if a backup is there, all that is committed is in it, and nothing needs a human.

    ``lag`` in seconds: 0 if everything committed is acknowledged; else since when something waits, as the agent says,
    or the age of the newest restorable point. None for what cannot be told.
    """

    database: str
    status: str
    #: Who says so: ``agent``, ``bucket`` or nobody.
    source: str
    txid: str | None = None
    time: str | None = None
    lag: float | None = None
    #: Transactions that were read, but are not acknowledged yet; None if none was read and something waits.
    pending: int | None = None
    pending_bytes: int | None = None
    wal_bytes: int | None = None
    spool_bytes: int | None = None
    files: int | None = None
    bytes: int | None = None
    detail: str = ""


def by_agent(figures: Mapping[str, Any]) -> Row:
    """The row of one database in the agent's answer to ``/status?sync=…``."""
    # Where nobody tried to send anything, what the agent has noticed has to do.
    done = not figures["pending"] if figures["synced"] is None else figures["synced"]
    captured, acknowledged = (int(figures[f"{name}_txid"] or "0", 16) for name in ("captured", "acknowledged"))
    status = figures["state"]
    if status == "replicating":
        status = (
            "behind" if not done else "no backup" if not acknowledged else "alarm" if figures["wal_alarm"] else "ok"
        )
    levels = figures["levels"].values()
    return Row(
        database=figures["path"],
        status=status,
        source="agent",
        txid=figures["acknowledged_txid"],
        time=figures["acknowledged_at"],
        lag=0.0 if done else figures["lag"],
        pending=0 if done else max(0, captured - acknowledged) or None,
        pending_bytes=0 if done else None,
        wal_bytes=figures["wal_bytes"],
        spool_bytes=figures["spool_bytes"],
        files=sum(level["objects"] for level in levels),
        bytes=sum(level["bytes"] for level in levels),
        detail=figures["problem"] or figures["wal_alarm"],
    )


async def by_bucket(database: Database) -> Row:
    """The row of a database whose agent was not asked; its bucket is."""
    path = str(database.path)
    try:
        async with open_store(database.replica) as store:
            local = await asyncio.to_thread(wal_state, database.path)
            catalogue = Catalogue.of((await store.list()).objects)
            if not catalogue.files:
                return Row(path, "no backup", "bucket", detail=local.problem)
            newest = plan(catalogue).files[-1]
            head = catalogue.newest
            header = Header.unpack(await store.read_head(head.object, HEADER_SIZE)) if head else None
    except NatsError as error:
        return Row(path, "unreachable", "bucket", detail=str(error))
    except LitefleetError as error:
        return Row(path, "error", "bucket", detail=str(error))
    pending = await asyncio.to_thread(_pending, database.path, local, header)
    lag = 0.0 if pending == 0 else (datetime.now(UTC) - newest.created).total_seconds()
    return Row(
        database=path,
        status="ok" if pending == 0 else "error" if local.problem else "unknown" if pending is None else "behind",
        source="bucket",
        txid=f"{newest.max_txid:016x}",
        time=time_text(newest.created),
        lag=round(lag, 3),
        pending_bytes=pending,
        wal_bytes=None if local.index is None else local.length,
        files=len(catalogue.files),
        bytes=sum(file.size for file in catalogue.files),
        detail=local.problem or ("" if pending is not None else _UNKNOWN),
    )


def _pending(path: Path, local: WalState, header: Header | None) -> int | None:
    """Bytes in the WAL that the newest file does not cover; None if that cannot be told."""
    if local.index is None or header is None:
        return None
    salts = header.wal_salt1.to_bytes(4, "big") + header.wal_salt2.to_bytes(4, "big")
    covered = header.wal_offset + header.wal_size
    if local.index.salts == salts:
        return max(0, local.length - covered) if local.index.frames else 0
    if local.index.frames:
        return local.length
    return 0 if _all_was_captured(path, local.index, header, salts, covered) else None


def _all_was_captured(path: Path, index: WalIndex, header: Header, salts: bytes, covered: int) -> bool:
    """Whether the WAL that was restarted, and is empty now, ended with what the newest file covers.

    Its frames may still be in the file: then the last one that is covered is there, and none of the same WAL behind it.
    """
    restarted_once = int.from_bytes(index.salts[:4], "big") == (header.wal_salt1 + 1) % (1 << 32)
    last = covered - FRAME_HEADER - header.page_size
    if not restarted_once or last < WAL_HEADER:
        return False
    return frame_salts(path, last) == salts and frame_salts(path, covered) not in (salts, index.salts)
