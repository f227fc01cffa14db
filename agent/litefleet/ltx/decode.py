"""Read an LTX file from blocks of any length, without ever holding more of it than a block and a page."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

import lz4.block
import lz4.frame
from fastcrc import crc64

from litefleet.errors import LTXError
from litefleet.ltx.header import HEADER_SIZE, Header, lock_page
from litefleet.ltx.wire import CHECKSUM_FLAG, END_OF_PAGES, PAGE_HEADER, TRAILER_SIZE, U64, index_bytes

#: Bytes that ``stream`` decodes at once: 8 MiB of pages at most.
_STEP = 32 * 1024


class Decoder:
    """Feed it blocks, take pages out; ``close`` proves that the file was whole.

    Pages come out before the checksum at the end of the file is known, so nothing made of them may be used before
    ``close`` returned.
    """

    def __init__(self, name: str) -> None:
        """``name`` is the file's name in error messages."""
        self.name = name
        self.header: Header | None = None
        self._rest = b""
        self._crc = 0
        self._numbers, self._lengths = array("L"), array("L")
        self._last = 0
        self._index = b""
        self._tail: bytearray | None = None

    def feed(self, block: bytes) -> list[tuple[int, bytes]]:
        """The pages that ``block`` completes, as (number, content)."""
        if self._tail is not None:
            self._take_tail(block)
            return []
        data = self._rest + block if self._rest else block
        at = 0
        if self.header is None:
            if len(data) < HEADER_SIZE:
                self._rest = data
                return []
            self.header = self._guard(data)
            self._crc = crc64.go_iso(data[:HEADER_SIZE])
            at = HEADER_SIZE
        pages, at = self._pages(data, at)
        if self._tail is None:
            self._rest = data[at:]
        else:
            self._rest = b""
            self._index = index_bytes(self._numbers, self._lengths, HEADER_SIZE)
            self._take_tail(data[at:])
        return pages

    def stream(self, block: bytes) -> Iterator[tuple[int, bytes]]:
        """As ``feed``, but a few pages at a time: those of a block can be 255 times as long as the block."""
        for at in range(0, len(block), _STEP):
            yield from self.feed(block[at : at + _STEP])

    def close(self) -> Header:
        """Check index, length and checksum; raises LTXError if anything is missing, left over or wrong."""
        if self.header is None or self._tail is None:
            raise self._error(f"it ends after {len(self._numbers)} pages, in the middle")
        tail = bytes(self._tail)
        if len(tail) != self._tail_size:
            raise self._error(f"its index and trailer take {len(tail)} bytes instead of {self._tail_size}")
        if not tail.startswith(self._index):
            raise self._error("its page index does not match its pages")
        crc = crc64.go_iso(tail[:-8], crc64.go_iso(END_OF_PAGES, self._crc)) | CHECKSUM_FLAG
        if U64.unpack(tail[-8:])[0] != crc:
            raise self._error("its checksum does not match its content")
        self._check_complete(self.header)
        return self.header

    @property
    def _tail_size(self) -> int:
        return len(self._index) + TRAILER_SIZE

    def _take_tail(self, block: bytes) -> None:
        """Keep no more of a file without an end than a file with one would have."""
        assert self._tail is not None
        size = len(self._tail) + len(block)
        if size > self._tail_size:
            raise self._error(f"its index and trailer take {size} bytes or more instead of {self._tail_size}")
        self._tail += block

    def _guard(self, data: bytes) -> Header:
        try:
            return Header.unpack(data)
        except LTXError as error:
            raise self._error(error.message) from None

    def _pages(self, data: bytes, at: int) -> tuple[list[tuple[int, bytes]], int]:
        assert self.header is not None
        size = self.header.page_size
        decompress, go_iso, unpack = lz4.block.decompress, crc64.go_iso, PAGE_HEADER.unpack_from
        out: list[tuple[int, bytes]] = []
        crc, last, end = self._crc, self._last, len(data)
        while end - at >= 6:
            if data[at : at + 6] == END_OF_PAGES:
                self._tail = bytearray()
                at += 6
                break
            if end - at < PAGE_HEADER.size:
                break
            number, flags, length = unpack(data, at)
            if flags == 0:
                legacy = self._legacy_page(data, at)
                if legacy is None:
                    break
                page, stop = legacy
                crc = go_iso(data[at : at + 6], crc)
            elif flags != 1:
                raise self._error(f"page {number} has unknown flags {flags:#x}")
            elif length > size + size // 255 + 16:
                raise self._error(f"page {number} claims to be {length} bytes long when compressed")
            else:
                body = at + PAGE_HEADER.size
                stop = body + length
                if stop > end:
                    break
                try:
                    page = decompress(data[body:stop], uncompressed_size=size)
                except lz4.block.LZ4BlockError:
                    raise self._error(f"page {number} does not decompress") from None
                crc = go_iso(data[at:body], crc)
            if len(page) != size:
                raise self._error(f"page {number} is {len(page)} bytes long instead of {size}")
            if not last < number <= self.header.commit or number == lock_page(size):
                raise self._error(f"page {number} after page {last} is out of place")
            last = number
            crc = go_iso(page, crc)
            self._numbers.append(number)
            self._lengths.append(stop - at)
            out.append((number, page))
            at = stop
        self._crc, self._last = crc, last
        return out, at

    def _legacy_page(self, data: bytes, at: int) -> tuple[bytes, int] | None:
        """A page stored as an LZ4 frame of its own, as older writers did: no length says where it ends.

        A frame can hold 255 times its own size, so neither more than a page is taken out, nor more looked at than a
        page can take.
        """
        assert self.header is not None
        size = self.header.page_size
        body = data[at + 6 : at + 6 + 4 * size + 64]
        machine = lz4.frame.LZ4FrameDecompressor()
        try:
            page = machine.decompress(body, max_length=size + 1)
        except RuntimeError:
            raise self._error("a page in the older encoding does not decompress") from None
        if machine.eof:
            return page, at + 6 + len(body) - len(machine.unused_data or b"")
        if len(page) > size:
            raise self._error(f"a page in the older encoding is longer than {size} bytes")
        if len(body) == 4 * size + 64:
            raise self._error("a page in the older encoding does not end")
        return None

    def _check_complete(self, header: Header) -> None:
        if not header.full:
            return
        locked = lock_page(header.page_size)
        expected = header.commit - (1 if header.commit >= locked else 0)
        if len(self._numbers) != expected:
            raise self._error(f"it starts at TXID 1 but holds {len(self._numbers)} of {expected} pages")

    def _error(self, what: str) -> LTXError:
        return LTXError(f"{self.name}: {what}", hint="restore an earlier point, or take a new snapshot")
