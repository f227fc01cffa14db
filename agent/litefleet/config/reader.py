"""The whole file: its databases, and what holds for all of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from litefleet.config.document import Context, Entry, Section, read
from litefleet.config.keys import DATABASE, LOGGING, TOP, check_keys
from litefleet.config.lifetimes import duration, read_lifetimes
from litefleet.config.replica import read_replica
from litefleet.config.settings import Database, Logging, Replica, Server, Settings

_SETTINGS = Settings(databases=())
_LOG_LEVELS = ("debug", "info", "warn", "error")


@dataclass(frozen=True, slots=True)
class _Found:
    """A database and where it is in the file."""

    entry: Entry
    database: Database


def read_settings(text: str, context: Context) -> Settings:
    """The settings in ``text``; raises ConfigError with all problems."""
    settings = _SETTINGS
    top = read(text, context)
    if top is not None:
        check_keys(top, TOP)
        found = list(_databases(top))
        _check_paths(found)
        _check_buckets(found)
        settings = Settings(
            databases=tuple(one.database for one in found),
            logging=_logging(top),
            **read_lifetimes(top),
            shutdown_sync_timeout=duration(top, "shutdown-sync-timeout", _SETTINGS.shutdown_sync_timeout, zero=True),
        )
    context.problems.raise_if_any()
    return settings


def _databases(top: Section) -> Iterator[_Found]:
    dbs = top.get("dbs")
    if dbs is None:
        top.problem("`dbs` is missing: there is nothing to protect; list the databases under it")
        return
    entries = dbs.items()
    if entries is not None and not entries:
        dbs.problem("is empty: there is nothing to protect; list the databases under it")
    for entry in entries or ():
        section = entry.section()
        database = _database(section, top) if section else None
        if database is not None:
            yield _Found(entry, database)


def _database(section: Section, top: Section) -> Database | None:
    check_keys(section, DATABASE)
    path = _path(section)
    replica = _replica(section, top)
    wanted = Database(path=path or Path("/"), replica=replica or Replica(Server(urls=()), ""))
    wanted = replace(
        wanted,
        monitor_interval=duration(section, "monitor-interval", wanted.monitor_interval, zero=False),
        checkpoint_interval=duration(section, "checkpoint-interval", wanted.checkpoint_interval, zero=True),
        busy_timeout=duration(section, "busy-timeout", wanted.busy_timeout, zero=True),
    )
    if (entry := section.get("min-checkpoint-page-count")) and (count := entry.integer(minimum=1)) is not None:
        wanted = replace(wanted, min_checkpoint_page_count=count)
    if (entry := section.get("max-sync-wal-bytes")) and (size := entry.size(minimum=1)) is not None:
        wanted = replace(wanted, max_sync_wal_bytes=size)
    if (entry := section.get("restore-if-db-not-exists")) and (restore := entry.boolean()) is not None:
        wanted = replace(wanted, restore_if_db_not_exists=restore)
    return None if path is None or replica is None else wanted


def _path(section: Section) -> Path | None:
    entry = section.get("path")
    if entry is None:
        if section.get("dir") is None:
            section.problem("`path` is missing; name the database file")
        return None
    text = entry.text()
    if text is None:
        return None
    for prefix in ("sqlite://", "sqlite3://"):
        text = text.removeprefix(prefix)
    if not text or text.endswith("/"):
        entry.problem("names no file; write the path of the database, for example /var/lib/app/app.db")
        return None
    if text.startswith((":memory:", "file:")):
        entry.problem("is a name for SQLite, not for a file; write the path of the database, /var/lib/app/app.db")
        return None
    return entry.absolute(text)


def _replica(section: Section, top: Section) -> Replica | None:
    entry, many = section.get("replica"), section.get("replicas")
    if entry is not None and many is not None:
        many.problem("is given beside `replica`; keep `replica`")
        return None
    if many is not None:
        entries = many.items()
        if entries is not None and len(entries) != 1:
            many.problem(f"has {len(entries)} replicas, but a database has exactly one; write it under `replica`")
        if entries is None or len(entries) != 1:
            return None
        entry = entries[0]
    if entry is None:
        section.problem("`replica` is missing; say where the copies go: `type: nats`, `url` and `bucket`")
        return None
    own = entry.section()
    return read_replica(own, top) if own else None


def _check_paths(found: list[_Found]) -> None:
    """Symbolic links are followed: two names of one file are still one database."""
    seen: dict[str, _Found] = {}
    for one in found:
        first = seen.setdefault(os.path.realpath(one.database.path), one)
        if first is not one:
            one.entry.problem(f"is the same database as {first.entry.path} ({first.database.path}); keep one of them")


def _check_buckets(found: list[_Found]) -> None:
    """One server in common is enough for two lists to mean one cluster."""
    seen: dict[tuple[str, str], _Found] = {}
    for one in found:
        replica = one.database.replica
        targets = [(url, replica.bucket) for url in replica.server.urls]
        first = next((seen[target] for target in targets if target in seen), None)
        if first is not None:
            one.entry.problem(
                f"has the same bucket `{replica.bucket}` on the same servers as {first.entry.path}; "
                "each database needs its own bucket"
            )
        for target in targets:
            seen.setdefault(target, one)


def _logging(top: Section) -> Logging:
    entry = top.get("logging")
    section = entry.section() if entry else None
    if section is None:
        return Logging()
    check_keys(section, LOGGING)
    level, kind = section.get("level"), section.get("type")
    return Logging(
        level=(level and level.choice(*_LOG_LEVELS)) or Logging().level,
        type=(kind and kind.choice("text", "json")) or Logging().type,
    )
