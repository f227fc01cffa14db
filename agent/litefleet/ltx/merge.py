"""Join LTX files that follow each other into one, each page in its newest version."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

from litefleet.errors import LTXError
from litefleet.ltx.decode import Decoder
from litefleet.ltx.encode import encode
from litefleet.ltx.header import Header


class Merge:
    """Add files oldest first, then read the joined one. Pages wait in ``spool``, a file open for reading and writing.

    Memory grows with the number of different pages, some tens of bytes each, not with their size.
    """

    def __init__(self, spool: BinaryIO) -> None:
        self._spool = spool
        self._end = 0
        self._newest: dict[int, int] = {}
        self._first: Header | None = None
        self._last: Header | None = None
        self._decoder: Decoder | None = None

    def add(self, name: str, block: bytes, *, last: bool) -> None:
        """Take the next block of the file ``name``; raises LTXError if the file is damaged or does not follow."""
        if self._decoder is None:
            self._decoder = Decoder(name)
        for number, page in self._decoder.stream(block):
            self._spool.write(page)
            self._newest[number] = self._end
            self._end += len(page)
        if last:
            header, self._decoder = self._decoder.close(), None
            if self._last is None:
                self._first = header
            else:
                check_follows(name, self._last, header)
            self._last = header

    def header(self) -> Header:
        """Header of the joined file: the range of all, everything else as in the newest, no WAL."""
        if self._first is None or self._last is None or self._decoder is not None:
            raise LTXError("There is no LTX file to join, or the last one is not complete")
        last = self._last
        return Header(last.page_size, last.commit, self._first.min_txid, last.max_txid, last.timestamp)

    def blocks(self) -> Iterator[bytes]:
        """Yield the joined file; pages beyond the final size of the database are left out."""
        header = self.header()
        self._spool.flush()
        spool, size = self._spool.fileno(), header.page_size
        pages = sorted(number for number in self._newest if number <= header.commit)
        return encode(header, ((number, os.pread(spool, size, self._newest[number])) for number in pages))


def check_follows(name: str, before: Header, header: Header) -> None:
    """Raise LTXError unless the file goes on where the one before ended, or overlaps its end."""
    if header.page_size != before.page_size:
        raise misfit(name, f"pages of {header.page_size} bytes follow pages of {before.page_size}")
    if not header.min_txid <= before.max_txid + 1 <= header.max_txid:
        raise misfit(name, f"its header does not follow TXID {before.max_txid:016x}")


def misfit(name: str, what: str) -> LTXError:
    """The error for a file that is whole, but does not belong where it was found."""
    return LTXError(f"{name}: {what}", hint="another database may write to this bucket: restore an earlier point")
