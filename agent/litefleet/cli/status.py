"""Compare each database with its bucket: newest restorable transaction, and how far behind it is.

The exit code is 0 only if every database is there, has a backup, and nothing is waiting to be sent.
"""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from litefleet.bucket import Catalogue
from litefleet.cli.common import (
    add_config,
    add_json,
    duration_text,
    find_database,
    load_config,
    open_store,
    print_json,
    print_table,
    time_text,
)
from litefleet.config.settings import Database
from litefleet.errors import LitefleetError, NatsError
from litefleet.ltx import HEADER_SIZE, Header
from litefleet.restore import plan
from litefleet.sqlite.outside import WalState, wal_state


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of ``litefleet status``."""
    parser.add_argument("target", nargs="?", metavar="DB_PATH", help="only this database of the configuration")
    add_config(parser)
    add_json(parser)


@dataclass(frozen=True, slots=True)
class _Row:
    """``lag`` in seconds: 0 if everything committed is acknowledged, else the age of the newest restorable point."""

    database: str
    status: str
    txid: str | None = None
    time: str | None = None
    lag: float | None = None
    pending_bytes: int | None = None
    files: int | None = None
    bytes: int | None = None
    detail: str = ""


async def run(options: argparse.Namespace) -> int:
    """Print a row per database."""
    settings = load_config(options)
    chosen = (find_database(settings, options.target),) if options.target else settings.databases
    rows = [await _examine(database) for database in chosen]
    if options.json:
        print_json([asdict(row) for row in rows])
    else:
        print_table(
            ["database", "status", "txid", "newest", "lag", "pending", "detail"],
            [
                [row.database, row.status, _show(row.txid), _show(row.time),
                 "-" if row.lag is None else duration_text(row.lag), _show(row.pending_bytes), row.detail]
                for row in rows
            ],
        )  # fmt: skip
    return 0 if all(row.status == "ok" for row in rows) else 1


def _show(value: object) -> str:
    return "-" if value is None else str(value)


async def _examine(database: Database) -> _Row:
    path = str(database.path)
    try:
        async with open_store(database.replica) as store:
            local = await asyncio.to_thread(wal_state, database.path)
            catalogue = Catalogue.of((await store.list()).objects)
            if not catalogue.files:
                return _Row(path, "no backup", detail=local.problem)
            newest = plan(catalogue).files[-1]
            head = catalogue.newest
            header = Header.unpack(await store.read_head(head.object, HEADER_SIZE)) if head else None
    except NatsError as error:
        return _Row(path, "unreachable", detail=str(error))
    except LitefleetError as error:
        return _Row(path, "error", detail=str(error))
    pending = _pending(local, header)
    lag = 0.0 if pending == 0 else (datetime.now(UTC) - newest.created).total_seconds()
    status = "ok" if pending == 0 else ("error" if local.problem else "behind")
    return _Row(
        path, status, f"{newest.max_txid:016x}", time_text(newest.created), round(lag, 3), pending,
        len(catalogue.files), sum(file.size for file in catalogue.files), local.problem,
    )  # fmt: skip


def _pending(local: WalState, header: Header | None) -> int | None:
    """Bytes in the WAL that the newest file does not cover; None if that cannot be told."""
    if local.index is None or header is None:
        return None
    salts = header.wal_salt1.to_bytes(4, "big") + header.wal_salt2.to_bytes(4, "big")
    covered = header.wal_offset + header.wal_size if salts == local.index.salts else 0
    return max(0, local.length - covered) if local.index.frames else 0
