"""Being idle, starting and ending at a bad moment."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tests.conditions.scene import (
    Condition,
    Scene,
    Seen,
    bucket,
    comes_true,
    cpu_seconds,
    stop,
    subjects,
)
from tests.support.natsserver import nats_server
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
        replicas: dict[Path, dict[str, Any]] = {}
        for number in range(IDLE_DATABASES):
            bucket(server.url, f"b{number}")
            replicas[scene.database(f"{number}.db")] = scene.where(server.url, f"b{number}")
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
    text = f"{messages:.1f} messages a minute for each database, connections: {connections}"
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


CONDITIONS = (
    Condition(13, f"{IDLE_DATABASES} idle databases", idle_messages, waiting=True),
    Condition(806, f"Idle after a full copy of {IDLE_MEGABYTES} MB", idle_cpu),
)
