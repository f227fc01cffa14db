"""The frames of a range and their newest pages are those that a full recovery of the WAL finds."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litefleet.errors import WALError
from litefleet.wal import FRAME_HEADER, FrameHeader, WalIndex, frame_offset, scan
from tests.support.sqlitewriter import Writer
from tests.unit.wal.reference import recover, write

Transactions = list[tuple[list[int], int]]
SALTS = b"saltsalt"
SIZE = 512


def reader(data: bytes) -> Callable[[int, int], bytes]:
    return lambda length, offset: data[offset : offset + length]


@st.composite
def transactions(draw: st.DrawFn) -> Transactions:
    """A few transactions; the last may be without a commit."""
    pages = st.lists(st.integers(1, 9), min_size=1, max_size=6)
    done = draw(st.lists(st.tuples(pages, st.integers(1, 9)), min_size=1, max_size=8))
    return done + draw(st.lists(st.tuples(pages, st.just(0)), max_size=1))


def boundaries(parts: Transactions) -> list[int]:
    """Frame counts at which the WAL is committed."""
    ends = [0]
    for pages, size in parts:
        if size:
            ends.append(ends[-1] + len(pages))
    return ends


@given(transactions(), st.data())
def test_any_committed_range_gives_what_full_recovery_gives(parts: Transactions, data: st.DataObject) -> None:
    content = write(SIZE, parts)
    wal = recover(content)
    ends = boundaries(parts)
    assert len(wal.committed) == ends[-1]
    start = data.draw(st.sampled_from(ends[:-1]))
    stop = data.draw(st.sampled_from([end for end in ends if end > start]))
    found = scan(reader(content), SIZE, SALTS, start=start, stop=stop)
    assert found.newest == wal.newest(start, stop)
    assert (found.end, found.commit) == (stop, wal.committed[stop - 1].commit)
    assert found.checksum == wal.committed[stop - 1].checksum


@given(transactions(), st.data())
def test_a_bounded_walk_ends_at_the_first_commit_that_reaches_the_bound(
    parts: Transactions, data: st.DataObject
) -> None:
    content = write(SIZE, parts)
    wal = recover(content)
    ends = boundaries(parts)
    start = data.draw(st.sampled_from(ends[:-1]))
    step = SIZE + FRAME_HEADER
    bound = data.draw(st.integers(1, 40 * step) | st.integers(1, 12).map(lambda count: count * step))
    reached = [end for end in ends if end > start and (end - start) * step >= bound]
    expected = reached[0] if reached else ends[-1]
    found = scan(reader(content), SIZE, SALTS, start=start, stop=ends[-1], max_bytes=bound)
    assert found.end == expected
    assert found.newest == wal.newest(start, expected)
    assert found.checksum == wal.committed[expected - 1].checksum


@given(transactions(), st.data())
def test_a_range_that_ends_within_a_transaction_is_refused(parts: Transactions, data: st.DataObject) -> None:
    content = write(SIZE, [*parts, ([1, 2, 3], 3)] if parts[-1][1] else parts)
    frames = (len(content) - 32) // (SIZE + FRAME_HEADER)
    within = sorted(
        set(range(1, frames + 1)) - {0} - {i + 1 for i, f in enumerate(recover(content).committed) if f.commit}
    )
    stop = data.draw(st.sampled_from(within))
    with pytest.raises(WALError, match=f"frame {stop - 1} "):
        scan(reader(content), SIZE, SALTS, start=0, stop=stop)


@given(st.integers(0, 5), st.binary(min_size=8, max_size=8).filter(lambda salts: salts != SALTS))
def test_a_frame_of_another_wal_is_refused(frame: int, foreign: bytes) -> None:
    content = bytearray(write(SIZE, [([1, 2], 2), ([2, 3], 3), ([1, 4], 4)]))
    at = frame_offset(frame, SIZE) + 8
    content[at : at + 8] = foreign
    with pytest.raises(WALError, match=f"frame {frame} belongs to another WAL"):
        scan(reader(bytes(content)), SIZE, SALTS, start=0, stop=6)


def test_a_wal_that_ends_too_soon_is_refused_wherever_it_ends() -> None:
    content = write(SIZE, [([1, 2], 2), ([3], 3)])
    for length in range(len(content)):
        with pytest.raises(WALError, match="WAL ends within frame"):
            scan(reader(content[:length]), SIZE, SALTS, start=0, stop=3)


def test_pages_beyond_the_final_size_are_left_out() -> None:
    content = write(SIZE, [([1, 2, 3, 4], 4), ([1], 2)])
    assert scan(reader(content), SIZE, SALTS, start=0, stop=5).newest == {1: 4, 2: 1}


def test_a_frame_of_page_0_is_refused() -> None:
    content = write(SIZE, [([1, 0, 2], 2)])
    with pytest.raises(WALError, match="frame 1 holds page 0"):
        scan(reader(content), SIZE, SALTS, start=0, stop=3)


def test_more_frames_than_one_read_takes_are_all_seen() -> None:
    size, count = 65536, 150
    content = write(size, [([page], page) for page in range(1, count + 1)])
    reads: list[int] = []

    def read(length: int, offset: int) -> bytes:
        reads.append(length)
        return content[offset : offset + length]

    found = scan(read, size, SALTS, start=1, stop=count)
    assert found.newest == {page: page - 1 for page in range(2, count + 1)}
    assert len(reads) > 1
    assert max(reads) <= 8 << 20


def test_an_empty_range_is_nothing() -> None:
    found = scan(reader(b""), SIZE, SALTS, start=4, stop=4)
    assert (found.newest, found.end) == ({}, 4)


def test_a_frame_header_is_read_field_by_field_or_not_at_all() -> None:
    content = write(SIZE, [([5, 7], 7)])
    at = frame_offset(1, SIZE)
    assert at == 32 + 24 + 512
    head = FrameHeader.parse(content[at : at + 24])
    assert (head.page, head.commit, head.salts, head.checksum) == (7, 7, SALTS, recover(content).committed[1].checksum)
    with pytest.raises(WALError, match="23 bytes instead of 24"):
        FrameHeader.parse(content[at : at + 23])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("page_size", [512, 4096, 65536])
def test_what_sqlite_wrote_is_read_as_sqlite_reads_it(tmp_path: Path, page_size: int, seed: int) -> None:
    """Commits, rollbacks that had spilled into the WAL, shrinking, growing, and a WAL written over from its start."""
    chance = random.Random(seed)
    path = tmp_path / "app.db"
    spilled = 0
    with Writer(path, page_size=page_size) as app:
        app.run("PRAGMA cache_size = 1")
        app.run("CREATE TABLE t (n INTEGER PRIMARY KEY, b)")
        for step in range(25):
            if step == 12:
                app.run("PRAGMA wal_checkpoint(PASSIVE)")
            app.run("BEGIN")
            for _ in range(chance.randrange(1, 4)):
                count = max(3, (10 << 10) // page_size)
                rows = [[chance.randrange(400), "x" * chance.randrange(1, 2 * page_size)] for _ in range(count)]
                app.run("INSERT OR REPLACE INTO t VALUES (?, ?)", rows)
            if chance.random() < 0.3:
                app.run("DELETE FROM t WHERE n > ?", [[chance.randrange(200)]])
            app.run("ROLLBACK" if chance.random() < 0.4 else "COMMIT")
            if chance.random() < 0.15:
                app.run("VACUUM")
            if page_size == 65536 and step % 6:
                continue  # the reference is slow
            content = Path(f"{path}-wal").read_bytes()
            index = WalIndex.parse(Path(f"{path}-shm").read_bytes()[:136])
            assert index is not None
            if not index.frames:
                continue
            wal = recover(content)
            spilled += wal.rest > 0
            assert index.frames == len(wal.committed)
            found = scan(reader(content), page_size, index.salts, start=0, stop=index.frames)
            assert found.newest == wal.newest(0, index.frames)
            assert (found.commit, found.checksum) == (index.pages, index.checksum)
    assert spilled
