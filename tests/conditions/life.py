"""Being idle, starting and ending at a bad moment."""

from __future__ import annotations

import time
from typing import Any

from tests.conditions.scene import (
    Condition,
    Scene,
    Seen,
    bucket,
    comes_true,
    cpu_seconds,
    equal,
    fill,
    stop,
    subjects,
)
from tests.support.natsserver import NatsServer, nats_server
from tests.support.running import Process

IDLE_DATABASES = 20
IDLE_SECONDS = 30
IDLE_MEGABYTES = 200


def _settled(process: Process) -> None:
    """Give first copies and what follows them time to end: until the process uses next to no processor time."""
    for _ in range(8):
        before = cpu_seconds(process.pid)
        process.wait_quietly(2)
        if cpu_seconds(process.pid) - before < 0.1:
            return


def idle_messages(scene: Scene) -> Seen:
    with nats_server() as server:
        replicas: dict[Any, dict[str, Any]] = {}
        for number in range(IDLE_DATABASES):
            bucket(server.url, f"b{number}")
            where = {"url": server.url, "bucket": f"b{number}"}
            replicas[scene.database(f"{number}.db")] = where if scene.ours else {"url": f"{server.url}/b{number}"}
        with scene.daemon(scene.config(replicas)) as process:
            for number in range(IDLE_DATABASES):
                comes_true(lambda name=f"b{number}": bool(subjects(server.url, name)))  # type: ignore[misc]
            _settled(process)
            connections = int(server.monitor("/varz")["connections"])
            before, began = int(server.monitor("/varz")["in_msgs"]), time.monotonic()
            process.wait_quietly(IDLE_SECONDS)
            minutes = (time.monotonic() - began) / 60
            messages = (int(server.monitor("/varz")["in_msgs"]) - before) / minutes / IDLE_DATABASES
            stop(process)
    text = f"{messages:.1f} messages a minute for each database, {connections} connections"
    return Seen(messages < 1 and connections == 1, text)


def idle_cpu(scene: Scene) -> Seen:
    """Processor time of a program with nothing to do, after a full copy."""
    with nats_server() as server:
        bucket(server.url)
        database = scene.database(megabytes=IDLE_MEGABYTES)
        with scene.daemon(scene.simple(database, server.url)) as process:
            comes_true(lambda: bool(subjects(server.url)))
            _settled(process)
            before, began = cpu_seconds(process.pid), time.monotonic()
            process.wait_quietly(10)
            share = (cpu_seconds(process.pid) - before) / (time.monotonic() - began)
            stop(process)
    return Seen(share < 0.05, f"{share:.1%} of a processor over 10 s")


def damaged_state(scene: Scene) -> Seen:
    """The newest file that a program keeps beside the database is damaged while it is stopped."""
    with nats_server() as server:
        bucket(server.url)
        database = scene.database()
        config = scene.simple(database, server.url)
        scene.once(config)
        companions = {database.name, database.name + "-wal", database.name + "-shm", config.name}
        beside = [path for path in scene.directory.rglob("*") if path.is_file() and path.name not in companions]
        kept = max((path for path in beside if path.suffix == ".ltx"), default=None)
        if kept is not None:
            kept.write_bytes(bytes(100))
        fill(database, 0.1)
        with scene.daemon(config) as process:
            process.wait_quietly(8)
            stop(process)
            said = scene.said(process.output())
        back = scene.restore(server.url)
        if back.code == 0 and equal(database, scene.restored):
            return Seen(True, "goes on" if kept else "keeps no files beside the database, so none can be damaged")
        return Seen(False, f"stuck; the newest rows are not in the backup: {said}")


def _stopped_server(server: NatsServer, scene: Scene) -> tuple[int | None, str, bool]:
    """Stop the server, write, stop the program: its exit code, what it said, and whether the rows are missing."""
    bucket(server.url)
    database = scene.database()
    with scene.daemon(scene.simple(database, server.url, **{"shutdown-sync-timeout": "3s"})) as process:
        comes_true(lambda: bool(subjects(server.url)))
        process.wait_quietly(2)
        server.stop()
        fill(database, 0.1)
        process.wait_quietly(1)
        code = stop(process)
        said = scene.said(process.output())
    server.start()
    back = scene.restore(server.url)
    return code, said, not (back.code == 0 and equal(database, scene.restored))


def last_sync_fails(scene: Scene) -> Seen:
    with nats_server() as server:
        code, said, missing = _stopped_server(server, scene)
    if not missing:
        return Seen(False, f"exit {code}; the rows arrived all the same: the condition was not met")
    return Seen(bool(code), f"exit {code}; says: {said}")


def start_without_server(scene: Scene) -> Seen:
    with nats_server() as server:
        bucket(server.url)
        database = scene.database()
        server.stop()
        with scene.daemon(scene.simple(database, server.url)) as process:
            process.wait_quietly(15)
            fill(database, 0.1)
            server.start()
            arrived = comes_true(lambda: bool(subjects(server.url)), 15)
            if arrived:
                stop(process)
                back = scene.restore(server.url)
                good = back.code == 0 and equal(database, scene.restored)
                return Seen(good, "waits for the server, then backs up")
            code = stop(process)
            return Seen(False, f"ends with exit {code}: {scene.said(process.output())}")


CONDITIONS = (
    Condition(13, f"{IDLE_DATABASES} idle databases", idle_messages, waiting=True),
    Condition(806, f"Idle after a full copy of {IDLE_MEGABYTES} MB", idle_cpu),
    Condition(813, "The newest file of its local state is damaged, then a start", damaged_state, waiting=True),
    Condition(816, "The server is gone when the last transactions are to be sent", last_sync_fails, waiting=True),
    Condition(
        817,
        "Start while the server is down; it comes up later",
        start_without_server,
        open_because="the agent ends with an error; its service starts it again",
        waiting=True,
    ),
)
