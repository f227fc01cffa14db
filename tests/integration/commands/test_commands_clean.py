"""``litefleet clean``: what deletions and crashes left is gone, and nothing that can be restored."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from litefleet.config.settings import Server
from litefleet.nats.connection import Connection
from litefleet.nats.metadata import encode_name
from litefleet.nats.objects import ObjectStore
from tests.integration.commands.conftest import Backup, object_name
from tests.support import agent
from tests.support.natsserver import NatsServer
from tests.support.running import BIN, Process, Writer, checkpointed, litefleet, litestream, make_bucket


def with_connection(url: str, work: Callable[[Connection], Awaitable[None]]) -> None:
    async def run() -> None:
        async with Connection.open(Server((url,))) as connection:
            await work(connection)

    asyncio.run(run())


def messages(url: str, bucket: str) -> int:
    async def count() -> int:
        async with Connection.open(Server((url,))) as connection:
            return (await ObjectStore(connection, bucket).check()).messages

    return asyncio.run(count())


async def publish(connection: Connection, bodies: Mapping[str, Mapping[str, Any]], bucket: str) -> None:
    """Store metadata under the names of objects, as other programs do."""
    sent = []
    for name, body in bodies.items():
        await connection.writable()
        subject = f"$O.{bucket}.M.{encode_name(name)}"
        sent.append(await connection.send(subject, json.dumps({"name": name, **body}).encode()))
    for exchange in sent:
        with exchange:
            await exchange.reply()


def tombstones(url: str, bucket: str, names: list[str]) -> None:
    """What a deletion by Go's client leaves; its nuid stays in it, its chunks are gone."""
    gone = {"size": 0, "chunks": 0, "mtime": "0001-01-01T00:00:00Z", "deleted": True}
    bodies = {name: {"nuid": f"GONE{number:018d}", **gone} for number, name in enumerate(names)}
    with_connection(url, lambda connection: publish(connection, bodies, bucket))


def chunks(url: str, bucket: str, nuid: str, count: int) -> None:
    """What an upload that was killed leaves."""

    async def store(connection: Connection) -> None:
        for _ in range(count):
            await connection.request(f"$O.{bucket}.C.{nuid}", b"c" * 1000)

    with_connection(url, store)


def clean(url: str, *arguments: str) -> Any:
    return agent.run("clean", url, "--json", *arguments).json()


def restored(url: str, place: Path) -> bytes:
    done = agent.run("restore", url, "-o", place / "out.db", "--force", "--integrity-check", "full")
    assert done.code == 0, done.err
    return (place / "out.db").read_bytes()


@pytest.fixture
def littered(backup: Backup, copied: Callable[[], str]) -> tuple[str, str]:
    """URL and name of a bucket with everything that can be left: five tombstones, a half object, two uploads."""
    url, bucket = backup.server.url, copied()
    tombstones(url, bucket, [object_name(txid) for txid in range(100, 105)])
    half = {"nuid": "HALF", "size": 5000, "chunks": 5, "mtime": "0001-01-01T00:00:00Z"}
    chunks(url, bucket, "HALF", 3)
    with_connection(url, lambda connection: publish(connection, {"ltx/1/half": half}, bucket))
    chunks(url, bucket, "KILLED1", 4)
    chunks(url, bucket, "KILLED2", 1)
    return f"{url}/{bucket}", bucket


def test_everything_that_is_left_goes_and_what_is_live_stays(
    backup: Backup, littered: tuple[str, str], place: Path
) -> None:
    url, bucket = littered
    before = messages(backup.server.url, backup.bucket)
    done = clean(url, "--older-than", "0")
    assert (done["tombstones"], done["half_objects"], done["unreadable"], done["too_young"]) == (
        5, [{"name": "ltx/1/half", "chunks": 3, "expected_chunks": 5}], [], 0,
    )  # fmt: skip
    assert done["orphans"] == [{"nuid": "KILLED1", "chunks": 4}, {"nuid": "KILLED2", "chunks": 1}]
    assert done["messages"] == done["freed"]["messages"] == 5 + 4 + 5
    assert done["freed"]["bytes"] > 8000
    assert messages(backup.server.url, bucket) == done["after"]["messages"] == before
    assert restored(url, place) == backup.newest
    again = clean(url, "--older-than", "0")
    assert (again["messages"], again["freed"]) == (0, {"messages": 0, "bytes": 0})


def test_what_may_be_on_its_way_stays_unless_told_otherwise(backup: Backup, littered: tuple[str, str]) -> None:
    done = clean(littered[0])
    assert (done["tombstones"], done["half_objects"], done["orphans"], done["too_young"]) == (5, [], [], 3)
    assert done["freed"]["messages"] == 5


def test_a_dry_run_says_the_same_and_removes_nothing(backup: Backup, littered: tuple[str, str]) -> None:
    url, bucket = littered
    before = messages(backup.server.url, bucket)
    planned = clean(url, "--older-than", "0", "--dry-run")
    assert planned["dry_run"] is True
    assert messages(backup.server.url, bucket) == before
    text = agent.run("clean", url, "--older-than", "0s", "--dry-run")
    assert text.code == 0
    assert f"14 of {before} messages would be removed from bucket `{bucket}`" in text.out
    done = clean(url, "--older-than", "0")
    assert [done[key] for key in ("tombstones", "half_objects", "orphans", "messages")] == [
        planned[key] for key in ("tombstones", "half_objects", "orphans", "messages")
    ]


def test_metadata_that_cannot_be_read_stay_with_the_chunks_that_may_be_theirs(
    backup: Backup, littered: tuple[str, str]
) -> None:
    url, bucket = littered
    subject = f"$O.{bucket}.M.{encode_name('from the future')}"

    async def store(connection: Connection) -> None:
        await connection.request(subject, b"a format of the future")

    with_connection(backup.server.url, store)
    done = clean(url, "--older-than", "0")
    assert done["unreadable"] == [subject]
    assert (done["tombstones"], len(done["half_objects"]), done["orphans"]) == (5, 1, [])
    text = agent.run("clean", url, "--older-than", "0")
    assert subject in text.out
    assert f"nothing to remove from bucket `{bucket}`" in text.out


def test_an_object_with_a_chunk_too_many_can_be_read_and_stays(
    backup: Backup, copied: Callable[[], str], place: Path
) -> None:
    bucket = copied()
    url = f"{backup.server.url}/{bucket}"

    async def store(connection: Connection) -> None:
        (info, *_) = (await ObjectStore(connection, bucket).list()).objects
        await connection.request(f"$O.{bucket}.C.{info.nuid}", b"sent twice")

    with_connection(backup.server.url, store)
    assert clean(url, "--older-than", "0")["messages"] == 0
    assert restored(url, place) == backup.newest


def test_so_many_half_objects_that_a_server_may_have_lost_data_stay_unless_forced(
    backup: Backup, littered: tuple[str, str]
) -> None:
    url, bucket = littered
    lost = {"size": 9, "chunks": 1, "mtime": "0001-01-01T00:00:00Z"}
    bodies = {f"lost/{number}": {"nuid": f"LOST{number}", **lost} for number in range(20)}
    with_connection(backup.server.url, lambda connection: publish(connection, bodies, bucket))
    done = agent.run("clean", url, "--older-than", "0", "--json")
    assert done.code == 5
    assert "lacks chunks of 21 of its " in done.err
    assert "none of these was removed" in done.err
    assert done.err.count("\n") == 1
    answer = json.loads(done.out)
    assert (answer["tombstones"], answer["half_objects"], len(answer["orphans"])) == (5, [], 2)
    assert len(clean(url, "--older-than", "0", "--force")["half_objects"]) == 21
    assert clean(url, "--older-than", "0")["messages"] == 0


def test_a_database_of_the_configuration_names_its_bucket(backup: Backup) -> None:
    done = agent.run("clean", "--config", backup.config, backup.database)
    assert (done.code, done.err) == (0, "")
    assert "nothing to remove from bucket `app`" in done.out


def test_objects_of_other_programs_stay(backup: Backup, copied: Callable[[], str]) -> None:
    bucket = copied()

    async def store(connection: Connection) -> None:
        await ObjectStore(connection, bucket).put("notes/readme", b"mine" * 100_000, headers={})

    with_connection(backup.server.url, store)
    assert clean(f"{backup.server.url}/{bucket}", "--older-than", "0")["messages"] == 0


def test_what_litestream_filled_with_tombstones_restores_with_both_afterwards(
    server: NatsServer, tmp_path: Path, place: Path
) -> None:
    make_bucket(server.url, "litestream")
    url = f"{server.url}/litestream"
    path, config = tmp_path / "app.db", tmp_path / "litestream.yml"
    config.write_text(
        f"dbs: [{{path: {path}, monitor-interval: 20ms, replica: {{url: '{url}', sync-interval: 20ms}}}}]\n"
        "levels: [{interval: 1s}]\nl0-retention: 1s\nl0-retention-check-interval: 1s\n"
    )
    with Writer(path) as writer, Process(BIN / "litestream", "replicate", "-config", config) as peer:
        peer.wait_for("compaction complete|replica sync|ltx file uploaded")
        deadline = time.monotonic() + agent.PATIENCE
        while clean(url, "--dry-run")["tombstones"] < 20:
            assert time.monotonic() < deadline, peer.output()
            writer.do("insert 20 1 300")
        # While it replicates, so that neither gets into the other's way.
        done = clean(url)
        writer.do("insert 1 1 300")
        peer.signal(15)
        assert peer.wait() == 0, peer.output()
        writer.close()
    assert done["tombstones"] >= 20
    clean(url, "--older-than", "0")
    assert clean(url, "--dry-run", "--older-than", "0")["messages"] == 0
    live = checkpointed(path)
    litestream("restore", "-o", place / "theirs.db", url)
    litefleet("restore", "-o", place / "ours.db", url)
    assert (place / "theirs.db").read_bytes() == live
    assert (place / "ours.db").read_bytes() == live


@pytest.mark.slow
def test_a_day_of_tombstones_goes_in_one_command(backup: Backup, copied: Callable[[], str], place: Path) -> None:
    bucket = copied()
    url = f"{backup.server.url}/{bucket}"
    before = messages(backup.server.url, bucket)
    tombstones(backup.server.url, bucket, [object_name(txid) for txid in range(1000, 87_400)])
    done = clean(url)
    assert (done["tombstones"], done["freed"]["messages"]) == (86_400, 86_400)
    assert messages(backup.server.url, bucket) == before
    assert restored(url, place) == backup.newest
