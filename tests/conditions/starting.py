"""Configurations in the forms of Litestream's NATS guide, and what programs make of them."""

from __future__ import annotations

import nkeys

from tests.conditions.scene import Condition, Scene, Seen, bucket, equal
from tests.support.natsserver import free_ports, nats_server
from tests.support.operator import Key


def _backs_up(scene: Scene, replica: dict[str, object], url: str) -> Seen:
    """Back up with the configuration as the guide prints it, then restore by URL."""
    database = scene.database()
    done = scene.once(scene.config({database: replica}), patience=30)
    if done.code != 0:
        return Seen(False, f"does not start ({done.complaint}): {scene.said(done.output)}")
    back = scene.restore(url)
    good = back.code == 0 and equal(database, scene.restored)
    return Seen(good, "backs up and restores" if good else f"restore: {back.complaint}: {scene.said(back.output)}")


def quick_start(scene: Scene) -> Seen:
    with nats_server() as server:
        bucket(server.url)
        return _backs_up(scene, {"url": server.url, "bucket": "backups"}, server.url)


def printed_permissions(scene: Scene) -> Seen:
    """A user with just what the guide's list of permissions allows: no client can work with it."""
    granted = {"publish": ["$JS.API.OBJECT.>"], "subscribe": ["$JS.API.OBJECT.>", "_INBOX.>"]}
    users = [
        {"user": "admin", "password": "admin"},
        {"user": "backup", "password": "secret", "permissions": granted},
    ]
    with nats_server({"authorization": {"users": users}}) as server:
        bucket(f"nats://admin:admin@127.0.0.1:{server.port}")
        where = scene.where(server.url, username="backup", password="secret")
        config = scene.config({scene.database(): where})
        done = scene.once(config, patience=30)
    named = "$JS.API.STREAM.INFO.OBJ_backups" in done.output
    # Not a measurement: the one is told at once, the other waits for an answer that never comes.
    good = done.code not in (0, None) and named and done.seconds < 3
    said = scene.said(done.output)
    return Seen(good, f"{done.complaint} after {done.seconds:.1f} s: {said}")


def url_list(scene: Scene) -> Seen:
    """A list of servers, of which the second is down, and `bucket:`."""
    with nats_server() as server:
        bucket(server.url)
        urls = f"{server.url},nats://127.0.0.1:{free_ports(1)[0]}"
        return _backs_up(scene, {"url": urls, "bucket": "backups"}, server.url)


def nkey(scene: Scene) -> Seen:
    key = Key(nkeys.PREFIX_BYTE_USER)
    admin = {"user": "admin", "password": "admin"}
    with nats_server({"authorization": {"users": [admin, {"nkey": key.public}]}}) as server:
        url = f"nats://admin:admin@127.0.0.1:{server.port}"
        bucket(url)
        database = scene.database()
        done = scene.once(scene.config({database: scene.where(server.url, nkey=key.seed)}), patience=30)
        if done.code != 0:
            return Seen(False, f"does not start ({done.complaint}): {scene.said(done.output)}")
        return Seen(True, "logs in and backs up")


def userinfo(scene: Scene) -> Seen:
    """`nats://user:pass@host/bucket` on the command line and in the file."""
    with nats_server({"authorization": {"user": "backup", "password": "secret"}}) as server:
        url = f"nats://backup:secret@127.0.0.1:{server.port}"
        bucket(url)
        return _backs_up(scene, {"url": f"{url}/backups"}, url)


def unknown_key(scene: Scene) -> Seen:
    """A misspelt key, and one in the wrong place."""
    with nats_server() as server:
        bucket(server.url)
        database = scene.database()
        misspelt, misplaced = (
            scene.once(scene.config({database: {"url": f"{server.url}/backups", **extra}}), patience=30)
            for extra in ({"max-reconects": 5}, {"retention": "72h"})
        )
    if misspelt.code == misplaced.code == 0:
        return Seen(False, "both accepted and ignored (exit 0)")
    good = misspelt.code == misplaced.code == 2 and "did you mean" in misspelt.output
    return Seen(good, f"exit {misspelt.code}: {scene.said(misspelt.output)}; exit {misplaced.code} for the other")


CONDITIONS = (
    Condition(1, "Quick start: `url: nats://HOST:4222` and `bucket:`", quick_start),
    Condition(4, "Clustered form: list of URLs (the second server is down) and `bucket:`", url_list),
    Condition(5, "`nkey: SUA…`", nkey),
    Condition(6, "`nats://user:pass@HOST/BUCKET`", userinfo),
    Condition(7, "A user with the guide's permissions, `$JS.API.OBJECT.>`", printed_permissions),
    Condition(
        14, "A misspelt key, `max-reconects: 5`; a key in the wrong place, `retention: 72h` of a replica", unknown_key
    ),
)
