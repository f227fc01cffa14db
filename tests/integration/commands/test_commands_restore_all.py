"""``litefleet restore --all``: every database of a configuration comes back, whatever becomes of another one."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from litefleet.config.settings import Server
from litefleet.nats.connection import Connection
from litefleet.nats.objects import ObjectStore
from tests.integration.commands.conftest import Backup, object_name
from tests.support import agent
from tests.support.natsserver import free_ports
from tests.support.running import make_bucket

OLD = b"what was there before"


def fill(backup: Backup, bucket: str, paths: list[str]) -> None:
    """Copy the backup below each path of a bucket."""

    async def copy() -> None:
        async with Connection.open(Server((backup.server.url,))) as connection:
            source = ObjectStore(connection, backup.bucket)
            for info in (await source.list()).objects:
                for path in paths:
                    target = ObjectStore(connection, bucket, path)
                    await target.put(info.name, source.read(info), headers=info.headers)

    asyncio.run(copy())


def write_config(place: Path, entries: list[dict[str, Any]], url: str) -> Path:
    config = place.parent / "litefleet.yml"
    dbs = [{**entry, "replica": {"url": url, **entry["replica"]}} for entry in entries]
    config.write_text(json.dumps({"dbs": dbs}))
    config.chmod(0o600)
    return config


def tree(directory: Path) -> dict[str, bytes]:
    """Everything below a directory, hidden files too."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def restore_all(config: Path, *arguments: str | Path) -> tuple[int, dict[str, Any], str]:
    """Exit code, rows by the ends of their databases, and standard error."""
    done = agent.run("restore", "--all", "--config", config, "--json", *arguments)
    assert done.out, done.err
    return done.code, {row["database"].rpartition("/")[2]: row for row in json.loads(done.out)}, done.err


@pytest.fixture
def three(backup: Backup, copied: Callable[[], str], place: Path) -> Path:
    """A configuration with three databases, of which the second one's backup has a gap."""
    buckets = [copied(), copied(), copied()]
    agent.change_object(backup.server.url, buckets[1], object_name(3), agent.StoredObject.remove)
    entries = [
        {"path": str(place / f"{name}.db"), "replica": {"bucket": bucket}}
        for name, bucket in zip("abc", buckets, strict=True)
    ]
    return write_config(place, entries, backup.server.url)


def test_one_that_fails_does_not_stop_the_others(backup: Backup, three: Path, place: Path) -> None:
    code, rows, err = restore_all(three, "--jobs", "1", "--integrity-check", "full")
    assert code == 7
    assert err == "litefleet: 1 of 3 databases were not restored; the table says why; the others are there\n"
    assert tree(place) == {"a.db": backup.newest, "c.db": backup.newest}
    assert [row["result"] for row in rows.values()] == ["restored", "failed", "restored"]
    assert f"TXID {3:016x} is missing" in rows["b.db"]["detail"]
    assert (rows["a.db"]["txid"], rows["a.db"]["files"]) == (f"{4:016x}", 4)
    assert rows["a.db"]["bytes"] == len(backup.newest)


def test_the_table_names_each_database_with_its_result(three: Path, place: Path) -> None:
    done = agent.run("restore", "--all", "--config", three)
    assert done.code == 7
    heading, *lines = done.out.splitlines()
    assert heading.split() == ["database", "result", "txid", "time", "size", "seconds", "detail"]
    assert [line.split()[:2] for line in lines] == [
        [str(place / "a.db"), "restored"], [str(place / "b.db"), "failed"], [str(place / "c.db"), "restored"],
    ]  # fmt: skip
    assert done.err.count("\n") == 1


def test_a_dry_run_says_the_same_and_writes_nothing(three: Path, place: Path) -> None:
    code, rows, _ = restore_all(three, "--dry-run")
    assert code == 7
    assert [row["result"] for row in rows.values()] == ["planned", "failed", "planned"]
    assert rows["a.db"]["fetched_bytes"] > 0
    assert tree(place) == {}


def test_a_time_is_that_of_all(backup: Backup, three: Path, place: Path) -> None:
    moment = agent.run("history", backup.url, "--json").json()["points"][1]["time"]
    code, rows, _ = restore_all(three, "--timestamp", moment)
    assert (code, {row["txid"] for row in rows.values()}) == (0, {f"{2:016x}"})
    assert tree(place) == dict.fromkeys(("a.db", "b.db", "c.db"), backup.states[2])


def test_what_is_there_stays_or_is_left_out_or_replaced(backup: Backup, three: Path, place: Path) -> None:
    (place / "a.db").write_bytes(OLD)
    code, rows, _ = restore_all(three)
    assert (code, rows["a.db"]["result"], rows["c.db"]["result"]) == (7, "failed", "restored")
    assert "Output exists" in rows["a.db"]["detail"]
    assert "--output-dir" in rows["a.db"]["detail"]
    assert (place / "a.db").read_bytes() == OLD
    (place / "c.db").unlink()
    _, rows, _ = restore_all(three, "--if-db-not-exists")
    assert (rows["a.db"]["result"], rows["a.db"]["detail"], rows["c.db"]["result"]) == ("skipped", "exists", "restored")
    assert (place / "a.db").read_bytes() == OLD
    assert restore_all(three, "--force")[1]["a.db"]["result"] == "restored"
    assert tree(place) == {"a.db": backup.newest, "c.db": backup.newest}


def test_below_a_directory_each_has_its_whole_path(backup: Backup, three: Path, place: Path, tmp_path: Path) -> None:
    output = tmp_path / "new" / "place"
    code, rows, _ = restore_all(three, "--output-dir", output)
    assert code == 7
    assert tree(place) == {}
    assert {path: data == backup.newest for path, data in tree(output).items()} == {
        str(place / "a.db")[1:]: True, str(place / "c.db")[1:]: True,
    }  # fmt: skip
    assert rows["a.db"]["output"] == str(output) + str(place / "a.db")


def test_an_unreachable_server_and_an_empty_bucket_are_of_their_databases(backup: Backup, place: Path) -> None:
    make_bucket(backup.server.url, "all-empty")
    nobody = f"nats://127.0.0.1:{free_ports(1)[0]}"
    entries = [
        {"path": str(place / "a.db"), "replica": {"bucket": backup.bucket}},
        {"path": str(place / "b.db"), "replica": {"url": nobody, "bucket": "b"}},
        {"path": str(place / "c.db"), "replica": {"bucket": "all-empty"}},
        {"path": str(place / "d.db"), "replica": {"bucket": "all-missing"}},
    ]
    code, rows, err = restore_all(write_config(place, entries, backup.server.url))
    assert (code, [row["result"] for row in rows.values()]) == (7, ["restored", "failed", "failed", "failed"])
    assert "3 of 4 databases" in err
    assert nobody in rows["b.db"]["detail"]
    assert "holds no backup" in rows["c.db"]["detail"]
    assert "Bucket not found: `all-missing`" in rows["d.db"]["detail"]
    assert tree(place) == {"a.db": backup.newest}
    config = write_config(place, [entries[0], entries[2]], backup.server.url)
    code, rows, _ = restore_all(config, "--if-replica-exists", "--force")
    assert (code, rows["c.db"]["result"], rows["c.db"]["detail"]) == (0, "skipped", "no backup")


class TestDirectories:
    @pytest.fixture
    def shared(self, backup: Backup, request: pytest.FixtureRequest) -> str:
        bucket = f"shared-{abs(hash(request.node.name))}"
        make_bucket(backup.server.url, bucket)
        return bucket

    def test_each_database_in_the_bucket_comes_back_where_it_was(
        self, backup: Backup, shared: str, place: Path
    ) -> None:
        paths = ["host1/a.db", "host1/sub/deep/b.db", "host1/no.sqlite", "host1/../../outside.db", "host2/c.db"]
        fill(backup, shared, paths)
        place.chmod(0o750)
        if os.geteuid() == 0:
            os.chown(place, 4711, 4712)
        replica = {"bucket": shared, "path": "host1/{relative}"}
        entry = {"dir": str(place), "pattern": "*.db", "recursive": True, "replica": replica}
        code, rows, err = restore_all(write_config(place, [entry], backup.server.url))
        assert (code, err) == (0, ""), rows
        assert tree(place) == {"a.db": backup.newest, "sub/deep/b.db": backup.newest}
        assert not (place.parent.parent / "outside.db").exists()
        above, made = place.stat(), (place / "sub" / "deep").stat()
        assert stat.S_IMODE(made.st_mode) == 0o750
        assert (made.st_uid, made.st_gid) == (above.st_uid, above.st_gid)

    def test_a_link_out_of_the_directory_is_not_followed(
        self, backup: Backup, shared: str, place: Path, tmp_path: Path
    ) -> None:
        fill(backup, shared, ["sub/a.db"])
        (tmp_path / "elsewhere").mkdir()
        (place / "sub").symlink_to(tmp_path / "elsewhere")
        entry = {"dir": str(place), "pattern": "*.db", "recursive": True, "replica": {"bucket": shared}}
        code, rows, _ = restore_all(write_config(place, [entry], backup.server.url))
        assert (code, rows["a.db"]["result"]) == (7, "failed")
        assert str(place / "sub") in rows["a.db"]["detail"]
        assert tree(tmp_path / "elsewhere") == {}

    def test_what_nobody_can_tell_is_said_and_the_rest_restored(self, backup: Backup, shared: str, place: Path) -> None:
        fill(backup, shared, ["one.db"])
        entries: list[dict[str, Any]] = [
            {"path": str(place / "one.db"), "replica": {"bucket": shared, "path": "one.db"}},
            {"dir": str(place / "tenants"), "pattern": "*.db", "replica": {"bucket": "app-{name}"}},
        ]
        code, rows, _ = restore_all(write_config(place, entries, backup.server.url))
        assert (code, rows["one.db"]["result"], rows["*.db"]["result"]) == (7, "restored", "failed")
        assert "cannot be told" in rows["*.db"]["detail"]
        assert f"litefleet restore {place / 'tenants'}/NAME" in rows["*.db"]["detail"]

    def test_a_bucket_without_any_is_an_error_unless_told_otherwise(
        self, backup: Backup, shared: str, place: Path
    ) -> None:
        entry = {"dir": str(place), "pattern": "*.db", "replica": {"bucket": shared}}
        config = write_config(place, [entry], backup.server.url)
        code, rows, _ = restore_all(config)
        assert (code, rows["*.db"]["result"]) == (7, "failed")
        assert "no backup of such databases" in rows["*.db"]["detail"]
        assert restore_all(config, "--if-replica-exists")[:2] == (0, {})

    def test_one_of_them_is_named_by_its_path(self, backup: Backup, shared: str, place: Path) -> None:
        fill(backup, shared, ["sub/a.db"])
        entry = {"dir": str(place), "pattern": "*.db", "recursive": True, "replica": {"bucket": shared}}
        config = write_config(place, [entry], backup.server.url)
        assert agent.run("restore", "--config", config, place / "sub" / "a.db").code == 0
        assert tree(place) == {"sub/a.db": backup.newest}
        done = agent.run("restore", "--config", config, place / "a.sqlite")
        assert done.code == 2
        assert f"it has {place}/*.db" in done.err
