"""The header of the WAL index (the ``-shm`` file): how far the WAL is committed.

SQLite proves each frame once, when it recovers a WAL, and from then on trusts this header. So do we: it makes "is there
anything new" a read of 136 bytes.
"""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass

from litefleet.errors import WALError

INDEX_SIZE = 136
_VERSION = 3007000
_HEADER_SIZE = 48
_HEADER = struct.Struct("=IIIBBHII8s8s8s")
_U32 = struct.Struct("=I")
_WORDS = struct.Struct("=10I")
#: The checksum of a frame is in native order here, but big-endian in the WAL.
_NATIVE_PAIR, _WAL_PAIR = struct.Struct("=II"), struct.Struct(">II")


@dataclass(frozen=True, slots=True)
class WalIndex:
    """State of one WAL; ``frames`` counts the committed ones, ``salts`` are the eight bytes as in the WAL's header."""

    page_size: int
    frames: int
    #: Size of the database in pages after the last committed frame.
    pages: int
    salts: bytes
    #: The cumulative checksum of the last committed frame, as in its header; proves everything before it.
    checksum: bytes
    #: Frames that a checkpoint has already copied into the database file.
    backfilled: int
    #: Transactions since the WAL was recovered, modulo 2**32.
    changes: int = 0

    @property
    def uncopied(self) -> int:
        """Frames that a checkpoint has still to copy into the database file.

        SQLite resets the two numbers of a WAL that begins anew one after the other.
        """
        return max(0, self.frames - self.backfilled)

    @classmethod
    def parse(cls, data: bytes) -> WalIndex | None:
        """Read the first 136 bytes; None while SQLite is writing them. Raises WALError for what it never writes."""
        if len(data) < INDEX_SIZE:
            return None
        first, second = data[:_HEADER_SIZE], data[_HEADER_SIZE : 2 * _HEADER_SIZE]
        if first != second or _checksum(first) != first[40:48]:
            return None
        version, _, changes, initialised, _, size, frames, pages, checksum, salts, _ = _HEADER.unpack(first)
        if not initialised:
            return None
        if version != _VERSION:
            raise WALError(f"WAL index has version {version}, but only {_VERSION} is known")
        page_size = 65536 if size == 1 else size
        # An index of a WAL without frames, as recovery leaves it, may not know the size.
        if (frames or page_size) and (page_size < 512 or page_size & (page_size - 1)):
            raise WALError(f"WAL index has an impossible page size of {page_size} bytes")
        (backfilled,) = _U32.unpack_from(data, 2 * _HEADER_SIZE)
        return cls(
            page_size=page_size,
            frames=frames,
            pages=pages,
            salts=salts,
            checksum=_WAL_PAIR.pack(*_NATIVE_PAIR.unpack(checksum)),
            backfilled=backfilled,
            changes=changes,
        )


def _checksum(header: bytes) -> bytes:
    s0 = s1 = 0
    words = _WORDS.unpack_from(header)
    for i in range(0, 10, 2):
        s0 = (s0 + words[i] + s1) & 0xFFFFFFFF
        s1 = (s1 + words[i + 1] + s0) & 0xFFFFFFFF
    return s0.to_bytes(4, sys.byteorder) + s1.to_bytes(4, sys.byteorder)
