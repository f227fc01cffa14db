"""After the files were let go, the WAL goes on from the cursor only where that is proven; then nothing is missing."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from litefleet.ltx import Header
from litefleet.replicate.capture import Capture
from litefleet.replicate.cursor import Released, reopen, resume, traces
from litefleet.sqlite import LiveDatabase
from tests.support.agent import database_bytes
from tests.support.sqlitewriter import Writer, run_sql
from tests.unit.replicate.test_replicate_capture import Image

INSERT = "INSERT INTO t(b) VALUES (randomblob(3000))"


class Case:
    """A database that is captured, let go, and opened again."""

    def __init__(self, directory: Path, app: Writer, stack: ExitStack) -> None:
        self.path = directory / "app.db"
        self.app = app
        self.scratch = directory / "scratch"
        self.scratch.mkdir()
        self.image = Image()
        self._stack = stack
        with LiveDatabase(self.path, busy_timeout=1) as database:
            capture = Capture(database, max_wal_bytes=1 << 30)
            batch = capture.full(1)
            self.image.apply(batch)
            self.cursor = batch.cursor
            self.header, self.checksum = batch.header, batch.cursor.checksum
            # The clock of files is older than a second by then, as it is for a database that was idle.
            os.utime(self.path, (1, 1))
            there = self.path.stat()
            stamp = (there.st_dev, there.st_ino, there.st_size, there.st_mtime_ns, there.st_ctime_ns)
            self.released = Released(self.cursor, database.index().changes, stamp, traces(self.path))

    def opened(self) -> LiveDatabase:
        return self._stack.enter_context(LiveDatabase(self.path, busy_timeout=1))

    def goes_on(self) -> bool:
        """Whether it does; then what is captured from there makes the database."""
        database = self.opened()
        cursor = reopen(database, self.released)
        if cursor is None:
            return False
        assert cursor.txid == self.cursor.txid
        capture = Capture(database, max_wal_bytes=1 << 30)
        while (batch := capture.incremental(cursor)) is not None:
            self.image.apply(batch)
            cursor = batch.cursor
        assert bytes(self.image.content) == database_bytes(self.path, self.scratch)
        return True


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    with Writer(tmp_path / "app.db") as app, ExitStack() as stack:
        app.run("CREATE TABLE t (n INTEGER PRIMARY KEY, b)")
        app.run(INSERT)
        yield Case(tmp_path, app, stack)


def write(case: Case) -> None:
    case.app.run(INSERT)


def checkpoint(case: Case) -> None:
    assert case.app.run("PRAGMA wal_checkpoint(PASSIVE)")[0][0] == 0


def truncate(case: Case) -> None:
    assert case.app.run("PRAGMA wal_checkpoint(TRUNCATE)")[0][0] == 0


def visit(case: Case) -> None:
    """By a process that comes and goes while the application stays."""
    run_sql(case.path, INSERT)


STEPS: tuple[Callable[[Case], None], ...] = (write, checkpoint, truncate, visit)


@pytest.mark.parametrize("steps", [(), (write,), (write, write), (checkpoint, write), (truncate, write, write),
                                   (write, checkpoint)])  # fmt: skip
def test_it_goes_on_where_that_is_proven(case: Case, steps: tuple[Callable[[Case], None], ...]) -> None:
    for step in steps:
        step(case)
    assert case.goes_on()


@pytest.mark.parametrize("steps", [(write, truncate), (write, truncate, write), (checkpoint, write, checkpoint, write),
                                   (write, checkpoint, write)])  # fmt: skip
def test_it_does_not_where_something_may_be_missing(case: Case, steps: tuple[Callable[[Case], None], ...]) -> None:
    for step in steps:
        step(case)
    assert not case.goes_on()


@pytest.mark.parametrize("steps", list(itertools.product(STEPS, repeat=3)))
def test_whatever_happened_it_never_misses_anything(case: Case, steps: tuple[Callable[[Case], None], ...]) -> None:
    """``goes_on`` compares the outcome with the database, where it says that it does."""
    for step in steps:
        step(case)
    case.goes_on()


def test_another_file_in_its_place_is_not_gone_on_with(case: Case, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with Writer(other) as app:
        app.run("CREATE TABLE t (n INTEGER PRIMARY KEY, b)")
        app.run(INSERT)
    for suffix in ("-wal", "-shm"):
        case.path.with_name(f"app.db{suffix}").unlink()
    shutil.move(other, case.path)
    assert not case.goes_on()


def test_every_write_leaves_a_trace(case: Case) -> None:
    for step in (write, truncate, write, checkpoint):
        before = traces(case.path)
        step(case)
        assert traces(case.path) != before, step
    before = traces(case.path)
    assert traces(case.path) == before
    assert traces(case.path.with_name("none.db")) == (None, None)


class TestResume:
    """After a restart there is only the header of the newest file, and the checksum beside it."""

    def test_the_wal_goes_on_from_the_newest_file(self, case: Case) -> None:
        case.app.run(INSERT)
        cursor = resume(case.opened(), case.header, case.checksum)
        assert cursor is not None
        assert (cursor.txid, cursor.frames, cursor.salts) == (1, case.cursor.frames, case.cursor.salts)

    @pytest.mark.parametrize(
        "change",
        [
            {"wal_salt1": 1},
            {"wal_size": 0},
            {"wal_size": 4097},
            {"wal_size": 1 << 30},
            {"page_size": 512},
        ],
    )
    def test_another_header_proves_nothing(self, case: Case, change: dict[str, int]) -> None:
        fields = {name: getattr(case.header, name) for name in Header.__slots__}
        assert resume(case.opened(), Header(**{**fields, **change}), case.checksum) is None

    def test_without_the_checksum_there_is_no_proof(self, case: Case) -> None:
        database = case.opened()
        assert resume(database, case.header, b"") is None
        assert resume(database, case.header, bytes(8)) is None

    def test_a_wal_that_began_anew_proves_nothing(self, case: Case) -> None:
        truncate(case)
        write(case)
        assert resume(case.opened(), case.header, case.checksum) is None
