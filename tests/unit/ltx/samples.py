"""LTX files for the tests: strategies for what the encoder takes, and a writer that can also write what it refuses."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable, Sequence
from dataclasses import replace

import lz4.block
import lz4.frame
from hypothesis import strategies as st

from litefleet.ltx import Decoder, Header, encode

Pages = list[tuple[int, bytes]]

PAGE_SIZES = [512 << shift for shift in range(8)]
#: Byte 2^30 lies in this page; its number is the first field of the table in SQLite's documentation of the lock.
LOCK_PAGE = {size: (1 << 30) // size + 1 for size in PAGE_SIZES}

LAYOUT = struct.Struct(">4sIIIQQqQqqIIQ20s")


def page_of(size: int, seed: int) -> bytes:
    """A page's content: noise, zeros or text, so that LZ4 makes it longer, tiny, or something between."""
    generator = random.Random(seed)
    kind = seed % 3
    if kind == 0:
        return generator.randbytes(size)
    if kind == 1:
        return bytes(size)
    return (b"page %d " % seed * size)[:size]


@st.composite
def headers(draw: st.DrawFn, *, full: bool | None = None) -> Header:
    """Headers that a reader accepts, of any shape."""
    if full is None:
        full = draw(st.booleans())
    lo = 1 if full else draw(st.integers(2, (1 << 64) - 1))
    hi = draw(st.integers(lo, (1 << 64) - 1))
    offset = draw(st.sampled_from([0, 32, 32 + 24 + 512, (1 << 63) - 1]))
    u32 = st.integers(0, (1 << 32) - 1)
    return Header(
        page_size=draw(st.sampled_from(PAGE_SIZES)),
        commit=draw(st.integers(0, 6) if full else u32),
        min_txid=lo,
        max_txid=hi,
        timestamp=draw(st.integers(-(1 << 63), (1 << 63) - 1)),
        wal_offset=offset,
        wal_size=draw(st.integers(0, (1 << 63) - 1)) if offset else 0,
        wal_salt1=draw(u32) if offset else 0,
        wal_salt2=draw(u32) if offset else 0,
        node_id=draw(st.integers(0, (1 << 64) - 1)),
    )


@st.composite
def files(draw: st.DrawFn) -> tuple[Header, Pages]:
    """A header and the pages that may follow it: all of them, or any few, often around the lock page."""
    header = draw(headers())
    size, locked = header.page_size, LOCK_PAGE[header.page_size]
    if header.full:
        numbers = set(range(1, header.commit + 1))
    elif header.commit:
        near = [n for n in (1, locked - 1, locked + 1, header.commit) if n <= header.commit]
        numbers = draw(st.sets(st.integers(1, header.commit) | st.sampled_from(near), max_size=6)) - {locked}
    else:
        numbers = set()
    return header, [(number, page_of(size, draw(st.integers(0, 1 << 16)))) for number in sorted(numbers)]


def encoded(header: Header, pages: Iterable[tuple[int, bytes]]) -> bytes:
    """The whole file."""
    return b"".join(encode(header, pages))


def decoded(blocks: Iterable[bytes], name: str = "test.ltx") -> tuple[Header, Pages]:
    """Everything in a file; raises LTXError if it is not whole."""
    decoder = Decoder(name)
    pages: Pages = []
    for block in blocks:
        pages += decoder.feed(block)
    return decoder.close(), pages


def leb128(value: int) -> bytes:
    """Unsigned LEB128, straight from its definition."""
    groups = [value >> shift & 0x7F for shift in range(0, max(1, value.bit_length()), 7)]
    return bytes([group | 0x80 for group in groups[:-1]] + [groups[-1]])


def _table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xD800000000000000 if crc & 1 else 0)
        table.append(crc)
    return table


_CRC = _table()


def crc64(*parts: bytes) -> int:
    """CRC-64 with Go's ISO polynomial, byte by byte."""
    crc = (1 << 64) - 1
    for part in parts:
        for byte in part:
            crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return crc ^ (1 << 64) - 1


def packed(page: bytes) -> bytes:
    """One page as an LZ4 block."""
    return bytes(lz4.block.compress(page, store_size=False))


def frame(number: int, page: bytes, *, flags: int = 1) -> tuple[bytes, bytes, bytes]:
    """A page frame as header, stored bytes and hashed bytes."""
    body = packed(page)
    return struct.pack(">IHI", number, flags, len(body)), body, page


def old_frame(number: int, page: bytes, **options: int | bool) -> tuple[bytes, bytes, bytes]:
    """A page as older writers stored it: an LZ4 frame without a length before it."""
    return struct.pack(">IH", number, 0), lz4.frame.compress(page, content_checksum=True, **options), page


def handmade(header: bytes, frames: Sequence[tuple[bytes, bytes, bytes]], *, index: bytes | None = None) -> bytes:
    """A file with a right checksum around anything, right or wrong."""
    out = bytearray(header)
    hashed = [header]
    entries = b""
    for head, body, page in frames:
        number = int.from_bytes(head[:4], "big")
        entries += leb128(number) + leb128(len(out)) + leb128(len(head) + len(body))
        out += head + body
        hashed += [head, page]
    entries = entries + b"\0" if index is None else index
    tail = bytes(6) + entries + len(entries).to_bytes(8, "big") + bytes(8)
    return bytes(out) + tail + (crc64(*hashed, tail) | 1 << 63).to_bytes(8, "big")


def small(*, full: bool = True) -> tuple[Header, Pages]:
    """A file of three pages, less than 1 KiB."""
    first = 1 if full else 7
    header = Header(page_size=512, commit=3, min_txid=first, max_txid=9, timestamp=1_790_000_000_123, wal_offset=32)
    header = replace(header, wal_size=1608, wal_salt1=0x01020304, wal_salt2=0xA0B0C0D0)
    return header, [(1, page_of(512, 2)), (2, page_of(512, 1)), (3, page_of(512, 5))]
