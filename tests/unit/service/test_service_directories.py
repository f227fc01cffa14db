"""Directories are followed: databases that appear, move or disappear are reported, once each."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from inotify_simple import INotify

from litefleet.config import Database, Directory
from litefleet.errors import ConfigError, NotDurable
from litefleet.service import directories as module
from litefleet.service.directories import follow
from tests.unit.service.files import directory, make


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


class Reports:
    """What was reported, in order; ``found`` refuses what ``refuse`` names."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[tuple[str, Path]] = asyncio.Queue()
        self.refuse: set[Path] = set()
        self.databases: list[Database] = []

    async def found(self, database: Database) -> None:
        if database.path in self.refuse:
            self.queue.put_nowait(("refused", database.path))
            raise ConfigError(f"{database.path} goes where another one goes")
        self.databases.append(database)
        self.queue.put_nowait(("found", database.path))

    async def gone(self, path: Path) -> None:
        self.queue.put_nowait(("gone", path))

    async def next(self, count: int = 1) -> list[tuple[str, Path]]:
        async with asyncio.timeout(30):
            return sorted([await self.queue.get() for _ in range(count)])


@asynccontextmanager
async def following(*directories: Directory, others: Sequence[Path] = ()) -> AsyncIterator[Reports]:
    """Followed inside the block, by notification or, where it is patched away, by polling."""
    reports = Reports()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(follow(directories, reports.found, reports.gone, others=others))
        yield reports
        assert not task.done()
        task.cancel()
    assert reports.queue.empty()


@pytest.fixture(params=["notified", "no instance", "no watches"], autouse=True)
def notification(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How changes are noticed; what the kernel refuses when its limits are reached is refused here."""

    def refused(*_arguments: object, **_options: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    if request.param == "no instance":
        monkeypatch.setattr(module, "INotify", refused)
    elif request.param == "no watches":
        monkeypatch.setattr(INotify, "add_watch", refused)
    monkeypatch.setattr(module, "DEBOUNCE", 0.01)
    return str(request.param)


async def test_what_is_there_is_reported_first_then_what_appears_and_disappears(root: Path) -> None:
    make(root / "a.db")
    async with following(directory(root)) as reports:
        assert await reports.next() == [("found", root / "a.db")]
        make(root / "b.db")
        assert await reports.next() == [("found", root / "b.db")]
        (root / "a.db").unlink()
        assert await reports.next() == [("gone", root / "a.db")]
        (root / "b.db").rename(root / "c.db")
        assert await reports.next(2) == [("found", root / "c.db"), ("gone", root / "b.db")]
    assert [database.replica.path for database in reports.databases] == ["a.db", "b.db", "c.db"]


async def test_new_directories_are_followed_too(root: Path, tmp_path: Path) -> None:
    async with following(directory(root)) as reports:
        make(root / "eu/fr/a.db")
        assert await reports.next() == [("found", root / "eu/fr/a.db")]
        make(root / "eu/fr/b.db")
        assert await reports.next() == [("found", root / "eu/fr/b.db")]
        (root / "eu").rename(root / "asia")
        assert await reports.next(4) == [
            ("found", root / "asia/fr/a.db"),
            ("found", root / "asia/fr/b.db"),
            ("gone", root / "eu/fr/a.db"),
            ("gone", root / "eu/fr/b.db"),
        ]
        make(root / "asia/fr/c.db")
        assert await reports.next() == [("found", root / "asia/fr/c.db")]
        (root / "asia").rename(tmp_path / "outside")
        assert len(await reports.next(3)) == 3
        make(tmp_path / "outside/fr/d.db")
        make(root / "e.db")
        assert await reports.next() == [("found", root / "e.db")]


async def test_subdirectories_are_left_alone_unless_asked_for(root: Path) -> None:
    make(root / "eu/a.db")
    async with following(directory(root, recursive=False)) as reports:
        make(root / "us/a.db")
        make(root / "b.db")
        assert await reports.next() == [("found", root / "b.db")]


async def test_file_becomes_a_database_at_its_first_transaction(root: Path) -> None:
    """The application keeps it open: that it closes the file is nothing to wait for."""
    async with following(directory(root)) as reports:
        with closing(sqlite3.connect(root / "a.db", isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode=memory")  # no other file tells of the transaction
            (root / "a.db").touch()
            make(root / "b.db")
            assert await reports.next() == [("found", root / "b.db")]
            connection.execute("CREATE TABLE t (x)")
            assert await reports.next() == [("found", root / "a.db")]


async def test_copy_is_reported_once_it_is_whole(root: Path, tmp_path: Path) -> None:
    whole = make(tmp_path / "whole.db", rows=100).read_bytes()
    async with following(directory(root)) as reports:
        with (root / "a.db").open("wb") as file:
            file.write(whole[:5000])
            file.flush()
            make(root / "b.db")
            assert await reports.next() == [("found", root / "b.db")]
            file.write(whole[5000:])
        assert await reports.next() == [("found", root / "a.db")]


async def test_directory_that_comes_goes_and_comes_back(root: Path, tmp_path: Path) -> None:
    late = tmp_path / "late"
    async with following(directory(late), directory(root)) as reports:
        make(root / "a.db")
        assert await reports.next() == [("found", root / "a.db")]
        for _ in range(2):
            make(late / "x.db")
            assert await reports.next() == [("found", late / "x.db")]
            shutil.rmtree(late)
            assert await reports.next() == [("gone", late / "x.db")]


async def test_restored_file_takes_its_place_in_one_step(root: Path) -> None:
    async with following(directory(root, "*")) as reports:
        make(root / ".a.db.restoring").rename(root / "a.db")
        assert await reports.next() == [("found", root / "a.db")]
        make(root / ".a.db.restoring").rename(root / "a.db")
        make(root / "b.db")
        assert await reports.next() == [("found", root / "b.db")]


async def test_refused_database_leaves_the_others_alone_and_is_tried_again_when_one_goes(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make(root / "a.db")
    make(root / "b.db")
    async with following(directory(root)) as reports:
        assert await reports.next(2) == [("found", root / "a.db"), ("found", root / "b.db")]
        reports.refuse = {root / "c.db"}
        make(root / "c.db")
        assert await reports.next() == [("refused", root / "c.db")]
        make(root / "d.db")
        assert await reports.next() == [("found", root / "d.db")]
        (root / "a.db").unlink()
        assert await reports.next(2) == [("gone", root / "a.db"), ("refused", root / "c.db")]
        reports.refuse = set()
        (root / "b.db").unlink()
        assert await reports.next(2) == [("found", root / "c.db"), ("gone", root / "b.db")]
        (root / "c.db").unlink()
        assert await reports.next() == [("gone", root / "c.db")]
    assert caplog.text.count(f"{root}/c.db: is not replicated: {root}/c.db goes where another one goes") == 1


async def test_refused_database_is_tried_again_after_a_while_and_forgotten_when_it_goes(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY", 0.02)
    make(root / "a.db")
    async with following(directory(root)) as reports:
        reports.refuse = {root / "a.db"}
        assert await reports.next(3) == [("refused", root / "a.db")] * 3
        (root / "a.db").unlink()
        make(root / "b.db")
        async with asyncio.timeout(30):
            while (report := await reports.queue.get()) == ("refused", root / "a.db"):
                pass
        assert report == ("found", root / "b.db")


async def test_name_that_gives_no_place_is_said_and_the_others_go_on(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make(root / "line\nbreak.db")
    make(root / "a.db")
    async with following(directory(root)) as reports:
        assert await reports.next() == [("found", root / "a.db")]
    assert "cannot be replicated: the path has a control character" in caplog.text


async def test_last_transactions_that_were_not_sent_are_no_end(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Late(Reports):
        async def gone(self, path: Path) -> None:
            await super().gone(path)
            raise NotDurable("1 transaction was not acknowledged")

    reports = Late()
    make(root / "a.db")
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(follow([directory(root)], reports.found, reports.gone))
        await reports.next()
        (root / "a.db").unlink()
        assert await reports.next() == [("gone", root / "a.db")]
        make(root / "b.db")
        assert await reports.next() == [("found", root / "b.db")]
        task.cancel()
    assert "a.db: was removed from its directory: 1 transaction was not acknowledged" in caplog.text


async def test_overlapping_directories_report_a_database_once(root: Path) -> None:
    make(root / "eu/a.db")
    async with following(directory(root), directory(root / "eu"), directory(root, "a*")) as reports:
        assert await reports.next() == [("found", root / "eu/a.db")]
        make(root / "eu/b.db")
        assert await reports.next() == [("found", root / "eu/b.db")]
        (root / "eu/a.db").unlink()
        assert await reports.next() == [("gone", root / "eu/a.db")]


async def test_other_name_of_a_database_takes_over_when_the_first_goes(root: Path, tmp_path: Path) -> None:
    outside = make(tmp_path / "outside.db")
    (root / "a.db").symlink_to(outside)
    (root / "b.db").symlink_to(outside)
    async with following(directory(root)) as reports:
        assert await reports.next() == [("found", root / "a.db")]
        (root / "a.db").unlink()
        assert await reports.next(2) == [("found", root / "b.db"), ("gone", root / "a.db")]


async def test_databases_with_an_entry_of_their_own_are_left_alone(root: Path) -> None:
    make(root / "own.db")
    async with following(directory(root), others=[root / "own.db"]) as reports:
        make(root / "a.db")
        assert await reports.next() == [("found", root / "a.db")]
        (root / "own.db").unlink()
        make(root / "b.db")
        assert await reports.next() == [("found", root / "b.db")]


async def test_more_events_than_the_kernel_keeps_lose_nothing(root: Path) -> None:
    """The loop does not read while they come; then every place is looked at."""
    limit = int(await asyncio.to_thread(Path("/proc/sys/fs/inotify/max_queued_events").read_text))
    if limit > 100_000:
        pytest.skip("the queue is too long to fill here")
    async with following(directory(root)) as reports:
        make(root / "a.db")
        await reports.next()
        for number in range(limit // 2 + 100):
            (root / f"{number % 50}.tmp").touch()
            (root / f"{number % 50}.tmp").unlink()
        make(root / "b.db")
        (root / "a.db").unlink()
        assert await reports.next(2) == [("found", root / "b.db"), ("gone", root / "a.db")]


async def test_cancelling_ends_at_once_and_leaves_no_descriptor(root: Path) -> None:
    before = inotify_descriptors()
    async with following(directory(root)):
        await asyncio.sleep(0)
    assert inotify_descriptors() == before


def inotify_descriptors() -> list[str]:
    """Those of this process that are open."""
    descriptors = Path("/proc/self/fd").iterdir()
    return [one.name for one in descriptors if "inotify" in os.path.realpath(one)]
