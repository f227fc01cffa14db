"""Servers that are gone for a while, or refuse for a while."""

from __future__ import annotations

import re
import time
from pathlib import Path

from nats.aio.client import Client

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
    on_server,
    stop,
    subjects,
)
from tests.support.natsserver import NatsServer, nats_server
from tests.support.operator import Operator

OUTAGE_SECONDS = 25
#: Lines about one outage that a log may have.
LINES = 4
#: Lines that a log may have after all it took to log in again.
PROLIX = 25
#: Seconds that it may take from the end of an outage until all is in the bucket, 400 ms away.
CATCH_UP = 12


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
            began = time.monotonic()
            arrived = comes_true(lambda: bool(subjects(server.url)), 60)
            if arrived:
                seconds = time.monotonic() - began
                stop(process)
                back = scene.restore(server.url)
                good = back.code == 0 and equal(database, scene.restored)
                return Seen(good, f"waits for the server, and backs up {seconds:.0f} s after it is there")
            code = stop(process)
            return Seen(False, f"ends with exit {code}: {scene.said(process.output())}")


def silent_outage(scene: Scene) -> Seen:
    """What the log says of an outage; the application goes on meanwhile."""
    with nats_server() as server:
        bucket(server.url)
        database = scene.database()
        with scene.daemon(scene.simple(database, server.url)) as process:
            comes_true(lambda: bool(subjects(server.url)))
            process.wait_quietly(2)
            before = len(process.lines)
            server.stop()
            for _ in range(OUTAGE_SECONDS):
                commit(database)
                process.wait_quietly(1)
            during = process.lines[before:]
            server.start()
            recovered = _arrives(scene, database, server.url)
            after = process.lines[before + len(during) :]
            stop(process)
    complaints = [line for line in during if re.search("error|warn", line, re.IGNORECASE)]
    words = f"{len(complaints)} lines in the log during it, {len(after)} after it"
    if complaints:
        words += ": " + scene.said("\n".join(complaints))
    if not recovered:
        return Seen(False, f"the rows do not arrive afterwards; {words}")
    return Seen(0 < len(complaints) <= LINES, f"all rows arrive afterwards; {words}")


def catching_up(scene: Scene) -> Seen:
    """Many transactions wait when a far server can be reached again."""
    with nats_server() as server:
        bucket(server.url)
        database = scene.database()
        with link(server.port, round_trip=0.4) as way, scene.daemon(scene.simple(database, way.url)) as process:
            comes_true(lambda: bool(subjects(server.url)))
            process.wait_quietly(3)
            way.cut()
            for _ in range(2 * OUTAGE_SECONDS):
                commit(database)
                process.wait_quietly(0.5)
            way.heal()
            began = time.monotonic()
            arrived = _arrives(scene, database, server.url)
            seconds = time.monotonic() - began
            process.kill()
    if not arrived:
        return Seen(False, "the newest rows are not there after 90 s")
    return Seen(seconds < CATCH_UP, f"all is in the bucket {seconds:.0f} s after the link is back")


def renewed_credentials(scene: Scene) -> Seen:
    """A creds file whose user expires, and that is renewed half a minute too late."""
    operator = Operator()
    creds = scene.directory / "user.creds"
    creds.touch(0o600)
    with nats_server(operator.config()) as server:
        creds.write_text(operator.creds()[0])
        _bucket_as(server.url, creds)
        creds.write_text(operator.creds(expires=8)[0])
        database = scene.database()
        config = scene.config({database: scene.where(server.url, creds=str(creds))})
        with scene.daemon(config) as process:
            process.wait_quietly(35)
            commit(database)
            creds.write_text(operator.creds()[0])

            def restorable() -> bool:
                scene.restored.unlink(missing_ok=True)
                back = scene.run("restore", "-config", config, "-o", scene.restored, database)
                return back.code == 0 and equal(database, scene.restored)

            arrived = comes_true(restorable, 60)
            said, lines = scene.said(process.output()), len(process.lines)
            process.kill()
    if arrived:
        text = f"logs in again by itself, and the rows arrive; {lines} lines in the log; said: {said}"
        return Seen(lines <= PROLIX, text)
    return Seen(False, f"the rows are not in the backup a minute after the renewal; says: {said or 'nothing'}")


def _bucket_as(url: str, creds: Path) -> None:
    async def create(client: Client) -> None:
        await client.jetstream().create_object_store("backups")

    on_server(url, create, user_credentials=str(creds))


def _arrives(scene: Scene, database: Path, url: str) -> bool:
    """Whether a restore gives what the database holds, in time."""

    def restorable() -> bool:
        back = scene.restore(url)
        return back.code == 0 and equal(database, scene.restored)

    return comes_true(restorable)


CONDITIONS = (
    Condition(
        809,
        f"An outage of {OUTAGE_SECONDS} s of a server 400 ms away, a commit every half second",
        catching_up,
        waiting=True,
    ),
    Condition(815, f"An outage of {OUTAGE_SECONDS} s, a commit every second", silent_outage, waiting=True),
    Condition(816, "The server is gone when the last transactions are to be sent", last_sync_fails, waiting=True),
    Condition(
        817,
        "Start while the server is down; it comes up later",
        start_without_server,
        waiting=True,
    ),
    Condition(
        825,
        "The user of a creds file expires; the file is renewed half a minute late",
        renewed_credentials,
        waiting=True,
    ),
)
