"""Write an LTX file as a stream of byte blocks."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator

import lz4.block
from fastcrc import crc64

from litefleet.errors import LTXError
from litefleet.ltx.header import HEADER_SIZE, Header, lock_page
from litefleet.ltx.wire import CHECKSUM_FLAG, END_OF_PAGES, PAGE_HEADER, SIZED_BLOCK, U64, index_bytes

#: Blocks are at least this long, except the last.
BLOCK_SIZE = 1 << 20


def encode(header: Header, pages: Iterable[tuple[int, bytes]]) -> Iterator[bytes]:
    """Yield the file for ``pages``, given in ascending order without the lock page.

    Raises LTXError for pages that a reader would refuse, when it meets them.
    """
    compress, go_iso, pack = lz4.block.compress, crc64.go_iso, PAGE_HEADER.pack
    head = header.pack()
    size, commit, locked = header.page_size, header.commit, lock_page(header.page_size)
    numbers, lengths = array("L"), array("L")
    crc = go_iso(head)
    block = bytearray(head)
    last = 0
    for number, page in pages:
        if not last < number <= commit or number == locked or len(page) != size:
            raise LTXError(_refusal(header, last, number, len(page)))
        if header.full and number != last + 1 and not (last + 1 == locked and number == last + 2):
            raise LTXError(f"LTX file from TXID 1 on must hold every page: {last + 1} is missing before {number}")
        last = number
        packed = compress(page, store_size=False)
        frame = pack(number, SIZED_BLOCK, len(packed))
        crc = go_iso(page, go_iso(frame, crc))
        block += frame
        block += packed
        numbers.append(number)
        lengths.append(len(frame) + len(packed))
        if len(block) >= BLOCK_SIZE:
            yield bytes(block)
            block.clear()
    if header.full and last < commit and not (last + 1 == commit == locked):
        raise LTXError(f"LTX file from TXID 1 on must hold every page: it ends at {last} of {commit}")
    index = index_bytes(numbers, lengths, HEADER_SIZE)
    tail = END_OF_PAGES + index + U64.pack(0)
    crc = go_iso(tail, crc)
    block += tail
    block += U64.pack(crc | CHECKSUM_FLAG)
    yield bytes(block)


def _refusal(header: Header, last: int, number: int, length: int) -> str:
    where = f"LTX file {header.min_txid:016x}-{header.max_txid:016x}"
    if length != header.page_size:
        return f"{where}: page {number} is {length} bytes long instead of {header.page_size}"
    if number == lock_page(header.page_size):
        return f"{where}: page {number} is SQLite's lock page and cannot be stored"
    if number > header.commit:
        return f"{where}: page {number} lies beyond the database's {header.commit} pages"
    return f"{where}: page {number} follows page {last}, but pages must ascend"
