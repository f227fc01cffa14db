"""Pieces of the LTX encoding that reader and writer share."""

from __future__ import annotations

import struct
from collections.abc import Sequence

#: Page number, flags, length of the compressed page.
PAGE_HEADER = struct.Struct(">IHI")
#: The page header's flag: a length follows, and the page is one raw LZ4 block.
SIZED_BLOCK = 1
#: A page header without number and flags ends the pages.
END_OF_PAGES = bytes(6)
U64 = struct.Struct(">Q")
#: Every checksum in LTX has its highest bit set, so that 0 can mean "none".
CHECKSUM_FLAG = 1 << 63
TRAILER_SIZE = 16


def varint(value: int) -> bytes:
    """Unsigned LEB128."""
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def index_bytes(numbers: Sequence[int], lengths: Sequence[int], first_offset: int) -> bytes:
    """The page index: number, offset and length of each page frame, a zero, and its own length."""
    out = bytearray()
    offset = first_offset
    for number, length in zip(numbers, lengths, strict=True):
        out += varint(number)
        out += varint(offset)
        out += varint(length)
        offset += length
    out.append(0)
    return bytes(out) + U64.pack(len(out))
