"""Databases: looked at beside the application and the agent, without a lock that either would notice.

Where nobody has the database open it is read as bytes only, so that no ``-wal`` or ``-shm`` file is made.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Sequence
from pathlib import Path

import apsw

from litefleet.config.settings import Database
from litefleet.doctor.disk import file_system, free_bytes
from litefleet.doctor.finding import Finding
from litefleet.doctor.versions import WAL_RESET, resets_wal_wrongly, version_text
from litefleet.doctor.wal import check_wal
from litefleet.sqlite.files import companion
from litefleet.sqlite.holders import locked_by

_MAGIC = b"SQLite format 3\0"
_HEADER = 100
#: Bytes 18 of the header: 2 for WAL, 1 for a rollback journal.
_WAL_MODE = 2
#: SQLite's shared memory does not work across hosts.
_NETWORK = frozenset({"9p", "afs", "ceph", "cifs", "fuse.sshfs", "glusterfs", "lustre", "nfs", "nfs4", "smb3", "smbfs"})
#: Looks at an exclusive lock, and the seconds between them.
_LOOKS, _LOOK_PAUSE = 10, 0.1
#: Milliseconds to wait for a lock.
_BUSY = 1000


def check_database(database: Database) -> list[Finding]:
    """Whether the agent can replicate it, as the user that runs this; blocks for a moment."""
    path = database.path
    what = f"database {path}"
    try:
        there = path.stat()
        if not stat.S_ISREG(there.st_mode):
            return [Finding("problem", "database", what, "not a file", "see whether `path` is right")]
        with path.open("rb") as file:
            header = file.read(_HEADER)
    except FileNotFoundError:
        return [_missing(what, database), *_access(what, (path.parent,))]
    except OSError as error:
        hint = "make it readable for the agent's user"
        return [Finding("problem", "database", what, error.strerror or str(error), hint)]
    if header and (len(header) < _HEADER or not header.startswith(_MAGIC)):
        return [Finding("problem", "database", what, "not an SQLite database", "see whether `path` is right")]
    beside = [name for suffix in ("-wal", "-shm") if (name := companion(path, suffix)).exists()]
    return [
        _header(what, header, there.st_size),
        *_access(what, (path, path.parent, *beside)),
        *_opens(what, path),
        *_place(what, path),
        *check_wal(what, database),
        *_room(what, database),
    ]


def _missing(what: str, database: Database) -> Finding:
    if database.restore_if_db_not_exists:
        return Finding("note", "database", what, "does not exist; it is restored when the agent starts")
    return Finding(
        "problem", "database", what, "does not exist",
        "see whether `path` is right; `litefleet restore`, or `restore-if-db-not-exists: true`, brings it back",
    )  # fmt: skip


def _header(what: str, header: bytes, size: int) -> Finding:
    if not header:
        return Finding("ok", "database", what, "empty")
    page_size = int.from_bytes(header[16:18], "big")
    number = int.from_bytes(header[96:100], "big")
    mode = "WAL" if header[18] == _WAL_MODE else "no WAL yet (the agent switches it on)"
    detail = f"{mode}, pages of {65536 if page_size == 1 else page_size} bytes, {size} bytes"
    detail += f", last written by SQLite {version_text(number)}"
    if resets_wal_wrongly(number):
        return Finding("warning", "database", what, detail, f"{WAL_RESET}: update the application's")
    return Finding("ok", "database", what, detail)


def _access(what: str, files: Sequence[Path]) -> list[Finding]:
    """SQLite needs to write to all of them, even to read."""
    refused = [str(file) for file in files if not os.access(file, os.R_OK | os.W_OK, effective_ids=True)]
    if not refused:
        return []
    hint = "let the agent's user write there, for example by a group that both have: SQLite locks in these files"
    return [Finding("problem", "access", what, f"no write access to {', '.join(refused)}", hint)]


def _opens(what: str, path: Path) -> list[Finding]:
    """Whether SQLite gets to its content, if somebody has it open."""
    hint = "an application that uses `PRAGMA locking_mode=exclusive` cannot be replicated"
    if (who := _locked_by(path)) is not None:
        return [Finding("problem", "database", what, f"locked by {who} for itself", hint)]
    if not (companion(path, "-shm").exists() and companion(path, "-wal").exists()):
        return []
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            connection.set_busy_timeout(_BUSY)
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            connection.execute("SELECT count(*) FROM sqlite_schema").get  # noqa: B018  the first read takes the lock
        finally:
            connection.close()
    except apsw.BusyError:
        return [Finding("problem", "database", what, "locked: SQLite does not get in", hint)]
    except apsw.Error as error:
        hint = "see to the file; `litefleet restore` brings a copy back"
        return [Finding("problem", "database", what, f"SQLite says: {error}", hint)]
    return []


def _locked_by(path: Path) -> str | None:
    """Who keeps everybody else out, for longer than a transaction without WAL does."""
    there = path.stat()
    who = None
    for _ in range(_LOOKS):
        who = locked_by((there.st_dev, there.st_ino))
        if who is None:
            return None
        time.sleep(_LOOK_PAUSE)
    return who


def _place(what: str, path: Path) -> list[Finding]:
    kind = file_system(path)
    if kind not in _NETWORK:
        return []
    hint = "WAL mode needs memory that all programs share: keep the database on a disk of this host"
    return [Finding("problem", "disk", what, f"on a network file system ({kind})", hint)]


def _room(what: str, database: Database) -> list[Finding]:
    """Whether the WAL can grow to where its alarm is."""
    free = free_bytes(database.path.parent)
    wal = companion(database.path, "-wal")
    try:
        there = wal.stat().st_size
    except OSError:
        there = 0
    needed = max(0, database.wal_limit - there)
    if free is None or free >= needed:
        return []
    detail = f"{free} bytes are free beside it: its WAL fills the disk before it gets to `wal-limit`"
    return [Finding("warning", "disk", what, detail, f"make room, or set `wal-limit` below {there + free} bytes")]
