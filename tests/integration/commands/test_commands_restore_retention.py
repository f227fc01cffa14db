"""A restore that loses files to retention on its way starts over with those that took their place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from litefleet.config.settings import Server
from litefleet.nats.connection import Connection
from litefleet.nats.objects import ObjectInfo, ObjectStore
from tests.integration.commands.conftest import Backup, object_name
from tests.support import agent
from tests.support.proxy import tcp_proxy
from tests.support.running import make_bucket
from tests.support.sqlitewriter import Writer

#: Bytes after which the network hangs: some of the only file, and less than all that is asked for at once.
SOME = 3 << 20
SNAPSHOT = f"ltx/9/{1:016x}-{1:016x}.ltx"


def listing(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.fixture
def large(backup: Backup, tmp_path: Path, request: pytest.FixtureRequest) -> Backup:
    """A database whose backup is one file of many chunks."""
    bucket = f"large-{abs(hash(request.node.name))}"
    make_bucket(backup.server.url, bucket)
    database = tmp_path / "large.db"
    replica = {"url": backup.server.url, "bucket": bucket}
    config = agent.write_config(tmp_path / "litefleet.yml", [(database, replica)], logging={"level": "error"})
    with Writer(database) as app:
        app.run("CREATE TABLE t (b)")
        app.run("INSERT INTO t VALUES (randomblob(?))", [[100_000]] * 300)
        assert agent.run("replicate", "--config", config, "--once").code == 0
        return Backup(backup.server, database, config, bucket, {1: agent.database_bytes(database, tmp_path)})


@asynccontextmanager
async def stopped_in_the_middle(
    large: Backup, output: Path, *arguments: str
) -> AsyncIterator[tuple[ObjectStore, Callable[[], Awaitable[agent.Finished]]]]:
    """A restore that waits for the network, the store, and what lets it go on to its end."""
    async with (
        tcp_proxy(large.server.port) as proxy,
        Connection.open(Server((large.server.url,))) as connection,
    ):
        proxy.hang_after(SOME)
        async with agent.started("restore", f"{proxy.url}/{large.bucket}", "-o", str(output), *arguments) as process:
            async with asyncio.timeout(agent.PATIENCE):
                await proxy.hung.wait()

            async def go_on() -> agent.Finished:
                proxy.resume()
                return await agent.finished(process)

            yield ObjectStore(connection, large.bucket), go_on


async def the_file(store: ObjectStore) -> ObjectInfo:
    (found,) = [info for info in (await store.list()).objects if info.name == object_name(1)]
    return found


async def test_it_starts_over_with_what_took_their_place(large: Backup, place: Path) -> None:
    async with stopped_in_the_middle(large, place / "out.db", "--integrity-check", "full") as (store, go_on):
        info = await the_file(store)
        await store.put(SNAPSHOT, store.read(info), headers=info.headers)
        await store.purge(info)
        done = await go_on()
    assert (done.code, done.err) == (0, "")
    assert listing(place) == {"out.db": large.newest}


async def test_a_point_that_is_gone_with_them_is_said(large: Backup, place: Path) -> None:
    async with stopped_in_the_middle(large, place / "out.db", "--txid", "1") as (store, go_on):
        await store.purge(await the_file(store))
        done = await go_on()
    assert done.code == 7, done.err
    assert "Files were removed while they were being restored" in done.err
    assert done.err.count("\n") == 1
    assert listing(place) == {}


async def test_a_file_that_is_damaged_is_said_to_be(large: Backup, place: Path) -> None:
    async with stopped_in_the_middle(large, place / "out.db") as (store, go_on):
        info = await the_file(store)
        async with Connection.open(Server((large.server.url,))) as connection:
            await connection.request(
                store.names.api("PURGE"), b'{"filter":"%s"}' % store.names.chunks(info.nuid).encode()
            )
        done = await go_on()
    assert done.code == 5, done.err
    assert f"`{object_name(1)}`" in done.err
    assert listing(place) == {}
