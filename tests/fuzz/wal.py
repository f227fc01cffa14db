"""The WAL and its index."""

from __future__ import annotations

import struct

from litefleet.errors import WALError
from litefleet.ltx.header import is_page_size
from litefleet.wal import FRAME_HEADER, WAL_HEADER, FrameHeader, WalIndex, frame_offset, scan
from litefleet.wal.index import _checksum
from tests.fuzz.target import Cut

PAGE_SIZES = (512, 1024, 512, 4096)


def frames(data: bytes) -> None:
    """A range of a WAL: every frame that is taken is one of the range, and the newest of its page."""
    cut = Cut(data)
    size = PAGE_SIZES[cut.byte() % len(PAGE_SIZES)]
    start, stop, limit = cut.byte() % 8, cut.number(2), cut.number(2)
    wal = cut.rest
    salts = wal[16:24]
    try:
        found = scan(lambda length, at: wal[at : at + length], size, salts, start=start, stop=stop, max_bytes=limit)
    except WALError:
        return
    assert start <= found.end <= max(start, stop)
    for page, index in found.newest.items():
        head = frame_header(wal, index, size)
        assert start <= index < found.end
        assert 1 <= head.page == page <= found.commit
        assert head.salts == salts
        assert all(frame_header(wal, after, size).page != page for after in range(index + 1, found.end))
    if found.end > start:
        last = frame_header(wal, found.end - 1, size)
        assert (last.commit, last.checksum) == (found.commit, found.checksum)


def frame_header(wal: bytes, index: int, size: int) -> FrameHeader:
    """The header of one frame."""
    at = frame_offset(index, size)
    return FrameHeader.parse(wal[at : at + FRAME_HEADER])


def index(data: bytes) -> None:
    """The WAL index: torn, refused, or one that SQLite could mean."""
    cut = Cut(data)
    repair = cut.byte() % 2
    content = cut.rest
    if repair and len(content) >= 40:
        head = content[:40] + _checksum(content[:40])
        content = head + head + content[96:]
    try:
        found = WalIndex.parse(content)
    except WALError:
        return
    if found is not None:
        assert is_page_size(found.page_size) or (found.frames, found.page_size) == (0, 0)
        assert found.uncopied >= 0
        assert len(found.salts) == len(found.checksum) == 8


def frame(data: bytes) -> None:
    """One frame's header."""
    try:
        found = FrameHeader.parse(data)
    except WALError:
        assert len(data) < FRAME_HEADER
        return
    assert struct.pack(">II", found.page, found.commit) + found.salts + found.checksum == data[:FRAME_HEADER]
    assert frame_offset(found.page, 512) >= WAL_HEADER
