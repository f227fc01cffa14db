"""What a program costs: the bucket, the memory, the application, and the other databases."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.conditions.link import link
from tests.conditions.scene import (
    PATIENCE,
    Condition,
    Scene,
    Seen,
    bucket,
    comes_true,
    commit,
    equal,
    objects,
    stop,
    stored_bytes,
    subjects,
    writing,
)
from tests.support.natsserver import nats_server
from tests.support.running import BIN

NEW_MEGABYTES = 30
SIZES = (100, 400)
#: Megabytes that memory may grow by between the two.
GROWTH = 32
READ_SECONDS = 30
BUSY_TIMEOUT = 10.0


def copies(scene: Scene) -> Seen:
    """What the first half minute of a new database leaves in the bucket."""
    with nats_server() as server:
        bucket(server.url)
        database = scene.database(megabytes=NEW_MEGABYTES)
        with scene.daemon(scene.simple(database, server.url)) as process:
            comes_true(lambda: bool(subjects(server.url)))
            process.wait_quietly(30)
            stop(process)
        found = objects(server.url)
        times = stored_bytes(server.url) / database.stat().st_size
    full = sum(one["size"] > database.stat().st_size / 2 for one in found)
    words = "1 full copy" if full == 1 else f"{full} full copies"
    return Seen(full == 1, f"{words}, {times:.1f} times the database")


def peak(scene: Scene, *arguments: str | Path) -> tuple[int, float]:
    """Run a command: its exit code, and the most memory it had resident in megabytes."""
    with (scene.directory / "output").open("wb") as output:
        command = [str(BIN / scene.program), *map(str, arguments)]
        process = subprocess.Popen(command, stdout=output, stderr=output)
        status, highest, deadline = Path(f"/proc/{process.pid}/status"), 0, time.monotonic() + PATIENCE
        while process.poll() is None:
            found = re.search(r"VmHWM:\s*(\d+)", status.read_text())
            highest = max(highest, int(found[1]) if found else 0)
            if time.monotonic() > deadline:
                process.kill()
            time.sleep(0.02)
    return process.returncode, highest / 1024


def memory(scene: Scene) -> Seen:
    """The memory that a first backup and a restore take, for a small and a large database."""
    taken: dict[str, list[float]] = {"backup": [], "restore": []}
    with nats_server() as server:
        for size in SIZES:
            name = f"b{size}"
            bucket(server.url, name)
            database = scene.database(f"{size}.db", megabytes=size)
            config = scene.simple(database, server.url, name)
            scene.restored.unlink(missing_ok=True)
            for word, arguments in (
                ("backup", ("replicate", "-config", config, "-once")),
                ("restore", ("restore", "-o", scene.restored, f"{server.url}/{name}")),
            ):
                code, megabytes = peak(scene, *arguments)
                if code:
                    said = scene.said((scene.directory / "output").read_text(errors="replace"))
                    return Seen(False, f"{word} of {size} MB fails (exit {code}): {said}")
                taken[word].append(megabytes)
    text = "; ".join(f"{word} {small:.0f} and {large:.0f} MB" for word, (small, large) in taken.items())
    return Seen(all(large - small < GROWTH for small, large in taken.values()), text)


def long_reader(scene: Scene) -> Seen:
    """A read transaction keeps a WAL above the limit; does the application still get its write lock?"""
    with nats_server() as server:
        bucket(server.url)
        database = scene.database()
        limit: dict[str, Any] = {"wal-limit": "4MB"} if scene.ours else {"truncate-page-n": 1000}
        refused, longest = 0, 0.0
        with scene.daemon(scene.simple(database, server.url, each=limit)) as process:
            comes_true(lambda: bool(subjects(server.url)))
            process.wait_quietly(2)
            with writing(database) as reader, writing(database) as writer:
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM entry").fetchone()
                writer.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT * 1000:.0f}")
                over = time.monotonic() + READ_SECONDS
                while time.monotonic() < over:
                    began = time.monotonic()
                    try:
                        writer.execute("INSERT INTO entry (origin, body) VALUES ('fill', randomblob(100000))")
                    except sqlite3.OperationalError:
                        refused += 1
                    longest = max(longest, time.monotonic() - began)
                    process.wait_quietly(0.1)
            stop(process)
        back = scene.restore(server.url)
        whole = back.code == 0 and equal(database, scene.restored)
    text = f"{refused} commits refused as busy after {BUSY_TIMEOUT:.0f} s; the longest took {longest:.1f} s"
    return Seen(refused == 0 and longest < 2 and whole, text if whole else f"{text}; not restorable")


def slow_neighbour(scene: Scene) -> Seen:
    """One database's server hangs; another database, on another server, goes on committing."""
    with nats_server() as one, nats_server() as other:
        bucket(one.url)
        bucket(other.url)
        hanging, going = scene.database("a.db"), scene.database("b.db")
        with link(one.port) as way:
            replicas = {hanging: scene.where(way.url), going: scene.where(other.url)}
            with scene.daemon(scene.config(replicas, levels=[{"interval": "3s"}])) as process:
                comes_true(lambda: bool(subjects(one.url)) and bool(subjects(other.url)))
                process.wait_quietly(4)
                way.hang()
                commit(hanging)
                process.wait_quietly(4)
                before = {str(found["name"]) for found in objects(other.url, level=1)}
                for _ in range(20):
                    commit(hanging)
                    commit(going)
                    process.wait_quietly(1)
                joined = {str(found["name"]) for found in objects(other.url, level=1)} - before
                back = scene.restore(other.url)
                whole = back.code == 0 and equal(going, scene.restored)
                process.kill()
    text = f"the other's rows {'arrive' if whole else 'do not arrive'}; {len(joined)} joined files of it in 20 s"
    return Seen(whole and len(joined) >= 3, text)


CONDITIONS = (
    Condition(810, f"A new database of {NEW_MEGABYTES} MB, half a minute after the start", copies, waiting=True),
    Condition(819, f"A read transaction of {READ_SECONDS} s, the WAL above its limit", long_reader, waiting=True),
    Condition(821, f"Peak memory with a database of {SIZES[0]} and of {SIZES[1]} MB", memory),
    Condition(822, "The server of one of two databases hangs", slow_neighbour, waiting=True),
)
