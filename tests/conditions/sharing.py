"""Several databases, or several writers, and one bucket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.conditions.scene import (
    Condition,
    Done,
    Scene,
    Seen,
    bucket,
    comes_true,
    commit,
    count,
    equal,
    sound,
    stop,
    subjects,
)
from tests.support.natsserver import nats_server


def shared_bucket(scene: Scene) -> Seen:
    """Two databases, one bucket, a path for each."""
    with nats_server() as server:
        bucket(server.url)
        a, b = scene.database("a.db"), scene.database("b.db")
        done = scene.once(
            scene.config({a: scene.where(server.url, path="a"), b: scene.where(server.url, path="b")}), patience=30
        )
        if scene.ours:
            if done.code != 0:
                return Seen(False, f"{done.complaint}: {scene.said(done.output)}")
            for database, path in ((a, "a"), (b, "b")):
                back = scene.restore(server.url, f"backups/{path}")
                if back.code != 0 or count(scene.restored, database.name) != 3 or not equal(database, scene.restored):
                    return Seen(False, f"restore of {database.name}: {scene.said(back.output) or 'other rows'}")
            return Seen(True, "each is backed up below its path, and restores with its own rows")
        back = scene.restore(server.url)
        if back.code != 0:
            return Seen(False, f"replicates (exit {done.code}); restore: {scene.said(back.output)}")
        found = {name: count(scene.restored, name) for name in ("a.db", "b.db")}
        said = "nothing is said" if done.code == 0 else f"exit {done.code}: {scene.said(done.output)}"
        rows = ", ".join(f"{number} rows of {name}" for name, number in found.items())
        return Seen(False, f"both write to the same place; the one restore there is holds {rows}; {said}")


def second_database(scene: Scene) -> Seen:
    """A second database on a bucket that has one: in the same file, then in that of another host, twice."""
    with nats_server() as server:
        bucket(server.url, "both")
        bucket(server.url)
        a, b = scene.database("a.db"), scene.database("b.db")
        both, where = scene.where(server.url, "both"), scene.where(server.url)
        together = scene.once(scene.config({scene.database(f"{name}.db"): both for name in "cd"}), patience=30)
        first = scene.once(_of_host(scene, "one", a, where), patience=30)
        others = [scene.once(_of_host(scene, "two", b, where), patience=30) for _ in range(2)]
        back = scene.restore(server.url)
        kept = back.code == 0 and equal(a, scene.restored)
        commit(a)
        again = scene.once(_of_host(scene, "one", a, where), patience=30)
    refused = together.code == 2 and all(other.code not in (0, None) for other in others)
    words = f"in one file: {_what(scene, together)}; from another host: {_what(scene, others[-1])}"
    if kept and refused and first.code == again.code == 0 and str(a) in others[-1].output:
        return Seen(True, words)
    return Seen(False, f"{words}; a restore gives {'the first' if kept else 'the second'} database")


def _of_host(scene: Scene, host: str, database: Path, where: dict[str, Any]) -> Path:
    """The configuration of a host of that name; Litestream has no names for hosts."""
    top: dict[str, Any] = {"identity": host} if scene.ours else {}
    return scene.config({database: where}, **top)


def _what(scene: Scene, done: Done) -> str:
    return "accepted" if done.code == 0 else f"refused ({done.complaint}): {scene.said(done.output)}"


def directory(scene: Scene) -> Seen:
    """`dir:` instead of `path:`, and one bucket for all."""
    with nats_server() as server:
        bucket(server.url)
        (scene.directory / "dbs").mkdir()
        databases = [scene.database(f"dbs/{name}.db") for name in ("a", "b")]
        config = scene.directory / "config.yml"
        entry = {"dir": str(scene.directory / "dbs"), "pattern": "*.db"}
        entry["replica"] = {"type": "nats", **scene.where(server.url)}  # type: ignore[assignment]
        config.write_text(yaml.safe_dump({"dbs": [entry], **scene.defaults}))
        done = scene.once(config, patience=30)
        if done.code != 0:
            return Seen(False, f"exit {done.code}: {scene.said(done.output)}")
        for database in databases:
            back = scene.restore(server.url, f"backups/{database.name}")
            if back.code != 0 or not equal(database, scene.restored):
                return Seen(False, f"restore of {database.name}: {scene.said(back.output) or 'other rows'}")
    return Seen(True, "each is backed up below a path of its own, and restores")


def foreign_writer(scene: Scene) -> Seen:
    """A Litestream of another host, with another database, begins to write into the bucket."""
    with nats_server() as server:
        bucket(server.url)
        database = scene.database("a.db")
        other = Scene("litestream", scene.directory / "other")
        other.directory.mkdir()
        foreign = other.database("b.db")
        with scene.daemon(scene.simple(database, server.url)) as process:
            comes_true(lambda: bool(subjects(server.url)))
            for _ in range(3):
                commit(database)
                process.wait_quietly(1.2)
            before = len(process.lines)
            with other.daemon(other.simple(foreign, server.url)) as intruder:
                for _ in range(6):
                    commit(foreign)
                    process.wait_quietly(1.2)
                stop(intruder)
            for _ in range(3):
                commit(database)
                process.wait_quietly(1.2)
            said = scene.said("\n".join(process.lines[before:]))
            stop(process)
        back = scene.restore(server.url)
        good = back.code == 0 and equal(database, scene.restored)
    words = f"says: {said}" if said else "says nothing"
    if back.code != 0:
        return Seen(False, f"unrestorable: {scene.said(back.output)}; {words}")
    whose = "its rows" if good else f"a mixture of both ({'sound' if sound(scene.restored) else 'malformed'})"
    return Seen(good and bool(said), f"a restore gives {whose}; {words}")


CONDITIONS = (
    Condition(2, "Two databases, one bucket, a `path:` for each", shared_bucket),
    Condition(3, "`dir:` with a pattern, one bucket", directory),
    Condition(
        811,
        "Two databases, one bucket, no `path:`; then from another host",
        second_database,
    ),
    Condition(
        824,
        "A Litestream with another database writes into the bucket too",
        foreign_writer,
        waiting=True,
    ),
)
