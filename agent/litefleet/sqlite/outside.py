"""Look at a database's WAL without SQLite and without any lock.

Only for a process that has the database not open itself: closing these files would drop its locks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from litefleet.sqlite.files import companion
from litefleet.wal import FRAME_HEADER, INDEX_SIZE, FrameHeader, WalIndex, frame_offset


@dataclass(frozen=True, slots=True)
class WalState:
    """``length`` is the committed part of the WAL in bytes."""

    index: WalIndex | None
    length: int = 0
    problem: str = ""


def wal_state(path: Path) -> WalState:
    """What is committed in the WAL now; blocks for a moment."""
    if not path.exists():
        return WalState(None, problem="database not found")
    try:
        with companion(path, "-shm").open("rb", buffering=0) as file:
            for _ in range(1000):
                file.seek(0)
                index = WalIndex.parse(file.read(INDEX_SIZE))
                if index is not None:
                    return WalState(index, frame_offset(index.frames, index.page_size) if index.frames else 0)
    except FileNotFoundError:
        return WalState(None, problem="nobody has the database open; is the agent running?")
    except OSError as error:
        return WalState(None, problem=f"WAL index cannot be read: {error.strerror}")
    return WalState(None, problem="WAL index is not initialised")


def frame_salts(path: Path, offset: int) -> bytes | None:
    """The salts of the frame at this offset of the database's WAL, None if it ends before; blocks for a moment."""
    try:
        with companion(path, "-wal").open("rb", buffering=0) as file:
            file.seek(offset)
            head = file.read(FRAME_HEADER)
    except OSError:
        return None
    return FrameHeader.parse(head).salts if len(head) == FRAME_HEADER else None
