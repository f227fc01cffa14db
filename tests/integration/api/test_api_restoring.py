"""Restoring from within a program: which point, where to, and what is refused."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import litefleet
from litefleet.errors import ConfigError, NoBackup, OutputExists, UsageError
from tests.integration.api.conftest import Application, rows


async def test_every_acknowledged_point_can_be_restored(app: Application, url: str, tmp_path: Path) -> None:
    points: list[tuple[int, datetime]] = []
    async with litefleet.replicating(app.path, url) as replica:
        for _ in range(3):
            app.commit()
            await replica.wait_durable()
            (status,) = await replica.status()
            assert status.acknowledged_at is not None
            points.append((status.acknowledged_txid, status.acknowledged_at))
    for count, (txid, moment) in enumerate(points, 1):
        by_txid = await litefleet.restore(url, tmp_path / f"txid{count}.db", txid=txid)
        by_time = await litefleet.restore(url, tmp_path / f"time{count}.db", timestamp=moment)
        assert (by_txid.txid, by_time.txid) == (txid, txid)
        assert rows(by_txid.path) == rows(by_time.path) == count
    with pytest.raises(NoBackup, match="the oldest full copy"):
        await litefleet.restore(url, tmp_path / "early.db", timestamp=points[0][1] - timedelta(days=1))


async def test_an_existing_file_is_replaced_only_by_force(app: Application, url: str, tmp_path: Path) -> None:
    async with litefleet.replicating(app.path, url):
        app.commit()
    output = tmp_path / "restored.db"
    seen: list[tuple[int, int]] = []
    first = await litefleet.restore(url, output, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (first.fetched, first.fetched)
    with pytest.raises(OutputExists):
        await litefleet.restore(url, output)
    again = await litefleet.restore({"url": url}, output, force=True, integrity_check="full", timeout="5s")
    assert (again.txid, again.size, rows(output)) == (first.txid, output.stat().st_size, 1)


async def test_what_makes_no_sense_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="two points in time"):
        await litefleet.restore(url, tmp_path / "a.db", txid=1, timestamp=datetime.now(UTC))
    with pytest.raises(UsageError, match="no time zone"):
        await litefleet.restore(url, tmp_path / "a.db", timestamp=datetime(2026, 1, 1))  # noqa: DTZ001
    with pytest.raises(NoBackup, match="holds no backup"):
        await litefleet.restore(url, tmp_path / "a.db")
    assert not await asyncio.to_thread((tmp_path / "a.db").exists)


async def test_names_may_be_any_text(url: str, tmp_path: Path) -> None:
    app = Application(tmp_path / "größe 🗄 '\".db")
    async with litefleet.replicating(app.path, url) as replica:
        app.commit()
        await replica.wait_durable(app.path)
        assert [status.path for status in await replica.status()] == [app.path]
    app.connection.close()
    restored = await litefleet.restore(url, tmp_path / f"restored {app.path.name}")
    assert rows(restored.path) == 1
    with pytest.raises(ConfigError, match="not UTF-8"):
        await litefleet.replicating(tmp_path / os.fsdecode(b"caf\xe9.db"), url).__aenter__()


@pytest.mark.parametrize(
    "program",
    [
        "import litefleet, sys; assert not {'asyncio', 'nats', 'apsw'} & sys.modules.keys()",
        "from litefleet import restore; assert callable(restore)",
        "import litefleet; litefleet.Replicator; import litefleet.restore.run; assert callable(litefleet.restore)",
        "from litefleet import *; assert callable(replicating) and callable(restore)",
    ],
)
def test_the_names_are_there_when_they_are_asked_for_and_not_before(program: str) -> None:
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    with pytest.raises(AttributeError, match="has no attribute 'replicate_all'"):
        _ = litefleet.replicate_all
