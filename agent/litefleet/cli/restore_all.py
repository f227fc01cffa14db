"""``litefleet restore --all``: every database of a configuration, several at once, none stopped by another."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from litefleet.cli.common import load_config, print_json, print_table, size_text, time_text
from litefleet.cli.configured import JOBS, Buckets, look_at_all
from litefleet.cli.progress import Progress
from litefleet.config.settings import Database, Directory
from litefleet.errors import LitefleetError, NoBackup, OutputExists, RestoreError
from litefleet.restore import Plan, plan, restore
from litefleet.restore.output import check_free
from litefleet.restore.parents import make_parents


@dataclass(slots=True)
class Row:
    """What became of one database; sizes in bytes."""

    database: str
    output: str
    result: Literal["restored", "planned", "skipped", "failed"] = "failed"
    txid: str | None = None
    created: str | None = None
    files: int | None = None
    fetched_bytes: int | None = None
    bytes: int | None = None
    seconds: float | None = None
    detail: str = ""


@dataclass(slots=True)
class _Job:
    """One database on its way; ``base`` is the directory that its own directories are made in, if any are."""

    database: Database
    output: Path
    base: Path | None
    row: Row
    plan: Plan | None = None
    done: int = 0


async def run(options: argparse.Namespace) -> int:
    """Raises RestoreError if any database is not there in the end; all the others are."""
    settings = load_config(options)
    async with AsyncExitStack() as stack:
        buckets = Buckets(stack)
        configured = await look_at_all(settings, buckets)
        jobs = [
            _job(options, database, None if directory is None else directory.directory)
            for database, directory in configured.databases
        ]
        await _each(options, jobs, lambda job: _plan(options, job, buckets))
        planned = [job for job in jobs if job.plan is not None]
        if not options.dry_run:
            with Progress(f"restoring {len(planned)} databases", enabled=sys.stderr.isatty()) as progress:
                await _each(options, planned, lambda job: _restore(options, job, buckets, planned, progress))
    rows = [job.row for job in jobs] + [
        _row_of(directory, error)
        for directory, error in configured.untold
        if not (options.if_replica_exists and isinstance(error, NoBackup))
    ]
    _show(options, rows)
    failed = sum(row.result == "failed" for row in rows)
    if failed:
        raise RestoreError(
            f"{failed} of {len(rows)} databases cannot be restored" if options.dry_run
            else f"{failed} of {len(rows)} databases were not restored",
            hint="the table says why" + ("; the others are there" if failed < len(rows) else ""),
        )  # fmt: skip
    return 0


def _row_of(directory: Directory, error: LitefleetError) -> Row:
    name = f"{directory.directory}/{directory.pattern}"
    return Row(name, name, detail=str(error))


def _job(options: argparse.Namespace, database: Database, base: Path | None) -> _Job:
    output = database.path
    if options.output_dir is not None:
        base = options.output_dir.absolute()
        output = base / output.relative_to("/")
    return _Job(database, output, base, Row(str(database.path), str(output)))


async def _each(options: argparse.Namespace, jobs: Sequence[_Job], work: Callable[[_Job], Awaitable[None]]) -> None:
    """Do ``work`` for all jobs, so many at a time; what goes wrong with one is its row's."""
    room = asyncio.Semaphore(options.jobs or JOBS)

    async def one(job: _Job) -> None:
        async with room:
            try:
                await work(job)
            except LitefleetError as error:
                job.row.detail = str(error)

    async with asyncio.TaskGroup() as tasks:
        for job in jobs:
            tasks.create_task(one(job))


async def _plan(options: argparse.Namespace, job: _Job, buckets: Buckets) -> None:
    row = job.row
    if options.if_db_not_exists and await asyncio.to_thread(job.output.exists):
        row.result, row.detail = "skipped", "exists"
        return
    if not options.dry_run:
        try:
            await asyncio.to_thread(check_free, job.output, force=options.force)
        except OutputExists as error:
            error.hint = "`--force` replaces it, `--if-db-not-exists` leaves it, `--output-dir` writes elsewhere"
            raise
    replica = job.database.replica
    catalogue = buckets.catalogue(replica)
    if not catalogue.files and options.if_replica_exists:
        row.result, row.detail = "skipped", "no backup"
        return
    try:
        chosen = plan(catalogue, timestamp=options.timestamp)
    except NoBackup as error:
        error.message = f"{replica.url}: {error.message}"
        raise
    job.plan = chosen
    row.txid, row.created = f"{chosen.txid:016x}", time_text(chosen.files[-1].created)
    row.files, row.fetched_bytes = len(chosen.files), chosen.size
    if options.dry_run:
        row.result = "planned"


async def _restore(
    options: argparse.Namespace, job: _Job, buckets: Buckets, planned: Sequence[_Job], progress: Progress
) -> None:
    assert job.plan is not None
    began = time.monotonic()
    total = sum(other.plan.size for other in planned if other.plan is not None)

    def note(done: int, _all: int) -> None:
        job.done = done
        progress(sum(other.done for other in planned), total)

    if job.base is not None:
        await asyncio.to_thread(_make_room, job.base, job.output, own=options.output_dir is not None)
    restored = await restore(
        buckets.store(job.database.replica), job.plan, job.output,
        force=options.force, integrity_check=options.integrity_check, progress=note,
    )  # fmt: skip
    row = job.row
    row.result, row.txid, row.created = "restored", f"{restored.txid:016x}", time_text(restored.created)
    row.files, row.fetched_bytes, row.bytes = restored.files, restored.fetched, restored.size
    row.seconds = round(time.monotonic() - began, 3)


def _make_room(base: Path, output: Path, *, own: bool) -> None:
    if own:
        with contextlib.suppress(OSError):  # said by what comes next
            base.mkdir(parents=True, exist_ok=True)
    make_parents(base, output)


def _show(options: argparse.Namespace, rows: Sequence[Row]) -> None:
    if options.json:
        print_json([asdict(row) for row in rows])
        return
    print_table(
        ["database", "result", "txid", "time", "size", "seconds", "detail"],
        [
            [row.output, row.result, row.txid or "-", row.created or "-",
             size_text(size) if (size := row.bytes or row.fetched_bytes) else "-",
             "-" if row.seconds is None else f"{row.seconds:.1f}", row.detail]
            for row in rows
        ],
    )  # fmt: skip
