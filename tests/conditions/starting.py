"""Configurations in the forms of Litestream's NATS guide, and what programs make of them."""

from __future__ import annotations

import nkeys

from tests.conditions.scene import Condition, Scene, Seen, bucket, count, equal
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


def shared_bucket(scene: Scene) -> Seen:
    """Two databases, one bucket, a path for each."""
    with nats_server() as server:
        bucket(server.url)
        a, b = scene.database("a.db"), scene.database("b.db")
        if not scene.ours:
            where = {"url": f"{server.url}/backups"}
            done = scene.once(scene.config({a: {**where, "path": "a"}, b: {**where, "path": "b"}}), patience=30)
            back = scene.restore(server.url)
            if back.code != 0:
                return Seen(False, f"replicates (exit {done.code}); restore: {scene.said(back.output)}")
            found = {name: count(scene.restored, name) for name in ("a.db", "b.db")}
            said = "nothing is said" if done.code == 0 else f"exit {done.code}: {scene.said(done.output)}"
            rows = ", ".join(f"{number} rows of {name}" for name, number in found.items())
            return Seen(False, f"both write to the same place; the one restore there is holds {rows}; {said}")
        refusals = []
        for extra in ({"path": "a"}, {}):
            where = {"url": server.url, "bucket": "backups", **extra}
            refusals.append(scene.once(scene.config({a: where, b: where}), patience=30))
        good = all(done.code == 2 for done in refusals)
        return Seen(good, f"refused (exit {refusals[1].code}): {scene.said(refusals[1].output)}")


def directory(scene: Scene) -> Seen:
    """`dir:` instead of `path:`."""
    with nats_server() as server:
        bucket(server.url)
        scene.database()
        where = server.url if scene.ours else f"{server.url}/backups"
        named = "bucket: backups, " if scene.ours else ""
        config = scene.directory / "config.yml"
        config.write_text(
            f"dbs: [{{dir: '{scene.directory}', pattern: '*.db', replica: {{{named}type: nats, url: '{where}'}}}}]\n"
        )
        done = scene.once(config, patience=30)
        return Seen(done.code == 0, f"exit {done.code}: {scene.said(done.output)}")


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
        where = {"url": server.url, "bucket": "backups"} if scene.ours else {"url": f"{server.url}/backups"}
        done = scene.once(scene.config({database: {**where, "nkey": key.seed}}), patience=30)
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
    with nats_server() as server:
        bucket(server.url)
        replica: dict[str, object] = {"url": f"{server.url}/backups", "max-reconects": 5}
        done = scene.once(scene.config({scene.database(): replica}), patience=30)
        if done.code == 0:
            return Seen(False, "accepted and ignored (exit 0)")
        return Seen(done.code == 2 and "did you mean" in done.output, f"exit {done.code}: {scene.said(done.output)}")


CONDITIONS = (
    Condition(1, "Quick start: `url: nats://HOST:4222` and `bucket:`", quick_start),
    Condition(2, "Two databases, one bucket, a `path:` for each", shared_bucket),
    Condition(3, "`dir:` with a pattern", directory, open_because="directories are not followed yet"),
    Condition(4, "Clustered form: list of URLs (the second server is down) and `bucket:`", url_list),
    Condition(5, "`nkey: SUA…`", nkey),
    Condition(6, "`nats://user:pass@HOST/BUCKET`", userinfo),
    Condition(14, "A misspelt key: `max-reconects: 5`", unknown_key),
)
