"""Much data, or a narrow way for it."""

from __future__ import annotations

from tests.conditions.link import link
from tests.conditions.scene import (
    Condition,
    Scene,
    Seen,
    bucket,
    comes_true,
    equal,
    stop,
    stored_bytes,
    subjects,
)
from tests.support.natsserver import nats_cluster, nats_server

REPLICATED_MEGABYTES = 657
#: Seconds after a start in which what a cut-off upload left is gone.
SWEPT_WITHIN = 30


def slow_restore(scene: Scene) -> Seen:
    """41 MB over 4 MB/s."""
    with nats_server() as server:
        bucket(server.url)
        database = scene.database(megabytes=41)
        done = scene.once(scene.simple(database, server.url))
        if done.code != 0:
            return Seen(False, f"backup: {scene.said(done.output)}")
        with link(server.port, rate=4e6) as way:
            back = scene.restore(way.url)
        if back.code != 0:
            return Seen(False, f"gives up after {back.seconds:.0f} s ({back.complaint}): {scene.said(back.output)}")
        return Seen(equal(database, scene.restored), f"restored in {back.seconds:.0f} s")


def large_replicated(scene: Scene) -> Seen:
    """The first backup of a large database to a bucket with three replicas."""
    database = scene.database(megabytes=REPLICATED_MEGABYTES)
    with nats_cluster(store_dir=scene.directory / "nats") as cluster:
        url = cluster.urls[0]
        bucket(url, replicas=3)
        done = scene.once(scene.simple(database, url))
        if done.code != 0:
            left = stored_bytes(url) / 1e6
            return Seen(
                False,
                f"gives up after {done.seconds:.0f} s ({done.complaint}), {len(subjects(url))} objects and "
                f"{left:.0f} MB in the bucket: {scene.said(done.output)}",
            )
        cluster.wait_direct_access("OBJ_backups")
        back = scene.restore(url)
        if back.code != 0:
            return Seen(False, f"backs up in {done.seconds:.0f} s; restore fails: {scene.said(back.output)}")
        good = equal(database, scene.restored)
        return Seen(good, f"backed up in {done.seconds:.0f} s, restored in {back.seconds:.0f} s")


def orphan_chunks(scene: Scene) -> Seen:
    """kill -9 in the middle of an upload, then a start that finishes it."""
    with nats_server() as server:
        bucket(server.url)
        database = scene.database(megabytes=40)
        with link(server.port, rate=5e6) as way, scene.daemon(scene.simple(database, way.url)) as first:
            arrived = comes_true(lambda: stored_bytes(server.url) > 10e6)
            first.kill()
        if not arrived:
            return Seen(False, "the upload did not begin")
        cut = set(subjects(server.url, kind="C"))
        with scene.daemon(scene.simple(database, server.url)) as second:
            goes_on = comes_true(lambda: bool(subjects(server.url)))
            removed = comes_true(lambda: not cut & set(subjects(server.url, kind="C")), SWEPT_WITHIN)
            stop(second)
            said = scene.said(second.output())
        left = cut & set(subjects(server.url, kind="C"))
    if not goes_on:
        return Seen(False, f"start after the kill: {said}")
    if not removed:
        return Seen(False, f"goes on; the chunks of {len(left)} cut-off uploads are there half a minute later")
    return Seen(True, "goes on; nothing is left of the cut-off upload half a minute later")


CONDITIONS = (
    Condition(8, "Restore of a 41 MB database over a link paced to 4 MB/s (about 3 MB/s net)", slow_restore),
    Condition(9, f"First backup of a {REPLICATED_MEGABYTES} MB database to a bucket with 3 replicas", large_replicated),
    Condition(
        820,
        "kill -9 during an upload, then a start",
        orphan_chunks,
        waiting=True,
    ),
)
