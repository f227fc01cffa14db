"""A restored database belongs to whom it belonged, also where its file is gone: the bucket's lease remembers it."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from litefleet.bucket.lease import LEASE_NAME, Lease, take
from litefleet.config.settings import Server
from litefleet.nats.connection import Connection
from litefleet.nats.objects import ObjectStore
from tests.integration.commands.conftest import Backup
from tests.support import agent

APP = Lease("/data/app.db", "host", owner="daemon", group="mail", mode=0o660)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def leased(backup: Backup, copied: Callable[[], str]) -> Callable[[Lease | None], str]:
    """Make a bucket with that lease, or without any; its URL."""

    def make(lease: Lease | None) -> str:
        bucket = copied()

        async def work() -> None:
            async with Connection.open(Server((backup.server.url,))) as connection:
                store = ObjectStore(connection, bucket)
                if (there := await store.info(LEASE_NAME)) is not None:
                    await store.purge(there)
                if lease is not None:
                    await take(store, lease)

        asyncio.run(work())
        return f"{backup.server.url}/{bucket}"

    return make


def restore(url: str, output: Path, *arguments: str) -> agent.Finished:
    """With a umask that shows."""
    done = subprocess.run(
        [*agent.command(), "restore", url, "-o", str(output), *arguments],
        check=False, capture_output=True, text=True, umask=0o027, timeout=agent.PATIENCE,
    )  # fmt: skip
    return agent.Finished(done.returncode, done.stdout, done.stderr)


def shape(path: Path) -> tuple[str, str, int]:
    return path.owner(), path.group(), stat.S_IMODE(path.stat().st_mode)


@as_root
def test_a_new_file_has_owner_group_and_mode_of_the_lease(leased: Callable[[Lease | None], str], place: Path) -> None:
    done = restore(leased(APP), place / "out.db")
    assert (done.code, done.err) == (0, "")
    assert shape(place / "out.db") == ("daemon", "mail", 0o660)


@as_root
def test_an_owner_without_a_name_is_taken_by_number(leased: Callable[[Lease | None], str], place: Path) -> None:
    assert restore(leased(replace(APP, owner="4711", group="4712", mode=0o600)), place / "out.db").code == 0
    there = (place / "out.db").stat()
    assert (there.st_uid, there.st_gid, stat.S_IMODE(there.st_mode)) == (4711, 4712, 0o600)


@as_root
def test_unknown_names_are_said_in_one_line_and_the_rest_is_kept(
    leased: Callable[[Lease | None], str], place: Path
) -> None:
    done = restore(leased(replace(APP, owner="nobody-here", group="nor-here")), place / "out.db")
    assert done.code == 0
    assert done.err.count("\n") == 1
    assert "'nobody-here' and group 'nor-here', unknown on this host; change it with `chown`" in done.err
    assert shape(place / "out.db") == ("root", "root", 0o660)


@as_root
def test_an_existing_file_keeps_its_own_instead(leased: Callable[[Lease | None], str], place: Path) -> None:
    (place / "out.db").touch(0o604)
    (place / "out.db").chmod(0o604)
    os.chown(place / "out.db", 4713, 4714)
    assert restore(leased(APP), place / "out.db").code == 0
    there = (place / "out.db").stat()
    assert (there.st_uid, there.st_gid, stat.S_IMODE(there.st_mode)) == (4713, 4714, 0o604)


def test_without_a_lease_the_umask_decides(leased: Callable[[Lease | None], str], place: Path) -> None:
    assert restore(leased(None), place / "out.db").code == 0
    assert stat.S_IMODE((place / "out.db").stat().st_mode) == 0o640
    assert (place / "out.db").stat().st_uid == os.geteuid()


@as_root
def test_a_lease_without_a_mode_leaves_that_to_the_umask(leased: Callable[[Lease | None], str], place: Path) -> None:
    assert restore(leased(replace(APP, mode=None)), place / "out.db").code == 0
    assert shape(place / "out.db") == ("daemon", "mail", 0o640)
