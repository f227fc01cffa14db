"""The WAL index says the same as the WAL itself, in every state that SQLite leaves it in; torn copies say nothing."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from litefleet.errors import WALError
from litefleet.wal import INDEX_SIZE, WalIndex
from tests.support.sqlitewriter import Writer
from tests.unit.wal.reference import Wal, checksum, recover

PAGE_SIZES = [512, 1024, 4096, 32768, 65536]
ROWS = "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {}) INSERT INTO t SELECT i, randomblob(300) FROM n"


def read_index(path: Path) -> bytes:
    """The start of the WAL index; this process has no SQLite of its own on the file, so it may close it again."""
    return Path(f"{path}-shm").read_bytes()[:INDEX_SIZE]


def both(path: Path) -> tuple[WalIndex, Wal]:
    index = WalIndex.parse(read_index(path))
    assert index is not None
    return index, recover(Path(f"{path}-wal").read_bytes())


def agree(index: WalIndex, wal: Wal) -> None:
    assert index.page_size == wal.page_size
    assert index.salts == wal.salts
    assert index.frames == len(wal.committed)
    if wal.committed:
        assert index.pages == wal.committed[-1].commit
        assert index.checksum == wal.committed[-1].checksum


@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_index_and_wal_agree_after_every_transaction(tmp_path: Path, page_size: int) -> None:
    path = tmp_path / "app.db"
    with Writer(path, page_size=page_size) as app:
        app.run("CREATE TABLE t (n, b)")
        seen = set()
        for rows in (1, 40, 7):
            app.run(ROWS.format(rows))
            index, wal = both(path)
            agree(index, wal)
            assert index.page_size == page_size
            assert index.backfilled == 0
            assert index.uncopied == index.frames
            seen.add(index.frames)
        assert len(seen) == 3


def test_an_open_transaction_is_not_committed_even_where_it_is_in_the_wal(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    with Writer(path) as app:
        app.run("CREATE TABLE t (n, b)")
        before, _ = both(path)
        app.run("PRAGMA cache_size = 5")
        app.run("BEGIN")
        app.run(ROWS.format(500))
        index, wal = both(path)
        assert wal.rest > 10
        assert index == before
        agree(index, wal)
        app.run("ROLLBACK")
        app.run(ROWS.format(1))
        index, wal = both(path)
        assert wal.rest > 0
        assert index.frames > before.frames
        agree(index, wal)


def test_a_checkpoint_moves_what_is_copied_and_a_reader_holds_it_back(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    with Writer(path) as app, Writer(path, wal=False) as reader:
        app.run("CREATE TABLE t (n, b)")
        app.run(ROWS.format(100))
        reader.run("BEGIN")
        reader.run("SELECT count(*) FROM t")
        held, _ = both(path)
        app.run(ROWS.format(100))
        assert app.run("PRAGMA wal_checkpoint(PASSIVE)") == [[0, both(path)[0].frames, held.frames]]
        index, wal = both(path)
        agree(index, wal)
        assert index.backfilled == held.frames
        assert index.uncopied == index.frames - held.frames > 0
        reader.run("COMMIT")
        app.run("PRAGMA wal_checkpoint(PASSIVE)")
        assert both(path)[0].uncopied == 0


def test_a_restarted_wal_has_other_salts_and_few_frames(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    with Writer(path) as app:
        app.run("CREATE TABLE t (n, b)")
        app.run(ROWS.format(200))
        before, _ = both(path)
        app.run("PRAGMA wal_checkpoint(PASSIVE)")
        app.run(ROWS.format(1))
        index, wal = both(path)
        agree(index, wal)
        assert index.salts != before.salts
        assert index.frames < before.frames
        assert index.backfilled == 0
        assert wal.rest > 0


def test_a_truncated_wal_counts_no_frame(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    with Writer(path) as app:
        app.run("CREATE TABLE t (n, b)")
        app.run("PRAGMA wal_checkpoint(TRUNCATE)")
        index = WalIndex.parse(read_index(path))
        assert index is not None
        assert index.frames == 0


@pytest.fixture
def index_bytes(tmp_path: Path) -> bytes:
    path = tmp_path / "app.db"
    with Writer(path) as app:
        app.run("CREATE TABLE t (n, b)")
        app.run(ROWS.format(3))
        return read_index(path)


def test_a_copy_that_differs_anywhere_in_either_header_is_torn(index_bytes: bytes) -> None:
    for position in range(96):
        torn = bytearray(index_bytes)
        torn[position] ^= 0x10
        assert WalIndex.parse(bytes(torn)) is None


def test_two_equal_headers_under_a_wrong_checksum_are_torn(index_bytes: bytes) -> None:
    for position in range(48):
        torn = bytearray(index_bytes)
        torn[position] ^= 0x10
        torn[position + 48] ^= 0x10
        assert WalIndex.parse(bytes(torn)) is None


def test_a_short_copy_is_torn(index_bytes: bytes) -> None:
    assert all(WalIndex.parse(index_bytes[:length]) is None for length in range(INDEX_SIZE))


def test_an_index_that_nobody_has_set_up_yet_says_nothing() -> None:
    assert WalIndex.parse(bytes(INDEX_SIZE)) is None


def signed(words: bytes) -> bytes:
    """Both headers of 40 bytes, with the checksum that belongs to them."""
    return (words + struct.pack("=2I", *checksum(words, "="))) * 2


def test_an_index_of_another_version_is_refused(index_bytes: bytes) -> None:
    content = signed(struct.pack("=I", 3007001) + index_bytes[4:40]) + index_bytes[96:]
    with pytest.raises(WALError, match="version 3007001"):
        WalIndex.parse(content)


@pytest.mark.parametrize("size", [0, 2, 256, 511, 513, 3 << 12])
def test_an_index_of_frames_with_an_impossible_page_size_is_refused(index_bytes: bytes, size: int) -> None:
    content = signed(index_bytes[:14] + struct.pack("=H", size) + index_bytes[16:40]) + index_bytes[96:]
    with pytest.raises(WALError, match=f"page size of {size} bytes"):
        WalIndex.parse(content)


def test_a_wal_that_begins_anew_has_nothing_to_copy_before_the_copied_frames_are_reset(index_bytes: bytes) -> None:
    index = WalIndex.parse(index_bytes[:96] + struct.pack("=I", 1000) + index_bytes[100:])
    assert index is not None
    assert index.frames < index.backfilled == 1000
    assert index.uncopied == 0


def test_the_index_is_read_while_sqlite_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    with Writer(path) as app:
        app.run("CREATE TABLE t (n, b)")
        descriptor = os.open(f"{path}-shm", os.O_RDONLY)
        try:
            last = 0
            for _ in range(50):
                app.run("INSERT INTO t VALUES (1, 2)")
                index = WalIndex.parse(os.pread(descriptor, INDEX_SIZE, 0))
                assert index is not None
                assert index.frames == last + 1 or last == 0
                last = index.frames
        finally:
            os.close(descriptor)
