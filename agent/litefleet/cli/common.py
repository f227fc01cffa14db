"""What several commands need: options, targets, tables."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from litefleet.bucket.members import holds
from litefleet.config import default_path, expand, load, replica_from_url
from litefleet.config.settings import Database, Replica, Settings
from litefleet.config.values import parse_duration
from litefleet.errors import UsageError
from litefleet.nats.connection import Connection
from litefleet.nats.objects import ObjectStore


def option(parser: argparse.ArgumentParser, name: str, **settings: object) -> None:
    """Add ``--name``, and ``-name`` as Litestream spells it."""
    parser.add_argument(f"--{name}", f"-{name}", **settings)  # type: ignore[arg-type]


def add_config(parser: argparse.ArgumentParser) -> None:
    """``--config`` and ``--no-expand-env``."""
    option(parser, "config", type=Path, metavar="FILE", help=f"configuration file (default: {default_path()})")
    option(parser, "no-expand-env", action="store_true", help="leave ${NAME} in the configuration as it is")


def add_json(parser: argparse.ArgumentParser) -> None:
    """``--json``."""
    option(parser, "json", action="store_true", help="print JSON for machines")


def duration(text: str) -> float:
    """The type of options that take a time; seconds."""
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None
    if seconds < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is negative; write for example `1h`")
    return seconds


def load_config(options: argparse.Namespace) -> Settings:
    """The settings of ``--config``; raises ConfigError."""
    return load(options.config or default_path(), expand_env=not options.no_expand_env)


def find_target(options: argparse.Namespace, target: str) -> tuple[Replica, Path | None]:
    """The replica that ``target`` names, a URL or a database of the configuration, and that database's path."""
    if "://" in target:
        return replica_from_url(target), None
    database = find_database(load_config(options), target)
    return database.replica, database.path


def find_database(settings: Settings, target: str) -> Database:
    """A database of the configuration by its path, also below a directory of it; raises UsageError."""
    path = Path(target).expanduser().absolute()
    for database in settings.databases:
        if database.path == path:
            return database
    for directory in settings.directories:
        if holds(directory, path):
            return expand(directory, path)
    known = [str(database.path) for database in settings.databases]
    known += [f"{directory.directory}/{directory.pattern}" for directory in settings.directories]
    raise UsageError(f"Database not in the configuration: {path}", hint=f"it has {', '.join(known)}")


@asynccontextmanager
async def open_store(replica: Replica) -> AsyncIterator[ObjectStore]:
    """A connection to the replica's bucket, which is there."""
    async with Connection.open(replica.server) as connection:
        store = ObjectStore(connection, replica.bucket, replica.path)
        await store.check()
        yield store


def print_json(value: object) -> None:
    """JSON for machines, indented."""
    print(json.dumps(value, indent=2))


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as they need to be; headings in bold on a terminal."""
    widths = [max(len(row[column]) for row in [headings, *rows]) for column in range(len(headings))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [headings, *rows]
    ]
    if sys.stdout.isatty():
        lines[0] = f"\033[1m{lines[0]}\033[0m"
    print("\n".join(lines))


def size_text(count: float) -> str:
    """Bytes for people: ``1.4 MiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if round(count, 1) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def time_text(moment: datetime) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def duration_text(seconds: float) -> str:
    """``4.2s``, ``3m10s``, ``5h02m``, ``3d4h``."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours < 48 else f"{hours // 24}d{hours % 24}h"
