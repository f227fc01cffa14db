"""``litefleet retention --dry-run``: what the agent would remove, why, and what can be restored from the rest."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from litefleet.bucket import format_timestamp
from litefleet.bucket.names import TIMESTAMP_HEADER
from litefleet.config.settings import Server
from litefleet.nats.connection import Connection
from litefleet.nats.objects import ObjectStore
from tests.integration.commands.conftest import Backup, object_name
from tests.support import agent
from tests.support.running import make_bucket

SNAPSHOT_2, LEVEL_1 = f"ltx/9/{1:016x}-{2:016x}.ltx", f"ltx/1/{3:016x}-{4:016x}.ltx"
HOUR = 3600.0


def stored(url: str, bucket: str, files: dict[str, tuple[float, int]]) -> str:
    """A bucket with objects of an age in seconds and a size; their content does not matter here."""

    async def fill() -> None:
        now = datetime.now(UTC)
        async with Connection.open(Server((url,))) as connection:
            store = ObjectStore(connection, bucket)
            for name, (age, size) in files.items():
                stamp = format_timestamp(int((now - timedelta(seconds=age)).timestamp() * 1000))
                await store.put(name, bytes(size), headers={TIMESTAMP_HEADER: stamp})

    make_bucket(url, bucket)
    asyncio.run(fill())
    return f"{url}/{bucket}"


@pytest.fixture(scope="module")
def grown(backup: Backup) -> str:
    """A bucket whose window of 24 hours begins with a snapshot; level 1 has joined two of three transactions since."""
    files = {
        object_name(1): (50 * HOUR, 100), object_name(2): (49 * HOUR, 100), SNAPSHOT_2: (48 * HOUR, 1000),
        object_name(3): (2 * HOUR, 100), object_name(4): (HOUR, 100), LEVEL_1: (HOUR, 150), object_name(5): (10.0, 100),
    }  # fmt: skip
    return stored(backup.server.url, "grown", files)


def dry_run(*arguments: str | Path) -> Any:
    return agent.run("retention", "--dry-run", "--json", *arguments).json()


def test_what_would_go_is_summed_by_reason_and_the_rest_is_what_can_be_restored(grown: str) -> None:
    (report,) = dry_run(grown)
    assert (report["window_seconds"], report["l0_retention_seconds"], report["enabled"]) == (24 * HOUR, 300.0, True)
    assert report["remove"] == {
        f"before the recovery window, which starts at TXID {2:016x}": {"objects": 2, "bytes": 200},
        "level 1 has held the same for more than 300 s": {"objects": 2, "bytes": 200},
    }
    assert (report["remaining"], report["points"]) == ({"objects": 3, "bytes": 1250}, 3)
    points = agent.run("history", grown, "--json").json()["points"]
    assert (report["oldest"], report["newest"]) == (points[1]["time"], points[-1]["time"])
    assert report["problem"] == ""


def test_other_settings_have_other_results(grown: str) -> None:
    (report,) = dry_run(grown, "--window", "48h30m", "--l0-retention", "0")
    assert report["remove"] == {}
    assert report["remaining"]["objects"] == 7
    assert 0 < report["next_seconds"] <= 1800
    (report,) = dry_run(grown, "--l0-retention", "2h")
    assert [total["objects"] for total in report["remove"].values()] == [2]


def test_nothing_is_removed_and_the_text_says_the_same(grown: str) -> None:
    before = agent.run("ltx", grown, "--level", "all", "--json").json()
    done = agent.run("retention", "--dry-run", grown)
    assert (done.code, done.err) == (0, "")
    name, window, *rest = done.out.splitlines()
    assert (name, window) == (grown, "  window 24h, level 0 kept 5m once compacted")
    assert rest[0].startswith(f"  remove 2 objects, 200 B: before the recovery window, which starts at TXID {2:016x}")
    assert rest[1].startswith("  remove 2 objects, 200 B: level 1 has held the same")
    assert any(line.startswith("  keep 3 objects, 1.2 KiB") for line in rest)
    assert rest[-1].startswith("  restorable then: 3 points from ")
    assert agent.run("ltx", grown, "--level", "all", "--json").json() == before


def test_every_database_of_the_configuration_by_its_own_policy(backup: Backup, grown: str, place: Path) -> None:
    buckets = {"a.db": "grown", "b.db": backup.bucket, "c.db": "grown-nowhere"}
    dbs = [{"path": str(place / n), "replica": {"url": backup.server.url, "bucket": b}} for n, b in buckets.items()]
    config = place / "litefleet.yml"
    content: dict[str, Any] = {"dbs": dbs, "snapshot": {"retention": "72h"}, "l0-retention": "30m"}
    config.write_text(json.dumps(content))
    done = agent.run("retention", "--config", config, "--dry-run", "--json")
    assert done.code == 4
    assert done.err.startswith("litefleet: Bucket not found: `grown-nowhere`")
    assert done.err.count("\n") == 1
    first, second, third = json.loads(done.out)
    assert (first["database"], first["window_seconds"]) == (str(place / "a.db"), 72 * HOUR)
    assert list(first["remove"]) == ["level 1 has held the same for more than 1800 s"]
    assert (second["remove"], second["remaining"]["objects"]) == ({}, 4)
    assert "grown-nowhere" in third["problem"]
    config.write_text(json.dumps({**content, "dbs": dbs[:1], "retention": {"enabled": False}}))
    done = agent.run("retention", "--config", config, "--dry-run", place / "a.db")
    assert (done.code, done.err) == (0, "")
    assert "`retention.enabled` is false: nothing is ever removed" in done.out
    assert "keep 7 objects" in done.out


def test_a_gap_keeps_everything_and_says_so(backup: Backup, copied: Callable[[], str]) -> None:
    bucket = copied()
    for txid in (1, 3):
        agent.change_object(backup.server.url, bucket, object_name(txid), agent.StoredObject.remove)

    async def snapshots() -> None:
        async with Connection.open(Server((backup.server.url,))) as connection:
            stamp = {TIMESTAMP_HEADER: "2026-01-01T00:00:00Z"}
            await ObjectStore(connection, bucket).put(SNAPSHOT_2, b"s", headers=stamp)

    asyncio.run(snapshots())
    done = agent.run("retention", "--dry-run", f"{backup.server.url}/{bucket}")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("litefleet: Nothing is removed, as the newest state cannot be restored: ")
    assert done.err.count("\n") == 1


def test_without_dry_run_it_is_refused(grown: str) -> None:
    done = agent.run("retention", grown)
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "litefleet: Only the agent removes: it alone knows what it is about to write; `--dry-run` shows what it would"
        " remove; `litefleet clean` removes what no backup needs\n"
    )
