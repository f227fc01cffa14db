"""Servers that are far away: what costs round trips, and how many messages the same bytes make."""

from __future__ import annotations

from tests.conditions.link import link
from tests.conditions.scene import (
    Condition,
    Scene,
    Seen,
    bucket,
    comes_true,
    commit,
    equal,
    fill,
    objects,
    stop,
    subjects,
)
from tests.support.natsserver import nats_server

FILES = 101
FIRST_MEGABYTES = 61
MESSAGES = 20_000


def many_files(scene: Scene) -> Seen:
    """A restore from many small files, each of which costs round trips."""
    with nats_server() as server:
        bucket(server.url)
        database = scene.database()
        # Nothing is joined: the files are as many as the transactions.
        often = {"monitor-interval": "50ms"}
        config = scene.simple(database, server.url, each=often, levels=[{"interval": "24h"}])
        with scene.daemon(config) as process:
            comes_true(lambda: bool(subjects(server.url)))

            def enough() -> bool:
                commit(database)
                return len(subjects(server.url)) >= FILES

            made = comes_true(enough, 150)
            stop(process)
        if not made:
            return Seen(False, f"{len(subjects(server.url))} files were made, not {FILES}")
        with link(server.port, round_trip=0.03) as way:
            back = scene.restore(way.url, patience=300)
    if back.code != 0:
        return Seen(False, f"gives up after {back.seconds:.0f} s ({back.complaint}): {scene.said(back.output)}")
    # Not a measurement: the one takes a second, the other minutes.
    good = equal(database, scene.restored) and back.seconds < 30
    return Seen(good, f"a database of {database.stat().st_size // 1024} KiB is restored in {back.seconds:.1f} s")


def messages(scene: Scene) -> Seen:
    """Messages that a joined file is stored in."""
    with nats_server() as server:
        bucket(server.url)
        database = scene.database()
        with scene.daemon(scene.simple(database, server.url, levels=[{"interval": "5s"}])) as process:
            comes_true(lambda: bool(subjects(server.url)))
            fill(database, 40)
            joined = comes_true(lambda: sum(one["size"] for one in objects(server.url, level=1)) > 30e6)
            stop(process)
        found = max(objects(server.url, level=1), key=lambda one: int(one["size"]), default=None)
    if not joined or found is None:
        return Seen(False, "no file of level 1 was made")
    per_gib = found["chunks"] / found["size"] * 2**30
    text = f"{found['chunks']:,} messages for {found['size'] / 1e6:.0f} MB, {per_gib:,.0f} for 1 GiB"
    return Seen(per_gib < MESSAGES, text)


def far_snapshot(scene: Scene) -> Seen:
    """A first backup and a snapshot over a link with a long round trip."""
    with nats_server() as server:
        bucket(server.url)
        database = scene.database(megabytes=FIRST_MEGABYTES)
        with link(server.port, round_trip=0.5) as way:
            config = scene.simple(database, way.url, snapshot={"interval": "20s"})
            with scene.daemon(config) as process:
                first = comes_true(lambda: bool(objects(server.url, level=0)))
                commit(database)
                snapshot = comes_true(lambda: bool(objects(server.url, level=9)))
                said = scene.said(process.output())
                process.kill()
        if not first or not snapshot:
            return Seen(False, f"{'no snapshot' if first else 'no backup'} after 90 s: {said}")
        back = scene.restore(server.url)
    if back.code != 0:
        return Seen(False, f"restore: {scene.said(back.output)}")
    return Seen(equal(database, scene.restored), "the backup and the snapshot arrive, and restore")


CONDITIONS = (
    Condition(802, f"Restore from {FILES} files, 30 ms away (round trip)", many_files, waiting=True),
    Condition(804, "Messages that a joined file of 40 MB is stored in", messages),
    Condition(
        805,
        f"First backup of {FIRST_MEGABYTES} MB and a snapshot, 500 ms away (round trip)",
        far_snapshot,
        waiting=True,
    ),
)
