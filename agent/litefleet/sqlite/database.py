"""One live database: a pinned read transaction that keeps the WAL from being lost, and short, bounded write locks.

While the pin is held, a checkpoint by anybody may copy no frame into the database file beyond the pin, and only a fully
copied WAL can be restarted. So no committed frame disappears before it was captured.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import apsw

from litefleet.errors import DatabaseError
from litefleet.sqlite.files import DatabaseFiles
from litefleet.wal import WalIndex


class DiskRefuses(DatabaseError):
    """The disk is full or broken: nothing can be copied into the database file right now."""

    retryable = True


@dataclass(frozen=True, slots=True)
class Pin:
    """The WAL at the moment the read transaction began: nothing beyond ``frames`` can be checkpointed by others."""

    salts: bytes
    frames: int


class LiveDatabase:
    """Opened, in WAL mode and pinned. Methods block; call them from one thread at a time."""

    def __init__(self, path: Path, *, busy_timeout: float, observe: Callable[[str, float], None] | None = None) -> None:
        """Open and pin; ``busy_timeout`` in seconds bounds every wait for a lock. Raises DatabaseError.

        ``observe`` is called with ``write_lock`` and the seconds that each one was held.
        """
        self._observe = observe
        self.path = path
        self._busy_ms = max(1, int(busy_timeout * 1000))
        self.files = DatabaseFiles(path)
        self._pinned: apsw.Connection | None = None
        self._writer: apsw.Connection | None = None
        try:
            self._pinned = self._connect()
            self._ensure_wal_mode(self._pinned)
            self._begin_read(self._pinned)
            self.files.open_wal()
            self._writer = self._connect()
        except (apsw.Error, OSError) as error:
            self.close()
            raise self._explain(error) from None
        except DatabaseError:
            self.close()
            raise
        self.page_size = self._page_size(self._pinned)
        self.pin = self._note_pin()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of everything; the WAL stays as it is for the next start to continue from."""
        for connection in (self._writer, self._pinned):
            if connection is not None:
                connection.close(True)
        self._writer = self._pinned = None
        self.files.close()

    def index(self) -> WalIndex:
        """How far the WAL is committed."""
        return self.files.index()

    @contextlib.contextmanager
    def write_lock(self) -> Iterator[None]:
        """Nobody commits inside; raises DatabaseError if the application holds the lock for too long."""
        assert self._writer is not None
        try:
            self._writer.execute("BEGIN IMMEDIATE")
        except apsw.Error as error:
            raise self._explain(error) from None
        began = time.monotonic()
        try:
            yield
        finally:
            self._writer.execute("ROLLBACK")
            if self._observe is not None:
                self._observe("write_lock", time.monotonic() - began)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """A second read transaction: until it ends, the state at its start can be read from the files."""
        reader: apsw.Connection | None = None
        try:
            try:
                reader = self._connect()
                self._begin_read(reader)
            except apsw.Error as error:
                raise self._explain(error) from None
            yield
        finally:
            if reader is not None:
                reader.close(True)

    def pages(self, index: WalIndex) -> int:
        """Size of the database in pages at ``index``; an index without frames may not know it."""
        return index.pages or self.files.main_size() // self.page_size

    def checkpoint(self) -> None:
        """Checkpoint passively, as far as readers let it; only inside ``write_lock``, with everything captured."""
        assert self._pinned is not None
        try:
            self._pinned.execute("COMMIT")
            try:
                with contextlib.suppress(apsw.BusyError):  # somebody else is at it
                    self._pinned.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            finally:
                self._begin_read(self._pinned)
                self.pin = self._note_pin()
        except apsw.Error as error:
            raise self._explain(error) from None

    def _connect(self) -> apsw.Connection:
        connection = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READWRITE)
        connection.set_busy_timeout(self._busy_ms)
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.wal_autocheckpoint(0)
        return connection

    def _ensure_wal_mode(self, connection: apsw.Connection) -> None:
        mode = connection.execute("PRAGMA journal_mode").get
        if mode != "wal":
            mode = connection.execute("PRAGMA journal_mode=wal").get
        if mode != "wal":
            raise DatabaseError(
                f"Database {self.path} stays in journal mode {mode!r}",
                hint="set `PRAGMA journal_mode=wal` in the application; nothing else can be replicated",
            )
        # Without this the last connection to close would delete the WAL, and the next start could not continue from it.
        on = ctypes.c_int(1)
        connection.file_control("main", apsw.SQLITE_FCNTL_PERSIST_WAL, ctypes.addressof(on))

    def _page_size(self, connection: apsw.Connection) -> int:
        size = connection.execute("PRAGMA page_size").get
        assert isinstance(size, int)
        return size

    def _begin_read(self, connection: apsw.Connection) -> None:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_schema").get  # noqa: B018  the first read takes the lock

    def _note_pin(self) -> Pin:
        # Read after the transaction began: commits in between make the pin look newer than it is. That is stricter.
        index = self.files.index()
        return Pin(index.salts, index.frames)

    def _explain(self, error: Exception) -> DatabaseError:
        if isinstance(error, apsw.BusyError | apsw.LockedError):
            failure = DatabaseError(
                f"Database {self.path} is locked by another program",
                hint="the application holds the lock for longer than `busy-timeout`, or uses locking_mode=exclusive",
            )
            failure.retryable = True
            return failure
        if isinstance(error, apsw.NotADBError | apsw.CorruptError):
            return DatabaseError(
                f"Database {self.path} is damaged: {error}", hint="`litefleet restore` brings a copy back"
            )
        if isinstance(error, apsw.ReadOnlyError | apsw.CantOpenError | PermissionError):
            return DatabaseError(
                f"Database {self.path} cannot be written: {error}",
                hint="the agent needs write access to the database and its directory, for the WAL's lock file",
            )
        if isinstance(error, apsw.FullError | apsw.IOError) or (
            isinstance(error, OSError) and error.errno == errno.ENOSPC
        ):
            return DiskRefuses(
                f"Database {self.path}: the disk refuses: {error}",
                hint="make room, or see the kernel log; what is committed is replicated all the same",
            )
        return DatabaseError(f"Database {self.path}: {error}")
