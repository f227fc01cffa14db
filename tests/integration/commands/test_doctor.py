"""`litefleet doctor` against a real server: sound set-ups pass and are left as they were, others say what to do."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import gethostname
from typing import Any

import nats
import pytest
from nats.js import api

from litefleet.bucket.lease import Lease, take
from litefleet.config.settings import Server
from litefleet.doctor.probe import check_objects
from litefleet.nats.connection import Connection
from litefleet.nats.objects import ObjectStore
from litefleet.sqlite.holders import holders
from litefleet.wal import INDEX_SIZE
from tests.integration.commands.doctor import Report, configuration, database
from tests.support import agent
from tests.support.buckets import bucket_store
from tests.support.natsserver import NatsServer, nats_cluster, nats_server
from tests.support.running import Agent, make_bucket, settle
from tests.support.running import Writer as Application
from tests.support.sqlitewriter import Writer


def stream(server: NatsServer, bucket: str) -> dict[str, Any]:
    """The stream's state as the server tells it."""
    accounts = server.monitor("/jsz?accounts=true&streams=true")["account_details"]
    (found,) = [s for account in accounts for s in account["stream_detail"] if s["name"] == f"OBJ_{bucket}"]
    return dict(found["state"])


def make_stream(server: NatsServer, bucket: str, **settings: Any) -> None:
    """A stream in the place of a bucket, as somebody else would make it."""

    async def create() -> None:
        client = await nats.connect(server.url)
        config = {"subjects": [f"$O.{bucket}.C.>", f"$O.{bucket}.M.>"], **settings}
        await client.jetstream().add_stream(api.StreamConfig(name=f"OBJ_{bucket}", **config))
        await client.close()

    asyncio.run(create())


@pytest.fixture
def sound(server: NatsServer, tmp_path: Path) -> Path:
    bucket = f"sound-{tmp_path.name.rpartition('_')[0][-40:]}".replace("_", "-")
    make_bucket(server.url, bucket)
    return configuration(tmp_path, {database(tmp_path / "a.db"): {"url": server.url, "bucket": bucket}})


def test_a_sound_setup_passes_and_nothing_is_left(server: NatsServer, sound: Path) -> None:
    for _ in range(2):
        report = Report(sound, "--strict", code=0)
        assert report.of("problem") == report.of("warning") == []
        bucket = report.one("round trip")["what"].removeprefix("bucket ")
        assert stream(server, bucket)["messages"] == 0
    assert sorted(file.name for file in sound.parent.glob("a.db*")) == ["a.db"]
    assert not (sound.parent / "spool").exists()


def test_read_only_writes_nothing_at_all(server: NatsServer, sound: Path) -> None:
    report = Report(sound, "--read-only", code=0)
    assert {found["check"] for found in report.findings} >= {"server", "permission", "bucket", "room"}
    assert not [found for found in report.findings if found["check"] in ("round trip", "spool", "database")]
    bucket = report.one("bucket")["what"].removeprefix("bucket ")
    assert stream(server, bucket)["last_seq"] == 0


def test_a_missing_bucket_and_a_missing_database_are_problems(server: NatsServer, tmp_path: Path) -> None:
    config = configuration(tmp_path, {tmp_path / "none.db": {"url": server.url, "bucket": "GONE"}})
    report = Report(config, code=1)
    assert [found["what"] for found in report.of("problem")] == [f"database {tmp_path / 'none.db'}", "bucket GONE"]
    assert all(found["hint"] for found in report.of("problem"))


def test_a_database_that_will_be_restored_may_be_missing(server: NatsServer, tmp_path: Path) -> None:
    make_bucket(server.url, "later")
    replica = {"type": "nats", "url": server.url, "bucket": "later"}
    entry = {"path": str(tmp_path / "later.db"), "restore-if-db-not-exists": True, "replica": replica}
    config = configuration(tmp_path, {}, dbs=[entry])
    assert "restored when the agent starts" in Report(config, code=0).details("note", "database")[0]


def test_a_configuration_that_is_wrong_is_a_problem_with_its_lines(tmp_path: Path) -> None:
    config = tmp_path / "litefleet.yml"
    config.write_text("dbs:\n  - pth: /x\n")
    (found,) = Report(config, code=1).findings
    assert (found["status"], found["check"]) == ("problem", "configuration")
    assert "did you mean path?" in found["detail"]


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    replica = {"url": "nats://127.0.0.1:1", "bucket": "B"}
    report = Report(configuration(tmp_path, {database(tmp_path / "a.db"): replica}), code=1)
    assert [found["check"] for found in report.of("problem")] == ["server", "bucket"]
    assert "Connection refused" in report.details("problem", "server")[0]
    assert report.details("problem", "bucket")[0].startswith("not checked: ")


def test_the_table_has_problems_first_and_no_colours_in_a_pipe(server: NatsServer, tmp_path: Path) -> None:
    config = configuration(tmp_path, {tmp_path / "none.db": {"url": server.url, "bucket": "GONE"}})
    done = agent.run("doctor", "--config", config)
    lines = done.out.splitlines()
    assert lines[0] == f"problem  database {tmp_path / 'none.db'}: does not exist"
    assert lines[1].startswith("         → see whether `path` is right")
    assert lines[-1].startswith("2 problems, 0 warnings, ")
    assert "\033" not in done.out


# buckets


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("memory", {"storage": api.StorageType.MEMORY}, "storage is memory"),
        ("aging", {"max_age": 3600}, "`max_age` of 3600 s expires backups"),
        ("oldest", {"discard": api.DiscardPolicy.OLD, "max_bytes": 1 << 20}, "`discard` is old"),
        ("norollup", {"allow_rollup_hdrs": False}, "`allow_rollup_hdrs` is off"),
        ("nodirect", {"allow_direct": False}, "`allow_direct` is off"),
        ("few", {"max_msgs_per_subject": 1}, "`max_msgs_per_subject` of 1 cuts objects"),
        ("small", {"max_msg_size": 1000}, "`max_msg_size` of 1000 bytes is less than the parts of an object"),
        ("other", {"subjects": ["$O.other.C.>"]}, "the stream does not take `$O.other.M.>`"),
    ],
)
def test_a_setting_that_loses_backups_is_named(
    server: NatsServer, tmp_path: Path, name: str, settings: dict[str, Any], words: str
) -> None:
    fitting = {"allow_rollup_hdrs": True, "allow_direct": True, "discard": api.DiscardPolicy.NEW}
    make_stream(server, name, **{**fitting, **settings})
    config = configuration(tmp_path, {database(tmp_path / "a.db"): {"url": server.url, "bucket": name}})
    report = Report(config, code=1)
    assert [detail for detail in report.details("problem", "bucket") if detail.startswith(words)]
    assert stream(server, name)["messages"] == 0


def test_a_full_bucket_is_one_problem_and_is_left_as_it_is(server: NatsServer, tmp_path: Path) -> None:
    make_bucket(server.url, "full", max_bytes=100_000)

    async def fill() -> None:
        async with Connection.open(Server((server.url,))) as connection:
            await ObjectStore(connection, "full").put("x", bytes(98_000), headers={})

    asyncio.run(fill())
    before = stream(server, "full")
    config = configuration(tmp_path, {database(tmp_path / "a.db"): {"url": server.url, "bucket": "full"}})
    report = Report(config, code=1)
    (problem,) = report.of("problem")
    assert problem["check"] == "room"
    assert "98 % used" in problem["detail"]
    assert stream(server, "full") == before


def test_a_bucket_of_another_database_is_a_problem_that_names_the_way_out(server: NatsServer, tmp_path: Path) -> None:
    make_bucket(server.url, "shared")
    ours = database(tmp_path / "a.db")

    async def lease(path: str, wanted: Lease) -> None:
        async with Connection.open(Server((server.url,))) as connection:
            await take(ObjectStore(connection, "shared", path), wanted)

    asyncio.run(lease("theirs", Lease("/srv/other.db", "elsewhere")))
    asyncio.run(lease("ours", Lease.of(ours, gethostname())))
    replicas = {path: {"url": server.url, "bucket": "shared", "path": path} for path in ("theirs", "ours", "new")}
    report = Report(configuration(tmp_path, {ours: replicas["theirs"]}), code=1)
    (problem,) = report.of("problem")
    assert problem["detail"] == f"belongs to /srv/other.db on elsewhere, not to {ours} on {gethostname()}"
    assert "--takeover" in problem["hint"]
    assert "belongs to" in Report(configuration(tmp_path, {ours: replicas["ours"]}), code=0).one("lease")["detail"]
    assert Report(configuration(tmp_path, {ours: replicas["new"]}), code=0).one("lease")["status"] == "note"


async def test_what_a_doctor_left_is_removed_and_nothing_else(server: NatsServer) -> None:
    async with bucket_store(Server((server.url,)), "left") as store:
        ours = ["litefleet/doctor-0123456789abcdef", "path/litefleet/doctor-0123456789abcdef"]
        others = ["litefleet/doctor-x", "litefleet/lease", "ltx/0/0000000000000001-0000000000000001.ltx"]
        for name in (*ours, *others):
            await store.put(name, b"x", headers={})
        for options, there in (
            ({"read_only": False}, [*ours, *others]),
            ({"read_only": True, "older_than": 0.0}, [*ours, *others]),
            ({"read_only": False, "older_than": 0.0}, others),
        ):
            assert (await check_objects(store, **options)).status == "ok"
            assert [info.name for info in (await store.list()).objects] == there


def test_metadata_that_nobody_can_read_is_a_warning(server: NatsServer, sound: Path) -> None:
    bucket = Report(sound).one("bucket")["what"].removeprefix("bucket ")

    async def spoil() -> None:
        client = await nats.connect(server.url)
        await client.jetstream().publish(f"$O.{bucket}.M.eA==", b"no metadata")
        await client.close()

    asyncio.run(spoil())
    found = Report(sound, code=0).one("objects")
    assert (found["status"], found["detail"].split()[0]) == ("warning", "1")


# servers


def test_a_server_that_does_not_answer_is_not_waited_for_without_end(tmp_path: Path) -> None:
    replica = {"bucket": "B", "timeout": "1s"}
    with nats_server(store_dir=tmp_path / "nats") as server:
        config = configuration(tmp_path, {database(tmp_path / "a.db"): {**replica, "url": server.url}})
        server.pause()
        report = Report(config, code=1)
    assert "no answer in time" in report.details("problem", "server")[0]


def test_one_server_of_several_that_is_down_is_a_warning(server: NatsServer, sound: Path) -> None:
    sound.write_text(sound.read_text().replace(server.url, f"{server.url},nats://127.0.0.1:1"))
    report = Report(sound, code=0)
    (warning,) = report.of("warning", "server")
    assert warning["what"] == "server nats://127.0.0.1:1"
    assert len(report.of("ok", "server")) == 1


@pytest.mark.timeout(240)
def test_a_replica_that_is_down_is_named(tmp_path: Path) -> None:
    with nats_cluster(store_dir=tmp_path / "nats") as cluster:
        make_bucket(cluster.urls[0], "three", replicas=3)
        cluster.wait_direct_access("OBJ_three")
        replica = {"url": ",".join(cluster.urls), "bucket": "three"}
        config = configuration(tmp_path, {database(tmp_path / "a.db"): replica})
        leader = cluster.leader("OBJ_three")
        down = next(server for server in cluster.servers if server is not leader)
        for _ in range(10):  # the leader may have it that another has not caught up yet
            report = Report(config, code=0)
            if report.of("ok", "durability"):
                break
        assert report.details("ok", "durability") == ["3 replicas, all of them current"]
        assert report.of("warning") == []
        down.kill()
        report = Report(config, code=0)
        assert [found["what"] for found in report.of("warning", "server")] == [f"server {down.url}"]
        behind = f"3 replicas, but test-{down.port} is offline or behind"
        assert report.details("warning", "durability") == [behind]
        assert report.one("round trip")["status"] == "ok"


def test_what_answers_may_be_no_nats_server(server: NatsServer, sound: Path) -> None:
    sound.write_text(sound.read_text().replace(server.url, server.monitor_url.replace("http", "nats")))
    report = Report(sound, code=1)
    assert [found["check"] for found in report.of("problem")] == ["server", "bucket"]


# databases


def test_an_agent_that_runs_is_not_disturbed(server: NatsServer, tmp_path: Path) -> None:
    make_bucket(server.url, "running")
    path = tmp_path / "a.db"
    config = configuration(tmp_path, {path: {"url": server.url, "bucket": "running"}})
    with Application(path) as writer, Agent(config).ready() as running:
        writer.do("insert 5 5 500")
        settle(config)
        report = Report(config, code=0)
        assert report.one("lease")["detail"] == f"belongs to {path} on {gethostname()}"
        index = Path(f"{path}-shm")
        found = holders((index.stat().st_dev, index.stat().st_ino), index.read_bytes()[:INDEX_SIZE])
        assert [(holder.name, holder.kind) for holder in found if holder.pid == running.pid] == [
            ("litefleet", "reader")
        ]
        writer.do("insert 5 5 500")
        settle(config)
        assert running.full_copies() == 1
        assert running.stop() == 0
        writer.close()


READER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]:
    connection.execute(statement).fetchall()
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def application(path: Path, *statements: str) -> Iterator[int]:
    """A process that has run the statements and keeps its connection; its pid."""
    command = [sys.executable, "-c", READER, str(path), *statements]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process.pid
        process.communicate()


def test_who_keeps_a_wal_from_being_reused_is_named(server: NatsServer, tmp_path: Path) -> None:
    make_bucket(server.url, "pinned")
    path = tmp_path / "a.db"
    replica = {"type": "nats", "url": server.url, "bucket": "pinned"}
    entry = {"path": str(path), "wal-limit": "1MiB", "replica": replica}
    config = configuration(tmp_path, {}, dbs=[entry])
    with Writer(path) as writer:
        writer.run("CREATE TABLE t (b)")
        assert Report(config).one("wal")["status"] == "ok"
        with application(path, "BEGIN", "SELECT * FROM t") as pid:
            writer.run("INSERT INTO t VALUES (zeroblob(700000))")
            assert Report(config).one("wal")["status"] == "warning"
            writer.run("INSERT INTO t VALUES (zeroblob(700000))")
            found = Report(config, code=1).one("wal")
            assert found["status"] == "problem"
            assert f"(pid {pid}" in found["detail"]
            assert "beyond `wal-limit` (1048576)" in found["detail"]
        # Nothing was checkpointed or locked by looking.
        assert writer.run("PRAGMA wal_checkpoint(TRUNCATE)") == [[0, 0, 0]]


def test_looking_at_a_database_that_is_in_use_leaves_its_wal_alone(server: NatsServer, tmp_path: Path) -> None:
    make_bucket(server.url, "used")
    path = tmp_path / "a.db"
    config = configuration(tmp_path, {path: {"url": server.url, "bucket": "used"}})
    with Writer(path) as writer:
        writer.run("CREATE TABLE t (b)")
        before = {file: Path(f"{path}{file}").read_bytes() for file in ("", "-wal")}
        Report(config, code=0)
        assert {file: Path(f"{path}{file}").read_bytes() for file in ("", "-wal")} == before
    with Writer(path) as writer:
        writer.run("INSERT INTO t VALUES (1)")
        writer.kill()
        # Left behind by a crash: whoever opens it next recovers it, and this must not be the last one to close it.
        before = {file: Path(f"{path}{file}").read_bytes() for file in ("", "-wal")}
        Report(config, code=0)
        assert {file: Path(f"{path}{file}").read_bytes() for file in ("", "-wal")} == before


def test_an_application_that_locks_everybody_out_is_named(server: NatsServer, tmp_path: Path) -> None:
    make_bucket(server.url, "locked")
    path = database(tmp_path / "a.db")
    config = configuration(tmp_path, {path: {"url": server.url, "bucket": "locked"}})
    statements = ("PRAGMA locking_mode=exclusive", "PRAGMA journal_mode=wal", "INSERT INTO t VALUES (1)")
    with application(path, *statements) as pid:
        (problem,) = Report(config, code=1).of("problem")
    assert f"(pid {pid}) for itself" in problem["detail"]
    assert "locking_mode=exclusive" in problem["hint"]


@pytest.mark.parametrize(
    ("number", "status"),
    [(3_006_023, "ok"), (3_045_001, "warning"), (3_050_007, "ok"), (3_051_002, "warning"), (3_051_003, "ok")],
)
def test_a_writer_with_the_wal_reset_bug_is_a_warning(
    server: NatsServer, tmp_path: Path, sound: Path, number: int, status: str
) -> None:
    with (tmp_path / "a.db").open("r+b") as file:
        file.seek(96)
        file.write(number.to_bytes(4, "big"))
    report = Report(sound, code=0)
    assert [found["status"] for found in report.findings if found["what"] == f"database {tmp_path / 'a.db'}"] == [
        status
    ]
    assert Report(sound, "--strict").code == (status == "warning")


@pytest.mark.parametrize("content", [b"not a database, but a text of some length" * 10, b"SQLite format 3\0"])
def test_what_is_no_database_is_a_problem(server: NatsServer, sound: Path, content: bytes) -> None:
    (sound.parent / "a.db").write_bytes(content)
    assert Report(sound, code=1).details("problem") == ["not an SQLite database"]


def test_a_directory_brings_its_databases_and_their_buckets(server: NatsServer, tmp_path: Path) -> None:
    make_bucket(server.url, "one")
    shop = tmp_path / "shop"
    shop.mkdir()
    for name in ("one.db", "two.db"):
        database(shop / name)
    (shop / "three.db").write_text("no database")
    replica = {"type": "nats", "url": server.url, "bucket": "{name}"}
    config = configuration(tmp_path, {}, dbs=[{"dir": str(shop), "pattern": "*.db", "replica": replica}])
    report = Report(config, code=1)
    assert report.one("directory")["detail"] == "2 databases match *.db"
    assert [found["what"] for found in report.of("problem")] == ["bucket two"]


def test_a_secret_that_everybody_can_read_is_a_warning(server: NatsServer, sound: Path) -> None:
    sound.write_text(sound.read_text().replace('"bucket"', '"token": "s3cr3t-t0ken", "bucket"'))
    sound.chmod(0o644)
    report = Report(sound)
    (warning,) = report.of("warning", "configuration")
    assert warning["hint"] == f"`chmod o-rwx {sound}`"
    assert "s3cr3t" not in str(report.findings)
    sound.chmod(0o640)
    assert Report(sound).of("warning", "configuration") == []
