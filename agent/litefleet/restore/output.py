"""The file being restored: beside its place until it is complete and checked, then renamed into it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import apsw

from litefleet.bucket.lease import Lease
from litefleet.errors import IntegrityFailed, OutputExists, RestoreError
from litefleet.ltx import Decoder, Header, check_follows, misfit
from litefleet.restore.owner import give_owner

_COMPANIONS = ("-wal", "-shm", "-journal")


def check_free(path: Path, *, force: bool) -> None:
    """Raise OutputExists if anything would be overwritten; a file without content is nothing.

    Raises RestoreError for what no database can take the place of, whatever ``force`` says.
    """
    path = _resolved(path)
    with _os_errors(path):
        there = path.exists()
        if there and not path.is_file():
            raise RestoreError(f"Output is not a file: {path}", hint="name the file that the database is to be")
    if force:
        return
    if there and path.stat().st_size:
        raise OutputExists(f"Output exists: {path}", hint="`--force` replaces it, `-o` writes elsewhere")
    for suffix in _COMPANIONS:
        beside = path.with_name(path.name + suffix)
        if beside.exists():
            raise OutputExists(
                f"Output has a companion of another database: {beside}",
                hint="it may hold the last changes of a lost database: move it away, or let `--force` delete it",
            )


class Output:
    """A context manager; without ``commit`` nothing remains. Methods block."""

    def __init__(self, path: Path, lease: Lease | None = None) -> None:
        """``lease`` tells owner and mode where no file is replaced."""
        self.path = _resolved(path)
        self._lease = lease
        self._temporary = self.path.with_name(f".{self.path.name}.restoring")
        self._file = -1
        self._decoder: Decoder | None = None
        self._header: Header | None = None
        self._committed = False

    def __enter__(self) -> Self:
        try:
            self._file = _create(self._temporary)
        except FileNotFoundError:
            raise RestoreError(f"Directory not found: {self.path.parent}", hint="create it first") from None
        except BlockingIOError:
            raise RestoreError(
                f"Another restore is making {self.path}", hint="wait for its end, or write elsewhere with `-o`"
            ) from None
        except OSError as error:
            raise RestoreError(
                f"Cannot write to {self.path.parent}: {error.strerror}", hint="make it writable, or use `-o`"
            ) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file < 0:
            return
        if not self._committed:
            with contextlib.suppress(FileNotFoundError):
                self._temporary.unlink()
        # Only now: closing lets go of the lock that keeps others from taking the file for an abandoned one.
        os.close(self._file)
        self._file = -1

    def apply(self, name: str, block: bytes, *, last: bool) -> None:
        """Write the pages of the next block of the LTX file ``name``; raises LTXError, RestoreError."""
        if self._decoder is None:
            self._decoder = Decoder(name)
        decoder = self._decoder
        with _os_errors(self._temporary):
            for number, page in decoder.stream(block):
                self._write(page, (number - 1) * len(page))
            if last:
                self._accept(decoder.close(), name)
                self._decoder = None

    def _write(self, page: bytes, offset: int) -> None:
        done = os.pwrite(self._file, page, offset)
        # A disk that is nearly full takes the start of a page, and refuses only the next call.
        while done < len(page):
            done += os.pwrite(self._file, page[done:], offset + done)

    def _accept(self, header: Header, name: str) -> None:
        before = self._header
        if before is None and not header.full:
            raise misfit(name, f"it should hold every page, but starts at TXID {header.min_txid:016x}")
        if before is not None:
            check_follows(name, before, header)
        self._header = header
        # Later files must find no page that this one has cut off.
        os.ftruncate(self._file, header.commit * header.page_size)

    def check(self, mode: str) -> None:
        """SQLite's own ``quick`` or ``full`` check; raises IntegrityFailed with its first complaint."""
        pragma = {"quick": "quick_check", "full": "integrity_check"}[mode]
        uri, flags = f"file:{_uri(self._temporary)}?immutable=1", apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        try:
            with contextlib.closing(apsw.Connection(uri, flags=flags)) as connection:
                first = connection.execute(f"PRAGMA {pragma}(1)").get
        except apsw.Error as error:
            first = str(error)
        if first != "ok":
            complaint = " ".join(str(first).split())
            raise IntegrityFailed(f"The restored database fails {pragma}: {complaint}", hint="restore an earlier point")

    def commit(self, *, force: bool) -> Header:
        """Put the file in its place, durably; companions of the file that was there go first.

        Raises as ``check_free`` does if something has appeared there meanwhile.
        """
        assert self._header is not None
        with _os_errors(self.path):
            self._like_before()
            os.fsync(self._file)
            check_free(self.path, force=force)
            for suffix in _COMPANIONS:
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
            self._temporary.rename(self.path)
            self._committed = True
            directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        return self._header

    def _like_before(self) -> None:
        """Owner and mode of the file that is replaced; else the lease's, or what the umask leaves of rw-rw-rw-."""
        try:
            there = self.path.stat()
        except FileNotFoundError:
            mask = os.umask(0)
            os.umask(mask)
            mode = 0o666 & ~mask
            if self._lease is not None:
                give_owner(self._file, self._lease, self.path)
                mode = mode if self._lease.mode is None else self._lease.mode
            os.fchmod(self._file, mode)
            return
        os.fchmod(self._file, stat.S_IMODE(there.st_mode))
        with contextlib.suppress(PermissionError):
            os.fchown(self._file, there.st_uid, there.st_gid)


def _resolved(path: Path) -> Path:
    """SQLite follows symbolic links, and keeps the WAL beside the file they lead to: that file is to be replaced."""
    return Path(os.path.realpath(path))


@contextlib.contextmanager
def _os_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = "make room" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else "see to its file system"
        raise RestoreError(f"Cannot write {path}: {error.strerror}", hint=f"{what} and try again") from None


def _create(path: Path) -> int:
    """A new file, locked while it is in use; what a killed restore left there is removed.

    Raises BlockingIOError if another process is using it.
    """
    while True:
        with contextlib.suppress(FileExistsError):
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            if _is_mine(file, path):
                return file
            os.close(file)  # somebody took it for abandoned before it was locked
        with contextlib.suppress(FileNotFoundError):
            file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_mine(file, path):
                    path.unlink()
            finally:
                os.close(file)


def _is_mine(file: int, path: Path) -> bool:
    """Lock the file; whether it still is the one at ``path``, which then nobody else removes or renames."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(file), path.lstat())
    except (BlockingIOError, FileNotFoundError):
        return False


def _uri(path: Path) -> str:
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
