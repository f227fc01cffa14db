"""Restores that must choose well, and figures that must tell."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from litefleet.config.settings import Server
from litefleet.nats.connection import Connection
from litefleet.nats.objects import ObjectStore
from tests.conditions.scene import Condition, Scene, Seen, bucket, commit, equal, objects
from tests.support.natsserver import nats_server


def _copied(url: str) -> None:
    """A bucket as copying it in another order leaves it: the older snapshot last, level 0 only as far as needed."""

    async def copy() -> None:
        async with Connection.open(Server((url,))) as connection:
            source, target = ObjectStore(connection, "backups"), ObjectStore(connection, "copied")
            found = {info.name: info for info in (await source.list()).objects}
            snapshots = sorted(name for name in found if name.startswith("ltx/9/"))
            newest = max(name for name in found if name.startswith("ltx/0/"))
            for name in (newest, snapshots[-1], snapshots[0]):
                await target.put(name, source.read(found[name]), headers=found[name].headers)

    asyncio.run(copy())


def newest_snapshot(scene: Scene) -> Seen:
    """Two snapshots, of which the newer one was stored earlier."""
    with nats_server() as server:
        bucket(server.url)
        bucket(server.url, "copied")
        database = scene.database()
        # Made by Litestream for both: it takes snapshots when told to.
        peer = Scene("litestream", scene.directory)
        for _ in range(3):
            commit(database)
            peer.run("replicate", "-config", peer.simple(database, server.url), "-once", "-force-snapshot")
        _copied(server.url)
        back = scene.restore(server.url, "copied")
    if back.code != 0:
        return Seen(False, f"unrestorable ({back.complaint}): {scene.said(back.output)}")
    good = equal(database, scene.restored)
    return Seen(good, "the newest state is restored" if good else "an older state is restored, and nothing is said")


def newest_time(scene: Scene) -> Seen:
    """`-timestamp` with the time of the newest transaction, and with a later one."""
    with nats_server() as server:
        bucket(server.url)
        database = scene.database()
        config = scene.simple(database, server.url)
        for _ in range(3):
            commit(database)
            scene.once(config)
        newest = max(one["headers"]["Litestream-Timestamp"][0] for one in objects(server.url, level=0))
        later = (datetime.fromisoformat(newest) + timedelta(hours=1)).isoformat()
        results = []
        for word, time in (("its own time", newest), ("a later one", later)):
            scene.restored.unlink(missing_ok=True)
            back = scene.run("restore", "-timestamp", time, "-o", scene.restored, f"{server.url}/backups")
            good = back.code == 0 and equal(database, scene.restored)
            what = "the newest state" if good else scene.said(back.output) or "an older state"
            results.append((good, f"with {word}: {what}"))
    return Seen(all(good for good, _ in results), "; ".join(text for _, text in results))


CONDITIONS = (
    Condition(823, "Two snapshots, the newer stored before the older", newest_snapshot, waiting=True),
    Condition(826, "`-timestamp` that names the newest state, by URL", newest_time, waiting=True),
)
