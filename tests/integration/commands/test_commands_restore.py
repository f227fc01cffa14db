"""``litefleet restore``: the right database, whole or not at all, and nothing that was there is lost."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.commands.conftest import Backup, object_name
from tests.support import agent
from tests.support.natsserver import free_ports
from tests.support.proxy import Proxy, tcp_proxy
from tests.support.running import make_bucket
from tests.support.sqlitewriter import Writer, run_sql

OLD = b"what was there before"


def listing(directory: Path) -> dict[str, bytes]:
    """Everything in a directory, hidden files too."""
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def refused(done: agent.Finished, code: int, *words: str) -> None:
    assert done.code == code, done
    assert done.out == ""
    assert done.err.startswith("litefleet: ")
    assert done.err.count("\n") == 1, done.err
    for word in words:
        assert word in done.err


class TestThePointInTime:
    def test_the_newest_state(self, backup: Backup, place: Path) -> None:
        done = agent.run("restore", "-config", backup.config, "-o", place / "out.db", backup.database)
        assert done.code == 0, done.err
        assert listing(place) == {"out.db": backup.newest}
        assert done.out.startswith(f"{place}/out.db: TXID 0000000000000004 of 2")
        assert done.err == ""

    @pytest.mark.parametrize("txid", [1, 2, 3, 4])
    def test_each_transaction(self, backup: Backup, place: Path, txid: int) -> None:
        done = agent.run(
            "restore", backup.url, "-o", place / "out.db", "-txid", f"{txid:016x}", "-integrity-check=full"
        )
        assert done.code == 0, done.err
        assert listing(place) == {"out.db": backup.states[txid]}

    @pytest.mark.parametrize("txid", [1, 2, 3, 4])
    def test_the_time_of_each_transaction(self, backup: Backup, place: Path, txid: int) -> None:
        files = agent.run("ltx", backup.url, "--json").json()
        done = agent.run("restore", backup.url, "-o", place / "out.db", "-timestamp", files[txid - 1]["created"])
        assert done.code == 0, done.err
        assert listing(place) == {"out.db": backup.states[txid]}

    def test_the_result_as_json(self, backup: Backup, place: Path) -> None:
        done = agent.run("restore", backup.url, "-o", place / "out.db", "--json", "--integrity-check", "quick")
        answer = done.json()
        assert done.err == ""
        assert answer["restored"] is True
        assert answer["output"] == str(place / "out.db")
        assert (answer["txid"], answer["files"], answer["page_size"]) == ("0000000000000004", 4, 4096)
        assert answer["bytes"] == len(backup.newest)

    def test_a_dry_run_lists_the_files_and_creates_nothing(self, backup: Backup, place: Path) -> None:
        answer = agent.run("restore", backup.url, "-o", place / "out.db", "-dry-run", "-json").json()
        assert [file["name"] for file in answer["files"]] == [object_name(txid) for txid in (1, 2, 3, 4)]
        assert answer["bytes"] == sum(file["size"] for file in answer["files"])
        text = agent.run("restore", backup.url, "-o", place / "out.db", "--dry-run")
        assert text.code == 0
        assert all(object_name(txid) in text.out for txid in (1, 2, 3, 4))
        assert listing(place) == {}


class TestWhatIsThere:
    def test_it_stays_without_force(self, backup: Backup, place: Path) -> None:
        output = place / "out.db"
        output.write_bytes(OLD)
        before = output.stat()
        refused(agent.run("restore", backup.url, "-o", output), 7, f"Output exists: {output}", "--force")
        assert listing(place) == {"out.db": OLD}
        after = output.stat()
        assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)

    @pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
    def test_a_companion_of_a_lost_database_stays_without_force(self, backup: Backup, place: Path, suffix: str) -> None:
        (place / f"out.db{suffix}").write_bytes(OLD)
        refused(agent.run("restore", backup.url, "-o", place / "out.db"), 7, f"out.db{suffix}", "--force")
        assert listing(place) == {f"out.db{suffix}": OLD}

    def test_force_replaces_it_with_its_companions_and_keeps_owner_and_mode(self, backup: Backup, place: Path) -> None:
        for suffix in ("", "-wal", "-shm", "-journal"):
            (place / f"out.db{suffix}").write_bytes(OLD)
        (place / "out.db").chmod(0o640)
        if os.geteuid() == 0:
            os.chown(place / "out.db", 1234, 4321)
        before = (place / "out.db").stat()
        assert agent.run("restore", backup.url, "-o", place / "out.db", "--force").code == 0
        assert listing(place) == {"out.db": backup.newest}
        after = (place / "out.db").stat()
        assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)

    def test_an_empty_file_is_nothing(self, backup: Backup, place: Path) -> None:
        (place / "out.db").touch()
        assert agent.run("restore", backup.url, "-o", place / "out.db").code == 0
        assert listing(place) == {"out.db": backup.newest}

    def test_the_database_behind_a_link_is_what_is_looked_at_and_replaced(self, backup: Backup, place: Path) -> None:
        real = place / "real"
        real.mkdir()
        link = place / "out.db"
        link.symlink_to(real / "app.db")
        (real / "app.db-wal").write_bytes(OLD)
        refused(agent.run("restore", backup.url, "-o", link), 7, "app.db-wal")
        assert listing(real) == {"app.db-wal": OLD}
        assert agent.run("restore", backup.url, "-o", link, "--force").code == 0
        assert link.is_symlink()
        assert listing(real) == {"app.db": backup.newest}

    @pytest.mark.parametrize("flags", [[], ["--force"]])
    def test_what_is_no_file_stays(self, backup: Backup, place: Path, flags: list[str]) -> None:
        os.mkfifo(place / "pipe")
        (place / "directory").mkdir()
        for name in ("pipe", "directory"):
            refused(agent.run("restore", backup.url, "-o", place / name, *flags), 7, "not a file", name)
        assert (place / "pipe").is_fifo()
        assert sorted(path.name for path in place.iterdir()) == ["directory", "pipe"]

    def test_nothing_is_done_if_the_database_exists(self, place: Path) -> None:
        (place / "out.db").write_bytes(OLD)
        nobody = f"nats://127.0.0.1:{free_ports(1)[0]}/app"
        done = agent.run("restore", nobody, "-o", place / "out.db", "-if-db-not-exists")
        assert (done.code, done.err) == (0, "")
        assert "nothing was restored" in done.out
        answer = agent.run("restore", nobody, "-o", place / "out.db", "-if-db-not-exists", "--json").json()
        assert answer["restored"] is False
        assert listing(place) == {"out.db": OLD}

    def test_it_is_restored_if_the_database_does_not_exist(self, backup: Backup, place: Path) -> None:
        assert agent.run("restore", backup.url, "-o", place / "out.db", "--if-db-not-exists").code == 0
        assert listing(place) == {"out.db": backup.newest}


class TestIfTheReplicaExists:
    def test_an_empty_bucket_is_no_backup(self, backup: Backup, place: Path) -> None:
        make_bucket(backup.server.url, "still-empty")
        url = f"{backup.server.url}/still-empty"
        done = agent.run("restore", url, "-o", place / "out.db", "-if-replica-exists")
        assert (done.code, done.err) == (0, "")
        assert "nothing was restored" in done.out
        assert agent.run("restore", url, "-o", place / "o", "-if-replica-exists", "-json").json()["restored"] is False
        refused(agent.run("restore", url, "-o", place / "out.db"), 7, "no backup", "litefleet replicate")
        assert listing(place) == {}

    def test_a_missing_bucket_is_an_error(self, backup: Backup, place: Path) -> None:
        url = f"{backup.server.url}/nowhere"
        refused(agent.run("restore", url, "-o", place / "out.db", "-if-replica-exists"), 4, "nowhere")

    def test_a_backup_that_cannot_be_restored_is_an_error(
        self, backup: Backup, copied: Callable[[], str], place: Path
    ) -> None:
        bucket = copied()
        agent.change_object(backup.server.url, bucket, object_name(1), agent.StoredObject.remove)
        url = f"{backup.server.url}/{bucket}"
        refused(agent.run("restore", url, "-o", place / "out.db", "--if-replica-exists"), 7, "no full copy")
        assert listing(place) == {}

    def test_a_backup_is_restored(self, backup: Backup, place: Path) -> None:
        assert agent.run("restore", backup.url, "-o", place / "out.db", "--if-replica-exists").code == 0
        assert listing(place) == {"out.db": backup.newest}


@pytest.fixture(scope="module")
def large(backup: Backup, tmp_path_factory: pytest.TempPathFactory) -> Backup:
    """A database of several MiB, whose restore can be stopped in the middle of its only object."""
    directory = tmp_path_factory.mktemp("large")
    database = directory / "large.db"
    make_bucket(backup.server.url, "large")
    config = agent.write_config(
        directory / "litefleet.yml", [(database, {"url": backup.server.url, "bucket": "large"})]
    )
    with Writer(database) as app:
        app.run("CREATE TABLE t (b)")
        app.run("INSERT INTO t VALUES (randomblob(?))", [[100_000]] * 60)
        assert agent.run("replicate", "--config", config, "--once").code == 0
        state = agent.database_bytes(database, directory)
    return Backup(backup.server, database, config, "large", {1: state})


class TestInTheMiddle:
    """The network hangs when some of the database has arrived."""

    async def hung(self, proxy: Proxy) -> None:
        async with asyncio.timeout(agent.PATIENCE):
            await proxy.hung.wait()

    @pytest.fixture(autouse=True)
    def _place(self, large: Backup, place: Path) -> None:
        self.output = place / "out.db"
        self.place = place
        self.large = large

    def arguments(self, proxy: Proxy) -> list[str]:
        return ["restore", f"{proxy.url}/large", "-o", str(self.output)]

    async def test_a_killed_restore_leaves_no_database_and_nothing_in_the_way_of_the_next(self) -> None:
        async with tcp_proxy(self.large.server.port) as proxy:
            proxy.hang_after(3 << 20)
            async with agent.started(*self.arguments(proxy)) as process:
                await self.hung(proxy)
                process.kill()
                assert (await agent.finished(process)).code == -signal.SIGKILL
        assert not self.output.exists()
        done = await asyncio.to_thread(agent.run, "restore", self.large.url, "-o", self.output)
        assert done.code == 0, done.err
        assert listing(self.place) == {"out.db": self.large.newest}

    async def test_a_killed_restore_with_force_leaves_what_was_there(self) -> None:
        self.output.write_bytes(OLD)
        self.output.with_name("out.db-wal").write_bytes(OLD)
        async with tcp_proxy(self.large.server.port) as proxy:
            proxy.hang_after(3 << 20)
            async with agent.started(*self.arguments(proxy), "--force") as process:
                await self.hung(proxy)
                process.kill()
                await agent.finished(process)
        found = listing(self.place)
        assert (found["out.db"], found["out.db-wal"]) == (OLD, OLD)

    async def test_an_interrupted_restore_leaves_nothing(self) -> None:
        async with tcp_proxy(self.large.server.port) as proxy:
            proxy.hang_after(3 << 20)
            # With patience, so that on a slow machine too it is the signal that ends it.
            replica = {"url": proxy.url, "bucket": "large", "timeout": "2m"}
            config = agent.write_config(self.place.parent / "patient.yml", [(self.large.database, replica)])
            arguments = ["restore", str(self.large.database), "--config", str(config), "-o", str(self.output)]
            async with agent.started(*arguments) as process:
                await self.hung(proxy)
                process.send_signal(signal.SIGINT)
                done = await agent.finished(process)
        assert (done.code, done.err) == (130, "litefleet: interrupted\n")
        assert listing(self.place) == {}

    async def test_what_appears_meanwhile_is_not_overwritten(self) -> None:
        async with tcp_proxy(self.large.server.port) as proxy:
            proxy.hang_after(3 << 20)
            async with agent.started(*self.arguments(proxy)) as process:
                await self.hung(proxy)
                self.output.write_bytes(OLD)
                proxy.resume()
                refused(await agent.finished(process), 7, "Output exists")
        assert listing(self.place) == {"out.db": OLD}

    async def test_two_restores_to_one_place_do_not_mix(self) -> None:
        async with tcp_proxy(self.large.server.port) as proxy:
            proxy.hang_after(3 << 20)
            async with agent.started(*self.arguments(proxy)) as process:
                await self.hung(proxy)
                second = await asyncio.to_thread(agent.run, "restore", self.large.url, "-o", self.output)
                refused(second, 7, "Another restore")
                proxy.resume()
                assert (await agent.finished(process)).code == 0
        assert listing(self.place) == {"out.db": self.large.newest}

    async def test_a_cut_connection_is_made_again(self) -> None:
        async with tcp_proxy(self.large.server.port) as proxy:
            proxy.cut_after(3 << 20)
            async with agent.started(*self.arguments(proxy)) as process:
                done = await agent.finished(process)
        assert done.code == 0, done.err
        assert listing(self.place) == {"out.db": self.large.newest}


@pytest.mark.parametrize("limit", [4096 * 2, 4096 * 2 + 1000, 1 << 20])
def test_a_full_disk_is_one_line_and_leaves_nothing(large: Backup, place: Path, limit: int) -> None:
    done = subprocess.run(
        [*agent.command(), "restore", large.url, "-o", str(place / "out.db")],
        check=False, capture_output=True, text=True, timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    refused(agent.Finished(done.returncode, done.stdout, done.stderr), 7, "Cannot write", "File too large", "make room")
    assert listing(place) == {}


def test_a_restored_database_can_be_written_to_at_once(backup: Backup, place: Path) -> None:
    assert agent.run("restore", backup.url, "-o", place / "out.db").code == 0
    assert run_sql(place / "out.db", "INSERT INTO t (b) VALUES (1)", "SELECT count(*) FROM t") == [[11]]
    assert run_sql(place / "out.db", "PRAGMA integrity_check") == [["ok"]]


def test_listings_and_status_are_json(backup: Backup) -> None:
    files = agent.run("ltx", "--config", backup.config, backup.database, "--json").json()
    assert [(file["level"], file["min_txid"]) for file in files] == [(0, f"{txid:016x}") for txid in (1, 2, 3, 4)]
    assert agent.run("ltx", backup.url, "--level", "9", "--json").json() == []
    (row,) = agent.run("status", "--config", backup.config, "--json").json()
    assert (row["database"], row["status"], row["txid"]) == (str(backup.database), "ok", f"{4:016x}")
    assert (row["lag"], row["pending_bytes"], row["files"]) == (0.0, 0, 4)
    assert json.loads(agent.run("databases", "--config", backup.config, "--json").out)[0]["replica"] == backup.url
