"""What is captured from a live database makes the same database again, whatever the application does meanwhile."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from litefleet.errors import DatabaseError
from litefleet.ltx import Decoder, Header
from litefleet.replicate.capture import Batch, Capture, Discontinuity
from litefleet.replicate.cursor import Cursor, resume
from litefleet.sqlite import LiveDatabase
from tests.support.agent import database_bytes
from tests.support.sqlitewriter import Writer, run_sql

ROWS = "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {}) INSERT INTO t(b) SELECT randomblob({}) FROM n"


class Image:
    """A database made of LTX files."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.headers: list[Header] = []

    def apply(self, batch: Batch) -> Header:
        """Take a file in, and let the database go on."""
        try:
            decoder = Decoder(batch.name)
            pages = [page for block in batch.blocks() for page in decoder.feed(block)]
            header = decoder.close()
        finally:
            batch.release()
        assert header == batch.header
        size = header.page_size
        self.content = self.content.ljust(header.commit * size, b"\0")
        for number, page in pages:
            self.content[(number - 1) * size : number * size] = page
        del self.content[header.commit * size :]
        self.headers.append(header)
        return header


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "app.db"


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    directory = tmp_path / "scratch"
    directory.mkdir()
    return directory


@pytest.fixture
def app(path: Path) -> Iterator[Writer]:
    with Writer(path) as writer:
        writer.run("CREATE TABLE t (n INTEGER PRIMARY KEY, b)")
        yield writer


@pytest.fixture
def live(path: Path, app: Writer) -> Iterator[LiveDatabase]:
    with LiveDatabase(path, busy_timeout=1) as database:
        yield database


def some(batch: Batch | None) -> Batch:
    assert batch is not None
    return batch


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("page_size", [512, 4096, 65536])
def test_a_workload_of_any_kind_comes_out_byte_for_byte(path: Path, scratch: Path, page_size: int, seed: int) -> None:
    """Commits, rollbacks that spilled, deletes, VACUUM, checkpoints of the application and of ours."""
    chance = random.Random(seed)
    image = Image()
    with Writer(path, page_size=page_size) as app:
        app.run("PRAGMA cache_size = 2")
        app.run("CREATE TABLE t (n INTEGER PRIMARY KEY, b)")
        with LiveDatabase(path, busy_timeout=1) as database:
            capture = Capture(database, max_wal_bytes=50 * page_size)
            batch = capture.full(1)
            image.apply(batch)
            cursor = batch.cursor
            for _ in range(12):
                app.run("BEGIN")
                app.run(ROWS.format(chance.randrange(1, 30), chance.randrange(1, page_size)))
                if chance.random() < 0.4:
                    app.run(f"DELETE FROM t WHERE n % 3 = {chance.randrange(3)}")
                app.run("ROLLBACK" if chance.random() < 0.3 else "COMMIT")
                if chance.random() < 0.2:
                    app.run("VACUUM")
                if chance.random() < 0.3:
                    app.run("PRAGMA wal_checkpoint(PASSIVE)")
                if chance.random() < 0.3:
                    tail, _ = capture.seal(cursor)
                    if tail is not None:
                        image.apply(tail)
                        cursor = tail.cursor
                while (more := capture.incremental(cursor)) is not None:
                    image.apply(more)
                    cursor = more.cursor
                assert not capture.pending(cursor) or database.index().salts != cursor.salts
                assert bytes(image.content) == database_bytes(path, scratch)
            snapshot = Image()
            tail, whole = capture.snapshot(cursor)
            assert tail is None
            snapshot.apply(some(whole))
            assert snapshot.content == image.content
    txids = [(header.min_txid, header.max_txid) for header in image.headers]
    assert txids == [(n, n) for n in range(1, len(txids) + 1)]
    assert all(header.wal_offset >= 32 and header.page_size == page_size for header in image.headers)


def test_a_large_change_is_cut_into_files_that_end_at_commits(
    live: LiveDatabase, app: Writer, path: Path, scratch: Path
) -> None:
    capture = Capture(live, max_wal_bytes=10 * 4096)
    image = Image()
    batch = capture.full(1)
    image.apply(batch)
    for _ in range(10):
        app.run(ROWS.format(20, 1000))
    complete = []
    while (more := capture.incremental(batch.cursor)) is not None:
        batch = more
        image.apply(batch)
        complete.append(batch.complete)
        (scratch / "step.db").write_bytes(image.content)
        rows = run_sql(scratch / "step.db", "PRAGMA journal_mode = delete", "SELECT count(*) FROM t")
        assert rows[0][0] % 20 == 0
        (scratch / "step.db").unlink()
    assert len(complete) > 2
    assert complete == [False] * (len(complete) - 1) + [True]
    assert bytes(image.content) == database_bytes(path, scratch)


def test_nothing_new_is_no_file(live: LiveDatabase, app: Writer) -> None:
    capture = Capture(live, max_wal_bytes=0)
    batch = capture.full(1)
    batch.release()
    assert capture.incremental(batch.cursor) is None
    assert not capture.pending(batch.cursor)
    app.run("INSERT INTO t(b) VALUES (1)")
    assert capture.pending(batch.cursor)


def test_a_full_copy_holds_what_was_there_when_it_began(
    live: LiveDatabase, app: Writer, path: Path, scratch: Path
) -> None:
    app.run(ROWS.format(50, 500))
    capture = Capture(live, max_wal_bytes=0)
    before = database_bytes(path, scratch)
    batch = capture.full(7)
    app.run("PRAGMA busy_timeout = 100")
    app.run("DELETE FROM t")
    app.run(ROWS.format(200, 500))
    app.run("PRAGMA wal_checkpoint(TRUNCATE)")
    image = Image()
    header = image.apply(batch)
    assert (header.min_txid, header.max_txid) == (7, 7)
    assert bytes(image.content) == before
    image.apply(some(capture.incremental(batch.cursor)))
    assert bytes(image.content) == database_bytes(path, scratch)


def test_a_snapshot_comes_with_what_had_not_been_captured(
    live: LiveDatabase, app: Writer, path: Path, scratch: Path
) -> None:
    capture = Capture(live, max_wal_bytes=0)
    image, whole = Image(), Image()
    batch = capture.full(5)
    image.apply(batch)
    app.run("INSERT INTO t(b) VALUES (1)")
    tail, snapshot = capture.snapshot(batch.cursor)
    app.run("INSERT INTO t(b) VALUES (2)")
    header = whole.apply(some(snapshot))
    assert (header.min_txid, header.max_txid) == (1, 6)
    assert some(snapshot).name == "ltx/9/0000000000000001-0000000000000006.ltx"
    image.apply(some(tail))
    assert image.headers[-1].max_txid == 6
    assert image.content == whole.content
    image.apply(some(capture.incremental(some(tail).cursor)))
    assert bytes(image.content) == database_bytes(path, scratch)


def test_after_a_sealed_checkpoint_the_next_wal_goes_on_without_a_full_copy(
    live: LiveDatabase, app: Writer, path: Path, scratch: Path
) -> None:
    capture = Capture(live, max_wal_bytes=0)
    image = Image()
    batch = capture.full(1)
    image.apply(batch)
    app.run(ROWS.format(50, 500))
    tail, uncopied = capture.seal(batch.cursor)
    assert uncopied == 0
    tail = some(tail)
    app.run("INSERT INTO t(b) VALUES (1)")
    assert live.index().salts != tail.cursor.salts, "the WAL was not restarted"
    image.apply(tail)
    more = some(capture.incremental(tail.cursor))
    image.apply(more)
    assert (more.header.wal_offset, more.header.max_txid) == (32, 3)
    assert bytes(image.content) == database_bytes(path, scratch)


def test_a_reader_keeps_frames_from_being_copied(live: LiveDatabase, app: Writer, path: Path) -> None:
    capture = Capture(live, max_wal_bytes=0)
    batch = capture.full(1)
    batch.release()
    with Writer(path, wal=False) as reader:
        reader.run("BEGIN")
        reader.run("SELECT count(*) FROM t")
        app.run(ROWS.format(50, 500))
        tail, uncopied = capture.seal(batch.cursor)
        assert uncopied == live.index().frames - batch.cursor.frames > 0
        reader.run("COMMIT")
    _, uncopied = capture.seal(some(tail).cursor)
    assert uncopied == 0


def test_no_checkpoint_of_the_application_gets_past_what_was_captured(live: LiveDatabase, app: Writer) -> None:
    capture = Capture(live, max_wal_bytes=0)
    batch = capture.full(1)
    batch.release()
    app.run("PRAGMA busy_timeout = 100")
    app.run(ROWS.format(50, 500))
    for mode in ("PASSIVE", "FULL", "RESTART", "TRUNCATE"):
        app.run(f"PRAGMA wal_checkpoint({mode})")
        app.run("INSERT INTO t(b) VALUES (1)")
    assert live.index().salts == batch.cursor.salts
    assert some(capture.incremental(batch.cursor)).complete


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"salts": b"salts..."}, "restarted"), ({"frames": 1_000_000}, "shorter")],
)
def test_a_wal_that_does_not_go_on_from_the_cursor_is_no_increment(
    live: LiveDatabase, app: Writer, change: dict[str, object], reason: str
) -> None:
    capture = Capture(live, max_wal_bytes=0)
    batch = capture.full(1)
    batch.release()
    cursor: Cursor = replace(batch.cursor, **change)  # type: ignore[arg-type]
    with pytest.raises(Discontinuity, match=reason):
        capture.incremental(cursor)


def test_a_wal_that_was_restarted_behind_a_cursor_is_noticed(path: Path, app: Writer) -> None:
    """The pin was taken further on than the cursor, so what lies between may have gone with the old WAL."""
    with LiveDatabase(path, busy_timeout=1) as database:
        batch = Capture(database, max_wal_bytes=0).full(1)
        batch.release()
    app.run(ROWS.format(20, 500))
    app.run("PRAGMA wal_checkpoint(PASSIVE)")
    with LiveDatabase(path, busy_timeout=1) as database:
        app.run("INSERT INTO t(b) VALUES (1)")
        assert database.index().salts != batch.cursor.salts, "the WAL was not restarted"
        with pytest.raises(Discontinuity, match="restarted"):
            Capture(database, max_wal_bytes=0).incremental(batch.cursor)


class TestResume:
    """A restarted agent goes on from the newest file only where the WAL proves that nothing else happened."""

    @pytest.fixture
    def batch(self, path: Path, app: Writer) -> Batch:
        with LiveDatabase(path, busy_timeout=1) as database:
            app.run(ROWS.format(20, 500))
            batch = Capture(database, max_wal_bytes=0).full(3)
            batch.release()
        return batch

    def found(self, path: Path, header: Header, checksum: bytes) -> Cursor | None:
        with LiveDatabase(path, busy_timeout=1) as database:
            return resume(database, header, checksum)

    def test_the_same_wal(self, path: Path, app: Writer, batch: Batch) -> None:
        assert self.found(path, batch.header, batch.cursor.checksum) == batch.cursor
        app.run(ROWS.format(20, 500))
        assert self.found(path, batch.header, batch.cursor.checksum) == batch.cursor

    def test_no_proof(self, path: Path, batch: Batch) -> None:
        assert self.found(path, batch.header, b"") is None

    def test_another_history(self, path: Path, batch: Batch) -> None:
        assert self.found(path, batch.header, bytes(8)) is None

    def test_another_wal(self, path: Path, app: Writer, batch: Batch) -> None:
        app.run("PRAGMA wal_checkpoint(TRUNCATE)")
        assert self.found(path, batch.header, batch.cursor.checksum) is None
        app.run(ROWS.format(20, 500))
        assert self.found(path, batch.header, batch.cursor.checksum) is None

    def test_another_page_size(self, path: Path, batch: Batch) -> None:
        assert self.found(path, replace(batch.header, page_size=8192), batch.cursor.checksum) is None

    @pytest.mark.parametrize(
        "change", [{"wal_size": 0}, {"wal_size": 5}, {"wal_size": 1 << 40}, {"wal_offset": 33}, {"wal_salt1": 1}]
    )
    def test_a_position_that_is_none(self, path: Path, batch: Batch, change: dict[str, int]) -> None:
        header = replace(batch.header, **change)
        assert self.found(path, header, batch.cursor.checksum) is None


def test_an_application_that_holds_the_write_lock_is_an_error_that_passes(live: LiveDatabase, app: Writer) -> None:
    app.run("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseError, match="locked by another program") as caught, live.write_lock():
        pass
    assert caught.value.retryable
    app.run("ROLLBACK")
    with live.write_lock():
        pass


def test_the_agent_never_checkpoints_or_deletes_the_wal_on_its_way_out(path: Path, app: Writer) -> None:
    app.run(ROWS.format(20, 500))
    app.kill()
    before = Path(f"{path}-wal").read_bytes()
    main = path.read_bytes()
    with LiveDatabase(path, busy_timeout=1):
        pass
    assert Path(f"{path}-wal").read_bytes() == before
    assert path.read_bytes() == main
