"""How far a database has been captured, and how a restarted agent finds that point in the WAL again."""

from __future__ import annotations

from dataclasses import dataclass

from litefleet.errors import WALError
from litefleet.ltx import Header
from litefleet.sqlite import LiveDatabase
from litefleet.wal import FRAME_HEADER, WAL_HEADER, FrameHeader, WalIndex, frame_offset


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
    if index.salts != salts or index.frames < frames:
        return None
    try:
        frame = FrameHeader.parse(database.files.read_wal(FRAME_HEADER, frame_offset(frames - 1, database.page_size)))
    except WALError:
        return None
    if frame.salts != salts or frame.checksum != checksum or not frame.commit:
        return None
    return Cursor(header.max_txid, salts, frames, checksum, header.commit)


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
