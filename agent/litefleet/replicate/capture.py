"""Turn what a database has committed into LTX files."""

from __future__ import annotations

import contextlib
import time
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from litefleet.bucket.names import (
    FULL_HEADER,
    IMAGE_HEADER,
    SNAPSHOT_LEVEL,
    TIMESTAMP_HEADER,
    WAL_HEADER,
    format_timestamp,
    object_name,
)
from litefleet.errors import DatabaseError
from litefleet.ltx import Header, ImageChecksum, encode, image_checksum, lock_page
from litefleet.replicate.cursor import Cursor, continues
from litefleet.sqlite import LiveDatabase
from litefleet.wal import FRAME_HEADER, FrameHeader, WalIndex, frame_offset, scan

#: Bytes of the database file read at once for a full copy.
_MAIN_WINDOW = 1 << 20
#: Databases up to this many bytes are compared by checksum before they are copied anew.
_IMAGE_LIMIT = 2 << 30


class Discontinuity(Exception):
    """The WAL does not go on from the cursor: only a full copy does."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One LTX file on its way; ``blocks`` can be called only until ``release`` is."""

    level: int
    header: Header
    #: Where the database stands once this file is acknowledged.
    cursor: Cursor
    blocks: Callable[[], Iterator[bytes]]
    #: Whether it holds all that was committed when it was captured.
    complete: bool = False
    #: Whether it holds every page.
    whole: bool = False
    #: Object headers that only the content tells.
    findings: dict[str, str] = field(default_factory=dict)
    _hold: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def name(self) -> str:
        """The object's name."""
        return object_name(self.level, self.header.min_txid, self.header.max_txid)

    @property
    def object_headers(self) -> Mapping[str, str]:
        """The object's headers; complete once all blocks were read."""
        headers = {TIMESTAMP_HEADER: format_timestamp(self.header.timestamp)}
        if self.whole:
            headers[FULL_HEADER] = "1"
        if self.cursor.checksum:
            headers[WAL_HEADER] = self.cursor.checksum.hex()
        return ChainMap(self.findings, headers)

    def release(self) -> None:
        """Let the database go on; blocks."""
        self._hold.close()


class Capture:
    """Methods block; call them from one thread at a time."""

    def __init__(self, database: LiveDatabase, *, max_wal_bytes: int) -> None:
        self.database = database
        self._max_wal_bytes = max_wal_bytes

    def pending(self, cursor: Cursor) -> bool:
        """Whether there is anything to capture; cheap enough to ask at every wake-up."""
        index = self.database.index()
        changed = index.salts != cursor.salts or index.frames != cursor.frames
        return changed or self.database.files.replaced()

    def incremental(self, cursor: Cursor) -> Batch | None:
        """What was committed since the cursor, as one level 0 file; None if nothing was. Raises Discontinuity."""
        database, size = self.database, self.database.page_size
        if database.files.replaced():
            raise DatabaseError(f"Database {database.path} was replaced by another file", hint="it is opened again")
        index = database.index()
        start, lost = continues(database, cursor, index)
        if lost:
            raise Discontinuity(lost)
        if index.frames <= start:
            return None
        found = scan(
            database.files.read_wal, size, index.salts, start=start, stop=index.frames, max_bytes=self._max_wal_bytes
        )
        after = Cursor(cursor.txid + 1, index.salts, found.end, found.checksum, found.commit)
        header = self._header(after, after.txid, start, found.end - start)
        # SQLite may grow the file without logging the new pages; a full set of pages needs them all the same.
        numbers = set(found.newest).union(range(cursor.pages + 1, found.commit + 1))
        numbers.discard(lock_page(size))

        def blocks() -> Iterator[bytes]:
            return encode(header, ((page, self._page(page, found.newest, index.salts)) for page in sorted(numbers)))

        return Batch(0, header, after, blocks, complete=found.end == index.frames)

    def full(self, txid: int) -> Batch:
        """The whole database as level 0 file ``txid``; holds back checkpoints until it is released."""
        with contextlib.ExitStack() as hold:
            index = hold.enter_context(self._still())
            cursor, newest = self._whole(txid, index)
            header = self._header(cursor, txid, 0, cursor.frames)
            return self._copy(0, header, cursor, newest, hold)

    def snapshot(self, cursor: Cursor) -> tuple[Batch | None, Batch | None]:
        """The whole database as a level 9 file, and before it what was committed since the cursor.

        The second is None when more was committed than fits into one file. Raises Discontinuity.
        """
        with contextlib.ExitStack() as hold:
            with self.database.write_lock():
                tail = self._held(self.incremental(cursor))
                if tail is not None and not tail.complete:
                    return tail, None
                hold.enter_context(self.database.frozen())
                index = self.database.index()
            position, newest = self._whole((tail.cursor if tail else cursor).txid, index)
            last = max(0, position.frames - 1)
            header = self._header(position, 1, last, position.frames - last)
            return tail, self._copy(SNAPSHOT_LEVEL, header, position, newest, hold)

    def matching(self, txid: int, image: str) -> Cursor | None:
        """The cursor of the database as it is, if its checksum says that it is the one of ``txid``.

        None too if it is so large that a new copy takes little longer than looking.
        """
        with self._still() as index:
            cursor, newest = self._whole(txid, index)
            if cursor.pages * self.database.page_size > _IMAGE_LIMIT:
                return None
            return cursor if image_checksum(self._all_pages(cursor, newest)) == image else None

    def image(self, cursor: Cursor) -> str | None:
        """The checksum of the database at the cursor; None if it has moved on, or is very large."""
        if cursor.pages * self.database.page_size > _IMAGE_LIMIT:
            return None
        with self._still() as index:
            position, newest = self._whole(cursor.txid, index)
            if (position.salts, position.frames) != (cursor.salts, cursor.frames):
                return None
            return image_checksum(self._all_pages(position, newest))

    @contextlib.contextmanager
    def _still(self) -> Iterator[WalIndex]:
        """The database as it is now can be read from the files until the end of the block."""
        with contextlib.ExitStack() as hold:
            with self.database.write_lock():
                hold.enter_context(self.database.frozen())
                index = self.database.index()
            yield index

    def _copy(
        self, level: int, header: Header, cursor: Cursor, newest: Mapping[int, int], hold: contextlib.ExitStack
    ) -> Batch:
        findings: dict[str, str] = {}

        def blocks() -> Iterator[bytes]:
            checksum = ImageChecksum()
            yield from encode(header, checksum.through(self._all_pages(cursor, newest)))
            findings[IMAGE_HEADER] = checksum.text

        return Batch(level, header, cursor, blocks, whole=True, findings=findings, _hold=hold.pop_all())

    def seal(self, cursor: Cursor) -> tuple[Batch | None, int]:
        """Checkpoint with nothing left behind: under the write lock, capture the tail into memory, then copy.

        Returns the tail and the number of frames that are still to be copied, because somebody reads older ones.
        Raises Discontinuity.
        """
        with self.database.write_lock():
            tail = self._held(self.incremental(cursor))
            if tail is None or tail.complete:
                self.database.checkpoint()
            return tail, self.database.index().uncopied

    def _held(self, batch: Batch | None) -> Batch | None:
        """The same file with its content in memory, for when the WAL goes on without it."""
        if batch is None or not batch.complete:
            return batch
        content = b"".join(batch.blocks())
        return replace(batch, blocks=lambda: iter((content,)))

    def _whole(self, txid: int, index: WalIndex) -> tuple[Cursor, dict[int, int]]:
        """Cursor and page map of everything that is committed at ``index``."""
        database = self.database
        if not index.frames:
            return Cursor(txid, index.salts, 0, b"", database.pages(index)), {}
        found = scan(database.files.read_wal, database.page_size, index.salts, start=0, stop=index.frames)
        return Cursor(txid, index.salts, found.end, found.checksum, found.commit), found.newest

    def _header(self, cursor: Cursor, min_txid: int, start: int, frames: int) -> Header:
        size = self.database.page_size
        named = cursor.frames > 0
        return Header(
            page_size=size,
            commit=cursor.pages,
            min_txid=min_txid,
            max_txid=cursor.txid,
            timestamp=time.time_ns() // 1_000_000,
            wal_offset=frame_offset(start, size),
            wal_size=frames * (FRAME_HEADER + size),
            wal_salt1=int.from_bytes(cursor.salts[:4], "big") if named else 0,
            wal_salt2=int.from_bytes(cursor.salts[4:], "big") if named else 0,
        )

    def _all_pages(self, cursor: Cursor, newest: Mapping[int, int]) -> Iterator[tuple[int, bytes]]:
        size, files = self.database.page_size, self.database.files
        skipped = lock_page(size)
        window, first = b"", 0
        per_window = max(1, _MAIN_WINDOW // size)
        for number in range(1, cursor.pages + 1):
            if number == skipped:
                continue
            if number in newest:
                yield number, self._page(number, newest, cursor.salts)
                continue
            if not first <= number - 1 < first + per_window or not window:
                first = number - 1
                window = files.read_main(per_window * size, first * size)
            at = (number - 1 - first) * size
            yield number, window[at : at + size].ljust(size, b"\0")

    def _page(self, number: int, newest: Mapping[int, int], salts: bytes) -> bytes:
        """One page from its newest frame, or from the database file where the WAL does not hold it."""
        size, files = self.database.page_size, self.database.files
        frame = newest.get(number)
        if frame is not None:
            offset = frame_offset(frame, size)
            data = files.read_wal(FRAME_HEADER + size, offset)
            # A restarted WAL is written over from its start, each frame's header first: if the header is still ours
            # after the read, so was the page. If not, the restart proves that the page is in the database file.
            if len(data) == FRAME_HEADER + size and self._is_ours(files.read_wal(FRAME_HEADER, offset), number, salts):
                return data[FRAME_HEADER:]
        return files.read_main(size, (number - 1) * size).ljust(size, b"\0")

    def _is_ours(self, head: bytes, number: int, salts: bytes) -> bool:
        frame = FrameHeader.parse(head)
        return frame.salts == salts and frame.page == number
