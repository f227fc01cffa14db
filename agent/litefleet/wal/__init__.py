"""SQLite's write-ahead log and its index, read from bytes. Pure; see SQLite's "WAL-mode File Format"."""

from __future__ import annotations

from litefleet.wal.frames import FRAME_HEADER, WAL_HEADER, FrameHeader, frame_offset, scan
from litefleet.wal.index import INDEX_SIZE, WalIndex

__all__ = ["FRAME_HEADER", "INDEX_SIZE", "WAL_HEADER", "FrameHeader", "WalIndex", "frame_offset", "scan"]
