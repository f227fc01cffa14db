"""The 100 bytes at the start of every LTX file."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from litefleet.errors import LTXError

HEADER_SIZE = 100
MAGIC = b"LTX1"
#: The only flag there is: the file carries no checksum of the whole database. Litestream always sets it.
NO_CHECKSUM = 0x2
TXID_MAX = (1 << 64) - 1
_LAYOUT = struct.Struct(">4sIIIQQqQqqIIQ20s")
#: SQLite locks bytes at 1 GiB; the page that holds them never has content.
_LOCK_OFFSET = 0x40000000


def lock_page(page_size: int) -> int:
    """Number of the page that SQLite never writes; no LTX file holds it."""
    return _LOCK_OFFSET // page_size + 1


def is_page_size(size: int) -> bool:
    """Whether SQLite can have pages of this many bytes."""
    return 512 <= size <= 65536 and size & (size - 1) == 0


@dataclass(frozen=True, slots=True)
class Header:
    """What one LTX file covers; ``timestamp`` is Unix milliseconds, ``commit`` the database size in pages after it."""

    page_size: int
    commit: int
    min_txid: int
    max_txid: int
    timestamp: int
    wal_offset: int = 0
    wal_size: int = 0
    wal_salt1: int = 0
    wal_salt2: int = 0
    node_id: int = 0
    flags: int = NO_CHECKSUM
    pre_apply_checksum: int = 0

    def pack(self) -> bytes:
        """The header as bytes; raises LTXError where a reader would."""
        self.validate()
        return _LAYOUT.pack(
            MAGIC, self.flags, self.page_size, self.commit, self.min_txid, self.max_txid, self.timestamp,
            self.pre_apply_checksum, self.wal_offset, self.wal_size, self.wal_salt1, self.wal_salt2, self.node_id,
            bytes(20),
        )  # fmt: skip

    @classmethod
    def unpack(cls, data: bytes) -> Header:
        """Read the first 100 bytes of ``data``; raises LTXError if they are no valid header."""
        if len(data) < HEADER_SIZE:
            raise LTXError(f"LTX header is {len(data)} bytes long instead of {HEADER_SIZE}")
        magic, flags, page_size, commit, lo, hi, ts, pre, offset, size, salt1, salt2, node, _ = _LAYOUT.unpack_from(
            data
        )
        if magic != MAGIC:
            raise LTXError(f"not an LTX file: it starts with {magic!r}")
        header = cls(page_size, commit, lo, hi, ts, offset, size, salt1, salt2, node, flags, pre)
        header.validate()
        return header

    def validate(self) -> None:
        """Apply the rules that Litestream's reader applies."""
        if self.flags & ~NO_CHECKSUM:
            raise LTXError(f"LTX header has unknown flags {self.flags:#x}")
        if not is_page_size(self.page_size):
            raise LTXError(f"LTX header has an impossible page size of {self.page_size} bytes")
        if not 1 <= self.min_txid <= self.max_txid <= TXID_MAX:
            raise LTXError(f"LTX header has an impossible TXID range {self.min_txid:016x}-{self.max_txid:016x}")
        if self.wal_offset < 0 or self.wal_size < 0:
            raise LTXError(f"LTX header has a negative WAL range {self.wal_offset}+{self.wal_size}")
        if self.wal_offset == 0 and (self.wal_size or self.wal_salt1 or self.wal_salt2):
            raise LTXError("LTX header names a WAL but no offset in it")
        checksummed = not self.flags & NO_CHECKSUM and self.min_txid != 1
        if checksummed and not self.pre_apply_checksum >> 63:
            raise LTXError("LTX header lacks the pre-apply checksum that its flags promise")
        if not checksummed and self.pre_apply_checksum:
            raise LTXError("LTX header has a pre-apply checksum that its flags exclude")

    @property
    def full(self) -> bool:
        """Whether the file must hold every page of the database, as its first TXID is the first of all."""
        return self.min_txid == 1
