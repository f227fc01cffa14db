"""The three files of a WAL database, read beside SQLite.

Closing any descriptor of the database or of the ``-shm`` file drops the locks that this whole process holds on it. So
those two are opened once and stay open until SQLite itself has let go.
"""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

from litefleet.errors import DatabaseError, WALError
from litefleet.wal import INDEX_SIZE, WalIndex

_MAGIC = b"SQLite format 3\0"
#: Reads of the WAL index until it holds still. SQLite writes it in a microsecond, unless the system lets its process
#: wait in the middle: after the first reads there are pauses, five seconds in all.
_INDEX_QUICK, _INDEX_ATTEMPTS, _INDEX_PAUSE = 100, 5100, 0.001
#: Seconds, many times the step of the clock for files.
_TICK = 1.0


def companion(path: Path, suffix: str) -> Path:
    """``app.db`` and ``-wal`` make ``app.db-wal``."""
    return path.with_name(path.name + suffix)


class DatabaseFiles:
    """Raw reads of one open database; every method may block."""

    def __init__(self, path: Path) -> None:
        """Open the database file; raises DatabaseError if it is no SQLite database."""
        self.path = path
        try:
            self._main = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise DatabaseError(f"Database not found: {path}", hint="check `path:` in the configuration") from None
        except OSError as error:
            raise DatabaseError(f"Database cannot be read: {path}: {error.strerror}") from None
        self._index = self._wal = -1
        if not self._is_database():
            os.close(self._main)
            raise DatabaseError(f"Not a SQLite database: {path}", hint="check `path:` in the configuration")

    def _is_database(self) -> bool:
        """An empty file is one, to SQLite."""
        regular = stat.S_ISREG(os.fstat(self._main).st_mode)
        return regular and os.pread(self._main, len(_MAGIC), 0) in (b"", _MAGIC)

    def open_wal(self) -> None:
        """Open WAL and WAL index, once SQLite has made them."""
        self._index = os.open(companion(self.path, "-shm"), os.O_RDONLY | os.O_CLOEXEC)
        self._wal = os.open(companion(self.path, "-wal"), os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Let go; only after SQLite's own connections are closed."""
        for descriptor in (self._wal, self._index, self._main):
            if descriptor >= 0:
                os.close(descriptor)
        self._wal = self._index = self._main = -1

    def replaced(self) -> bool:
        """Whether another file has taken the place of one that is open here."""
        for descriptor, path in (
            (self._main, self.path),
            (self._wal, companion(self.path, "-wal")),
            (self._index, companion(self.path, "-shm")),
        ):
            try:
                there = path.stat()
            except FileNotFoundError:
                return True
            here = os.fstat(descriptor)
            if (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino):
                return True
        return False

    def index(self) -> WalIndex:
        """The WAL index as of now; raises WALError if it does not hold still."""
        for attempt in range(_INDEX_ATTEMPTS):
            index = WalIndex.parse(os.pread(self._index, INDEX_SIZE, 0))
            if index is not None:
                return index
            if attempt >= _INDEX_QUICK:
                time.sleep(_INDEX_PAUSE)
        raise WALError(
            f"WAL index of {self.path} is never consistent",
            hint="a program died while it wrote to it; it is opened again",
        )

    def stamp(self) -> tuple[int, ...] | None:
        """What tells that the database file was not written to; None if it was in the last second.

        The system's clock for files moves in steps: a write right after a look can leave the same times.
        """
        there = os.fstat(self._main)
        if abs(time.time() - there.st_ctime) < _TICK:
            return None
        return (there.st_dev, there.st_ino, there.st_size, there.st_mtime_ns, there.st_ctime_ns)

    def index_file(self) -> tuple[tuple[int, int], bytes]:
        """Device and inode of the WAL index, and its first bytes, for ``litefleet.sqlite.holders``."""
        there = os.fstat(self._index)
        return (there.st_dev, there.st_ino), os.pread(self._index, INDEX_SIZE, 0)

    def main_size(self) -> int:
        """Length of the database file in bytes."""
        return os.fstat(self._main).st_size

    def read_wal(self, length: int, offset: int) -> bytes:
        """Bytes of the WAL, fewer at its end."""
        return _pread(self._wal, length, offset)

    def read_main(self, length: int, offset: int) -> bytes:
        """Bytes of the database file, fewer at its end."""
        return _pread(self._main, length, offset)


def _pread(descriptor: int, length: int, offset: int) -> bytes:
    data = os.pread(descriptor, length, offset)
    if len(data) == length or not data:
        return data
    parts = [data]
    done = len(data)
    while done < length:
        data = os.pread(descriptor, length - done, offset + done)
        if not data:
            break
        parts.append(data)
        done += len(data)
    return b"".join(parts)
