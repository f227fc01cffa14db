"""What programs keep beside the bucket, damaged or lost while it is needed: during an outage."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.conditions.link import link
from tests.conditions.scene import Condition, Scene, Seen, bucket, comes_true, commit, equal, stop, subjects
from tests.support.natsserver import NatsServer, nats_server
from tests.support.running import Process

COMMITS = 6
#: Transactions that are in the bucket before anything happens.
HISTORY = 15
#: Files that are to wait for the server when something happens to them.
WAITING = 3
NOTHING = "keeps nothing there"


def kept(scene: Scene) -> list[Path]:
    """Files with transactions that the program keeps, the oldest first."""
    places = (scene.spool, scene.directory / ".app.db-litestream")
    files = [path for place in places for path in place.rglob("*.ltx")]
    return sorted(files, key=lambda path: (path.stat().st_mtime_ns, path.name))


def _commits(database: Path, process: Process, number: int = COMMITS) -> None:
    """Some, with time for a file each."""
    for _ in range(number):
        commit(database)
        process.wait_quietly(1.2)


def _waiting(scene: Scene, database: Path, process: Process) -> list[Path]:
    """Commit until some files wait for the server that cannot be reached, or until none will; the oldest first."""
    before = set(kept(scene))

    def some() -> bool:
        _commits(database, process, 1)
        return len(set(kept(scene)) - before) >= WAITING

    comes_true(some, 45)
    return [path for path in kept(scene) if path not in before]


def _verdict(scene: Scene, database: Path, server: NatsServer, done: str, output: str) -> Seen:
    def restorable() -> bool:
        back = scene.restore(server.url)
        return back.code == 0 and equal(database, scene.restored)

    if comes_true(restorable, 25):
        return Seen(True, f"{done}; the newest rows arrive")
    back = scene.restore(server.url)
    words = f"restore: {scene.said(back.output)}" if back.code else "a restore gives an older state"
    return Seen(
        False, f"{done}; the newest rows are not in the backup; {words}; log: {scene.said(output) or 'nothing'}"
    )


def _while_it_runs(scene: Scene, harm: Callable[[list[Path]], str], **options: Any) -> Seen:
    """Do ``harm`` to what was kept since the server could not be reached any more."""
    with nats_server() as server:
        bucket(server.url)
        database = scene.database()
        with (
            link(server.port) as way,
            scene.daemon(scene.config({database: scene.where(way.url, **options)})) as process,
        ):
            comes_true(lambda: bool(subjects(server.url)))
            _commits(database, process, HISTORY)
            process.wait_quietly(3)
            way.cut()
            done = harm(_waiting(scene, database, process))
            _commits(database, process)
            way.heal()
            process.wait_quietly(5)
            _commits(database, process)
            seen = _verdict(scene, database, server, done, process.output())
            process.kill()
    return seen


def lost_while_running(scene: Scene) -> Seen:
    def lose(waiting: list[Path]) -> str:
        if not waiting:
            return NOTHING
        waiting[0].unlink()
        return f"one of {len(waiting)} waiting files deleted"

    recover: dict[str, Any] = {} if scene.ours else {"auto-recover": True}
    return _while_it_runs(scene, lose, **recover)


def deleted_while_running(scene: Scene) -> Seen:
    def delete(waiting: list[Path]) -> str:
        for place in (scene.spool, scene.directory / ".app.db-litestream"):
            shutil.rmtree(place, ignore_errors=True)
        return f"{len(waiting)} waiting files deleted, and their directory" if waiting else NOTHING

    return _while_it_runs(scene, delete)


def damaged_while_stopped(scene: Scene) -> Seen:
    """The newest file is damaged between a stop in an outage and the next start."""
    with nats_server() as server:
        bucket(server.url)
        database = scene.database()
        config = scene.simple(database, server.url, **{"shutdown-sync-timeout": "1s"})
        with scene.daemon(config) as process:
            comes_true(lambda: bool(subjects(server.url)))
            process.wait_quietly(3)
            server.stop()
            _waiting(scene, database, process)
            stop(process)
        files = kept(scene)
        if files:
            files[-1].write_bytes(bytes(100))
        server.start()
        with scene.daemon(config) as process:
            commit(database)
            process.wait_quietly(8)
            done = f"the newest of {len(files)} files damaged" if files else NOTHING
            seen = _verdict(scene, database, server, done, process.output())
            process.kill()
    return seen


CONDITIONS = (
    Condition(
        812,
        "A file that waits for the server is lost while the program runs (Litestream: with `auto-recover`)",
        lost_while_running,
        waiting=True,
    ),
    Condition(813, "The newest file of its local state is damaged, then a start", damaged_while_stopped, waiting=True),
    Condition(814, "All its local state is deleted while it runs, in an outage", deleted_while_running, waiting=True),
)
