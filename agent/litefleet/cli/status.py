"""Show how each database is: newest restorable transaction, how far behind it is, and what is wrong.

The running agent is asked; without one, or with --remote, each database is compared with its bucket. The exit code is
0 only if every database is there, has a backup that holds all that was committed by now, and nothing needs a human.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from litefleet.cli.agent import add_socket, ask, database_path, socket_path
from litefleet.cli.common import (
    add_json,
    duration_text,
    find_database,
    load_config,
    option,
    print_json,
    print_table,
    size_text,
)
from litefleet.cli.examine import Row, by_agent, by_bucket
from litefleet.config import expand
from litefleet.config.settings import Database, Settings
from litefleet.errors import AgentUnreachable, ConfigError, UsageError
from litefleet.service.directories import scan
from litefleet.service.interface import path_text

#: Seconds that the agent has to send what is committed.
_SYNC = 2.0
#: Databases that are looked at in their buckets at the same time.
_AT_ONCE = 8


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of ``litefleet status``."""
    parser.add_argument("target", nargs="?", metavar="DB_PATH", help="only this database")
    option(parser, "remote", action="store_true", help="look at buckets and WALs, whether an agent runs or not")
    add_socket(parser)
    add_json(parser)


async def run(options: argparse.Namespace) -> int:
    """Print a row per database."""
    rows = await _rows(options)
    if options.json:
        print_json([asdict(row) for row in rows])
    else:
        print_table(
            ["database", "status", "txid", "newest", "lag", "pending", "WAL", "spool", "problem"],
            [
                [path_text(row.database), row.status, row.txid or "-", row.time or "-", _duration(row.lag),
                 _pending(row), _size(row.wal_bytes), _size(row.spool_bytes), row.detail]
                for row in rows
            ],
        )  # fmt: skip
    return 0 if all(row.status == "ok" for row in rows) else 1


async def _rows(options: argparse.Namespace) -> list[Row]:
    settings: Settings | None = None
    unreadable: ConfigError | None = None
    try:
        settings = load_config(options)
    except ConfigError as error:
        # An agent that runs can be asked without it.
        if options.config is not None or options.remote:
            raise
        unreadable = error
    known = {} if options.remote else await _ask(options, settings)
    if settings is None:
        if not known:
            assert unreadable is not None
            raise unreadable
        settings = Settings(databases=())
    if options.target:
        path = database_path(options.target)
        if path in known:
            return [by_agent(known[path])]
        if unreadable is not None:
            raise UsageError(f"Database not replicated: {path}", hint="`litefleet status` lists those that are")
        return [await by_bucket(find_database(settings, options.target))]
    # Also those that the agent has not, or not yet: nobody should miss them.
    of_directories, refused = await asyncio.to_thread(_of_directories, settings)
    own = {str(database.path): database for database in (*settings.databases, *of_directories)}
    more = [by_agent(figures) for path, figures in known.items() if path not in own]
    looked_at = await _look([database for path, database in own.items() if path not in known])
    return [by_agent(known[path]) if path in known else looked_at[path] for path in own] + more + refused


def _of_directories(settings: Settings) -> tuple[list[Database], list[Row]]:
    """The databases that are in directories now, and rows for those that have no place for a copy; blocks."""
    own = [database.path for database in settings.databases]
    found: list[Database] = []
    refused: list[Row] = []
    for directory in settings.directories:
        for file in scan(directory, others=own):
            try:
                found.append(expand(directory, file))
            except ConfigError as error:
                refused.append(Row(str(file), "error", "", detail=str(error)))
    return found, refused


async def _look(databases: Sequence[Database]) -> dict[str, Row]:
    """By path."""
    room = asyncio.Semaphore(_AT_ONCE)

    async def look(database: Database) -> Row:
        async with room:
            return await by_bucket(database)

    async with asyncio.TaskGroup() as tasks:
        running = {str(database.path): tasks.create_task(look(database)) for database in databases}
    return {path: task.result() for path, task in running.items()}


async def _ask(options: argparse.Namespace, settings: Settings | None) -> dict[str, Mapping[str, Any]]:
    """The agent's figures by path; empty if there is none, or if it is one with another configuration."""
    try:
        answer = await ask(socket_path(options), "GET", f"/status?sync={_SYNC:g}", wait=_SYNC)
    except AgentUnreachable:
        if options.socket is not None:
            raise
        return {}
    known = {str(figures["path"]): figures for figures in answer["databases"]}
    return known if options.socket is not None or settings is None or _serves(settings, known) else {}


def _serves(settings: Settings, known: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether the agent is this configuration's: the one on the default socket may be another."""
    if settings.socket.path is not None:
        return True
    for database in settings.databases:
        figures = known.get(str(database.path))
        if figures is not None and figures["replica"] == database.replica.url:
            return True
    return any(Path(path).is_relative_to(one.directory) for path in known for one in settings.directories)


def _duration(seconds: float | None) -> str:
    return "-" if seconds is None else duration_text(seconds)


def _size(count: int | None) -> str:
    return "-" if count is None else size_text(count)


def _pending(row: Row) -> str:
    if row.source == "bucket":
        return _size(row.pending_bytes)
    if row.pending is None:
        return "yes"
    return f"{row.pending} tx" if row.pending else "-"
