"""The file being restored: beside its place until it is complete and checked, then renamed into it."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Self

import apsw

from litefleet.errors import IntegrityFailed, LTXError, OutputExists, RestoreError
from litefleet.ltx import Decoder, Header

_COMPANIONS = ("-wal", "-shm", "-journal")


def check_free(path: Path, *, force: bool) -> None:
    """Raise OutputExists if anything would be overwritten; a file without content is nothing."""
    if force:
        return
    if path.exists() and path.stat().st_size:
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

    def __init__(self, path: Path) -> None:
        self.path = path
        self._temporary = path.with_name(f".{path.name}.restoring-{os.getpid()}")
        self._file = -1
        self._decoder: Decoder | None = None
        self._header: Header | None = None

    def __enter__(self) -> Self:
        try:
            self._file = os.open(self._temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            raise RestoreError(f"Directory not found: {self.path.parent}", hint="create it first") from None
        except OSError as error:
            raise RestoreError(f"Cannot write to {self.path.parent}: {error.strerror}") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        with contextlib.suppress(FileNotFoundError):
            self._temporary.unlink()

    def apply(self, name: str, block: bytes, *, last: bool) -> None:
        """Write the pages of the next block of the LTX file ``name``; raises LTXError, RestoreError."""
        if self._decoder is None:
            self._decoder = Decoder(name)
        decoder = self._decoder
        try:
            for number, page in decoder.feed(block):
                os.pwrite(self._file, page, (number - 1) * len(page))
        except OSError as error:
            raise RestoreError(
                f"Cannot write {self._temporary}: {error.strerror}", hint="make room and try again"
            ) from None
        if last:
            self._accept(decoder.close(), name)
            self._decoder = None

    def _accept(self, header: Header, name: str) -> None:
        before = self._header
        if before is None and not header.full:
            raise LTXError(f"{name}: it should hold every page, but starts at TXID {header.min_txid:016x}")
        if before is not None:
            if header.page_size != before.page_size:
                raise LTXError(f"{name}: pages of {header.page_size} bytes follow pages of {before.page_size}")
            if not header.min_txid <= before.max_txid + 1 <= header.max_txid:
                raise LTXError(f"{name}: its header does not follow TXID {before.max_txid:016x}")
        self._header = header
        # Later files must find no page that this one has cut off.
        os.ftruncate(self._file, header.commit * header.page_size)

    def check(self, mode: str) -> None:
        """SQLite's own ``quick`` or ``full`` check; raises IntegrityFailed with its first complaint."""
        pragma = {"quick": "quick_check", "full": "integrity_check"}[mode]
        connection = apsw.Connection(
            f"file:{_uri(self._temporary)}?immutable=1", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        )
        try:
            first = connection.execute(f"PRAGMA {pragma}(1)").get
        except apsw.Error as error:
            first = str(error)
        finally:
            connection.close(True)
        if first != "ok":
            raise IntegrityFailed(f"The restored database fails {pragma}: {first}", hint="restore an earlier point")

    def commit(self) -> Header:
        """Put the file in its place, durably; companions of the file that was there go first."""
        assert self._header is not None
        self._like_before()
        os.fsync(self._file)
        for suffix in _COMPANIONS:
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        self._temporary.rename(self.path)
        directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        return self._header

    def _like_before(self) -> None:
        """Owner and mode of the file that is replaced; else what the umask leaves of rw-rw-rw-."""
        try:
            there = self.path.stat()
        except FileNotFoundError:
            mask = os.umask(0)
            os.umask(mask)
            os.fchmod(self._file, 0o666 & ~mask)
            return
        os.fchmod(self._file, stat.S_IMODE(there.st_mode))
        with contextlib.suppress(PermissionError):
            os.fchown(self._file, there.st_uid, there.st_gid)


def _uri(path: Path) -> str:
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
