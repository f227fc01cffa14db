"""How far a database has been captured, and how a restarted agent finds that point in the WAL again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from litefleet.errors import WALError
from litefleet.ltx import Header
from litefleet.sqlite import LiveDatabase
from litefleet.sqlite.files import companion
from litefleet.wal import FRAME_HEADER, WAL_HEADER, FrameHeader, WalIndex, frame_offset, scan


@dataclass(frozen=True, slots=True)
class Cursor:
    """Everything up to frame ``frames`` (exclusive) of the WAL with these salts is in TXID ``txid`` or before."""

    txid: int
    salts: bytes
    frames: int
    #: The cumulative checksum of the last captured frame; empty where it is not known.
    checksum: bytes
    #: Size of the database in pages.
    pages: int


@dataclass(frozen=True, slots=True)
class Released:
    """A database whose files were let go, with everything in them captured."""

    cursor: Cursor
    #: The WAL index's count of transactions then.
    changes: int
    #: Identity, size and times of the database file; None if it was written to only just then.
    stamp: tuple[int, ...] | None
    #: What ``traces`` saw then.
    traces: tuple[tuple[int, ...] | None, ...] = ()


def traces(path: Path) -> tuple[tuple[int, ...] | None, ...]:
    """What every write to a database changes, in its file or in its WAL, seen from outside; blocks for a moment."""
    found: list[tuple[int, ...] | None] = []
    for file in (path, companion(path, "-wal")):
        try:
            there = file.stat()
            found.append((there.st_ino, there.st_size, there.st_mtime_ns, there.st_ctime_ns))
        except OSError:
            found.append(None)
    return tuple(found)


def reopen(database: LiveDatabase, released: Released) -> Cursor | None:
    """The cursor to go on from in a database that is open again, None if nothing proves one.

    Nobody held the WAL meanwhile, so it may have been copied, restarted or removed.
    """
    cursor, index = released.cursor, database.index()
    if index.salts == cursor.salts and cursor.frames:
        return cursor if _ends_there(database, cursor.frames, cursor.salts, cursor.checksum, index) else None
    # A frame leaves the WAL only by a checkpoint, which writes to the database file: if nobody has, what is in the WAL
    # now is all there is.
    if released.stamp is not None and database.files.stamp() == released.stamp:
        if index.salts == cursor.salts:
            return cursor
        return Cursor(cursor.txid, index.salts, 0, b"", cursor.pages)
    if _next_salts(cursor.salts, index.salts) and index.frames:
        try:
            found = scan(database.files.read_wal, database.page_size, index.salts, start=0, stop=index.frames)
        except WALError:
            return None
        # One restart, and every transaction since is in the WAL that it began.
        if found.commits == (index.changes - released.changes) % (1 << 32):
            return Cursor(cursor.txid, index.salts, 0, b"", cursor.pages)
    return None


def _next_salts(before: bytes, after: bytes) -> bool:
    """Whether SQLite restarted the WAL exactly once: it adds one to the first salt, and draws the second."""
    return (int.from_bytes(before[:4], "big") + 1) % (1 << 32) == int.from_bytes(after[:4], "big")


def resume(database: LiveDatabase, header: Header, checksum: bytes) -> Cursor | None:
    """The cursor after the level 0 file with this header, if the WAL provably goes on from there.

    Proof is the cumulative checksum of the last captured frame: it depends on every byte before it. Without it (a file
    that Litestream wrote, an empty WAL, another database) there is none, and a full copy has to be taken.
    """
    step = FRAME_HEADER + database.page_size
    frames, rest = divmod(header.wal_size + header.wal_offset - WAL_HEADER, step)
    salts = header.wal_salt1.to_bytes(4, "big") + header.wal_salt2.to_bytes(4, "big")
    index = database.index()
    if rest or frames < 1 or not checksum or header.page_size != database.page_size:
        return None
    if not _ends_there(database, frames, salts, checksum, index):
        return None
    return Cursor(header.max_txid, salts, frames, checksum, header.commit)


def _ends_there(database: LiveDatabase, frames: int, salts: bytes, checksum: bytes, index: WalIndex) -> bool:
    """Whether frame ``frames`` - 1 of the WAL ends a transaction with this cumulative checksum."""
    if index.salts != salts or index.frames < frames:
        return False
    try:
        frame = FrameHeader.parse(database.files.read_wal(FRAME_HEADER, frame_offset(frames - 1, database.page_size)))
    except WALError:
        return False
    return frame.salts == salts and frame.checksum == checksum and frame.commit > 0


def continues(database: LiveDatabase, cursor: Cursor, index: WalIndex) -> tuple[int, str]:
    """Frame to go on from in the WAL of ``index``, and why it cannot be (empty if it can).

    A WAL is restarted only when all of it was copied into the database file, and nothing beyond the pin can be. So if
    everything up to the pin was captured, a restart lost nothing. A second restart under the same pin cannot be.
    """
    if index.salts == cursor.salts:
        return cursor.frames, "the WAL became shorter" if index.frames < cursor.frames else ""
    pin = database.pin
    if pin.salts == cursor.salts and pin.frames <= cursor.frames:
        return 0, ""
    return 0, "the WAL was restarted before all of it was captured"
