"""Waiting, working in threads, and deciding when something is due."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from litefleet.bucket import Catalogue
from litefleet.config.settings import Database, Replica, Server
from litefleet.errors import DatabaseError
from litefleet.replicate.backoff import Backoff
from litefleet.replicate.blocking import Worker
from litefleet.replicate.schedule import Schedule
from tests.unit.bucket.objects import ltx

SETTINGS = Database(
    Path("/a.db"), Replica(Server(("nats://h:4222",)), "b"), checkpoint_interval=3600.0, min_checkpoint_page_count=100
)


@pytest.fixture
def worker() -> Iterator[Worker]:
    with ThreadPoolExecutor(4) as executor:
        yield Worker(executor)


async def test_calls_of_one_database_never_overlap(worker: Worker) -> None:
    running = 0
    most = 0

    def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        threading.Event().wait(0.005)
        running -= 1

    async with asyncio.TaskGroup() as tasks:
        for _ in range(10):
            tasks.create_task(worker(work))
    assert most == 1


async def test_a_cancelled_caller_leaves_only_when_the_call_has_ended(worker: Worker) -> None:
    entered, leave = threading.Event(), threading.Event()
    ended = False

    def work() -> None:
        nonlocal ended
        entered.set()
        assert leave.wait(30)
        ended = True

    async with asyncio.timeout(30):
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(worker(work))
            await asyncio.to_thread(entered.wait, 30)
            task.cancel()
            await asyncio.sleep(0)
            assert not task.done()
            leave.set()
    assert ended
    assert task.cancelled()


async def test_blocks_come_in_order_and_errors_come_through(worker: Worker) -> None:
    def source() -> Iterator[bytes]:
        yield b"1"
        yield b"2"
        raise OSError("gone")

    blocks = worker.blocks(source())
    assert [await anext(blocks), await anext(blocks)] == [b"1", b"2"]
    with pytest.raises(DatabaseError, match="gone"):
        await anext(blocks)


async def test_waiting_ends_at_once_when_asked_to() -> None:
    backoff = Backoff()
    stop = asyncio.Event()
    stop.set()
    async with asyncio.timeout(30):
        for _ in range(50):
            await backoff.wait(stop)


class TestSchedule:
    def test_a_full_copy_is_due_once_something_changed_and_the_last_one_is_old(self) -> None:
        schedule = Schedule(SETTINGS, 0.0)
        schedule.note_catalogue(Catalogue.of([ltx(0, 1, 1)]))
        assert not schedule.snapshot_due(), "nothing has changed since"
        assert 0 < schedule.idle() <= 3600
        schedule.note_acknowledged(2, full=False)
        assert schedule.snapshot_due()
        assert schedule.idle() == 0
        schedule.note_acknowledged(2, full=True)
        assert not schedule.snapshot_due()

    def test_the_age_of_the_newest_full_copy_counts(self) -> None:
        schedule = Schedule(SETTINGS, 1e12)
        schedule.note_catalogue(Catalogue.of([ltx(9, 1, 5), ltx(0, 6, 6)]))
        assert not schedule.snapshot_due()

    def test_a_busy_database_is_left_alone_for_a_while(self) -> None:
        schedule = Schedule(SETTINGS, 0.0)
        schedule.note_catalogue(Catalogue.of([ltx(9, 1, 5), ltx(0, 6, 6)]))
        assert schedule.snapshot_due()
        schedule.postpone_snapshot()
        assert not schedule.snapshot_due()

    def test_files_that_do_not_start_at_the_first_txid_are_no_full_copies(self) -> None:
        schedule = Schedule(SETTINGS, 1e9)
        schedule.note_catalogue(Catalogue.of([ltx(0, 6, 6)]))
        assert schedule.snapshot_due()

    def test_many_frames_are_due_at_once_and_few_later(self) -> None:
        schedule = Schedule(SETTINGS, 1e12)
        assert not schedule.checkpoint_due(0)
        assert not schedule.checkpoint_due(99)
        assert 0 < schedule.idle() <= 3600
        assert schedule.checkpoint_due(100)

    def test_a_checkpoint_that_readers_held_back_is_not_tried_again_at_once(self) -> None:
        schedule = Schedule(SETTINGS, 1e12)
        assert schedule.checkpoint_due(5000)
        schedule.note_checkpoint(4000)
        assert not schedule.checkpoint_due(5000)
        waits = []
        for _ in range(10):
            schedule.note_checkpoint(4000)
            waits.append(schedule.idle())
        assert waits[0] <= 2
        assert 30 < waits[-1] <= 60

    def test_a_checkpoint_that_copied_all_starts_afresh(self) -> None:
        schedule = Schedule(SETTINGS, 1e12)
        schedule.note_checkpoint(4000)
        schedule.note_checkpoint(0)
        assert schedule.checkpoint_due(100)

    def test_without_the_interval_only_the_number_of_frames_counts(self) -> None:
        schedule = Schedule(replace(SETTINGS, checkpoint_interval=0.0), 1e12)
        assert not schedule.checkpoint_due(99)
        assert schedule.checkpoint_due(100)

    def test_with_a_tiny_interval_anything_is_due(self) -> None:
        schedule = Schedule(replace(SETTINGS, checkpoint_interval=1e-9), 1e12)
        assert schedule.checkpoint_due(1)
        assert not schedule.checkpoint_due(0)
