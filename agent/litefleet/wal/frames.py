"""Frames of the WAL: where they are, and which page versions a range of them commits."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from litefleet.errors import WALError

WAL_HEADER = 32
FRAME_HEADER = 24
_FRAME = struct.Struct(">II8s8s")
#: Frames looked at in one read.
_BATCH_BYTES = 4 << 20


def frame_offset(index: int, page_size: int) -> int:
    """Byte offset in the WAL of the frame with this index, counted from 0."""
    return WAL_HEADER + index * (FRAME_HEADER + page_size)


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """One frame; ``commit`` is the database size in pages if the frame ends a transaction, else 0."""

    page: int
    commit: int
    salts: bytes
    checksum: bytes

    @classmethod
    def parse(cls, data: bytes) -> FrameHeader:
        """Read the 24 bytes before a page; raises WALError if there are fewer."""
        if len(data) < FRAME_HEADER:
            raise WALError(f"WAL ends within a frame header: {len(data)} bytes instead of {FRAME_HEADER}")
        return cls(*_FRAME.unpack_from(data))


@dataclass(frozen=True, slots=True)
class Scan:
    """The committed frames of a range: the newest frame of each page, and the database after the last of them."""

    newest: dict[int, int]
    end: int
    commit: int
    checksum: bytes
    #: Transactions in the range.
    commits: int = 0


def scan(
    read: Callable[[int, int], bytes], page_size: int, salts: bytes, *, start: int, stop: int, max_bytes: int = 0
) -> Scan:
    """Walk frames ``start`` to ``stop`` (exclusive, a commit boundary) and map each page to its newest frame.

    ``read(length, offset)`` reads the WAL. With ``max_bytes`` the walk ends at the first commit past so many bytes.
    Pages beyond the final size of the database are left out. Raises WALError if a frame is not of this WAL.
    """
    step = FRAME_HEADER + page_size
    batch = max(1, _BATCH_BYTES // step)
    newest: dict[int, int] = {}
    open_pages: dict[int, int] = {}
    end, commit, checksum, commits = start, 0, b"", 0
    unpack = _FRAME.unpack_from
    index = start
    while index < stop:
        count = min(batch, stop - index)
        data = read(count * step, frame_offset(index, page_size))
        if len(data) < count * step:
            raise WALError(f"WAL ends within frame {index + len(data) // step} of {stop}")
        for at in range(0, count * step, step):
            page, size, frame_salts, frame_checksum = unpack(data, at)
            if frame_salts != salts:
                raise WALError(f"WAL frame {index} belongs to another WAL")
            if not page:
                raise WALError(f"WAL frame {index} holds page 0, which no database has")
            open_pages[page] = index
            index += 1
            if size:
                newest.update(open_pages)
                open_pages.clear()
                end, commit, checksum, commits = index, size, frame_checksum, commits + 1
                if max_bytes and (end - start) * step >= max_bytes:
                    return _finish(newest, end, commit, checksum, commits)
    if open_pages:
        raise WALError(f"WAL frame {stop - 1} should end a transaction, but does not")
    return _finish(newest, end, commit, checksum, commits)


def _finish(newest: dict[int, int], end: int, commit: int, checksum: bytes, commits: int) -> Scan:
    return Scan({page: frame for page, frame in newest.items() if page <= commit}, end, commit, checksum, commits)
