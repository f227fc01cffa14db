"""An agent killed at any moment leaves a bucket that restores to a consistent prefix, with all it acknowledged."""

from __future__ import annotations

import asyncio
import hashlib
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from litefleet.bucket import Catalogue
from litefleet.config import replica_from_url
from litefleet.nats.connection import Connection
from litefleet.nats.objects import ObjectStore
from litefleet.restore import Restored, plan, restore
from tests.support.natsserver import NatsServer, nats_server
from tests.support.running import Agent, Writer, make_bucket, settle, write_config

KILLS_PER_BUCKET, BUCKETS = 20, 5


@pytest.fixture(scope="module")
def server() -> Iterator[NatsServer]:
    with nats_server() as running:
        yield running


def restored(url: str, bucket: str, output: Path) -> Restored:
    """Restore with SQLite's full check."""

    async def run() -> Restored:
        replica = replica_from_url(f"{url}/{bucket}")
        async with Connection.open(replica.server) as connection:
            store = ObjectStore(connection, bucket)
            chosen = plan(Catalogue.of((await store.list()).objects))
            return await restore(store, chosen, output, force=True, integrity_check="full")

    return asyncio.run(run())


def entries(path: Path) -> int:
    """How many entries the database holds; fails unless they are the first so many, each as it was written."""
    with sqlite3.connect(f"file:{path}?immutable=1", uri=True) as connection:
        rows = connection.execute("SELECT id, body, digest FROM entry ORDER BY id").fetchall()
        (total,) = connection.execute("SELECT entries FROM total").fetchone()
    connection.close()
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1)), "entries are missing in the middle"
    assert all(hashlib.sha256(body).hexdigest() == digest for _, body, digest in rows), "an entry has another content"
    assert total == len(rows), "half of a transaction was restored"
    return len(rows)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_agents_lose_nothing_they_acknowledged(server: NatsServer, tmp_path: Path) -> None:
    chance = random.Random(20261123)
    kills = 0
    for number in range(BUCKETS):
        bucket, path = f"kill{number}", tmp_path / f"app{number}.db"
        make_bucket(server.url, bucket)
        # Snapshots and checkpoints every moment, so that the kill meets them too.
        config = write_config(
            tmp_path / f"config{number}.yml", server.url, {path: bucket}, snapshot={"interval": "300ms"}
        )
        acknowledged = before = 0
        with Writer(path) as writer:
            writer.do("go 5 1500 0.008")
            for _ in range(KILLS_PER_BUCKET):
                with Agent(config) as agent:
                    agent.wait_for("acknowledged")
                    # Part of what is tested is that any moment will do; nothing waits for an event here.
                    agent.wait_quietly(chance.expovariate(4))
                    agent.kill()
                kills += 1
                acknowledged = max(acknowledged, agent.acknowledged())
                output = tmp_path / "restored.db"
                result = restored(server.url, bucket, output)
                assert result.txid >= acknowledged
                found = entries(output)
                assert found >= before, "an earlier restore held more"
                before = found
            committed = int(writer.do("halt").split()[1])
            assert before <= committed
            with Agent(config).ready() as agent:
                settle(config)
                assert agent.stop() == 0, agent.output()
            restored(server.url, bucket, output)
            assert entries(output) == committed
            writer.close()
        output.unlink()
    print(f"{kills} kills, every restore consistent")
    assert kills == 100
