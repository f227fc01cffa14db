"""The entries of ``dbs``: a database by its path, or a directory of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from litefleet.config.directories import is_utf8
from litefleet.config.document import Entry, Section
from litefleet.config.keys import DATABASE, DIRECTORY_ONLY, check_keys
from litefleet.config.lifetimes import duration
from litefleet.config.replica import read_replica
from litefleet.config.settings import Database, Directory, Replica, Server

#: Bytes in the WAL before its first frame, and of the smallest frame there is.
_WAL_HEADER, _LEAST_FRAME = 32, 24 + 512


@dataclass(frozen=True, slots=True)
class Found:
    """A database, or all those of a directory, and where that is in the file."""

    entry: Entry
    database: Database
    #: None for an entry that names one file.
    directory: Directory | None = None


def read_entry(entry: Entry, section: Section, top: Section) -> Found | None:
    """What an entry of ``dbs`` says, or None if something was wrong with it."""
    check_keys(section, DATABASE)
    one, many = section.get("path"), section.get("dir")
    if one is not None and many is not None:
        many.problem("is given beside `path`; write an entry for each")
        return None
    if one is None and many is None:
        section.problem("`path` is missing; name the database file, or a directory of them with `dir`")
    path = _file(one) if one else _directory(many) if many else None
    replica = _replica(section, top, template=many is not None)
    database = _settings(section, path or Path("/"), replica or Replica(Server(urls=()), ""))
    directory = _read_directory(section, many, database) if many else None
    if many is None:
        for key in DIRECTORY_ONLY:
            if stray := section.get(key):
                stray.problem("goes with `dir`, not with `path`; remove it")
    if path is None or replica is None or (many is not None and directory is None):
        return None
    return Found(entry, database, directory)


def _settings(section: Section, path: Path, replica: Replica) -> Database:
    wanted = Database(path=path, replica=replica)
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
    return _wal_limit(section, wanted)


def _wal_limit(section: Section, wanted: Database) -> Database:
    entry, count = section.get("wal-limit"), section.get("min-checkpoint-page-count")
    size = entry.size(minimum=1) if entry else None
    if size is not None:
        wanted = replace(wanted, wal_limit=size)
    least = _WAL_HEADER + wanted.min_checkpoint_page_count * _LEAST_FRAME
    if wanted.wal_limit < least and (blamed := entry or count):
        blamed.problem(
            f"makes `wal-limit` ({wanted.wal_limit} bytes) less than a WAL of `min-checkpoint-page-count` frames "
            f"({least} bytes at least), before which no checkpoint is tried; raise `wal-limit` or lower the count"
        )
    return wanted


def _file(entry: Entry) -> Path | None:
    text = entry.text()
    if text is None:
        return None
    for prefix in ("sqlite://", "sqlite3://"):
        text = text.removeprefix(prefix)
    if not text or text.endswith("/"):
        entry.problem(
            "names no file; write the path of the database, for example /var/lib/app/app.db, or a directory under `dir`"
        )
        return None
    if text.startswith((":memory:", "file:")):
        entry.problem("is a name for SQLite, not for a file; write the path of the database, /var/lib/app/app.db")
        return None
    if not is_utf8(text):
        entry.problem("is not UTF-8, which SQLite's names are; rename the file")
        return None
    return entry.absolute(text)


def _directory(entry: Entry) -> Path | None:
    text = entry.text()
    if text is not None and text.startswith((":memory:", "file:", "sqlite:", "sqlite3:")):
        entry.problem("is no directory; write its path, for example /var/lib/app")
        return None
    return None if text is None else entry.absolute(text)


def _read_directory(section: Section, directory: Entry, template: Database) -> Directory | None:
    entry = section.get("pattern")
    if entry is None:
        directory.problem("`pattern` is missing beside it; write which files are databases, for example `'*.db'`")
    pattern = entry.text() if entry else None
    if entry and pattern and "/" in pattern:
        entry.problem("has a `/`; it is matched with file names only, `recursive: true` looks into subdirectories")
        return None
    if (restore := section.get("restore-if-db-not-exists")) and template.restore_if_db_not_exists:
        restore.problem("is not possible with `dir`, which names no file that could be missing; name it with `path`")
    flags = {key: (flag.boolean() if (flag := section.get(key)) else None) for key in ("recursive", "watch")}
    if pattern is None:
        return None
    return Directory(template.path, pattern, bool(flags["recursive"]), bool(flags["watch"]), template)


def _replica(section: Section, top: Section, *, template: bool) -> Replica | None:
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
    return read_replica(own, top, template=template) if own else None
