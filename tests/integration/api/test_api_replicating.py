"""A program that replicates its own databases: what is durable, what is said when it is not, and who ends when."""

from __future__ import annotations

import asyncio
import logging
import os
import select
import signal
import stat
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import litefleet
from litefleet.errors import ConfigError, LitefleetError, NatsError, NotDurable, UsageError
from tests.integration.api.conftest import Application, rows
from tests.support.natsserver import NatsServer, nats_server
from tests.support.running import Process, make_bucket
from tests.support.running import litefleet as command
from tests.support.sqlitewriter import run_sql

SECRET = "correct-horse-$battery"


async def test_what_was_committed_before_the_wait_is_in_the_bucket_after_it(app: Application, url: str) -> None:
    began = datetime.now(UTC) - timedelta(seconds=1)
    async with litefleet.replicating(app.path, url) as replica:
        app.commit(3)
        await replica.wait_durable()
        # While the agent still runs: nothing that its end brings is counted.
        await litefleet.restore(url, app.path.with_suffix(".restored"))
        (status,) = await replica.status()
        app.commit(2)
    assert rows(app.path.with_suffix(".restored")) == 3
    assert (status.path, status.state, status.pending, status.lag) == (app.path, "replicating", False, 0.0)
    assert status.acknowledged_at is not None
    assert began < status.acknowledged_at < datetime.now(UTC)
    # The end has sent what nobody waited for.
    restored = await litefleet.restore(url, app.path.with_suffix(".later"), integrity_check="full")
    assert rows(restored.path) == 5
    assert restored.txid > status.acknowledged_txid > 0


async def test_the_programs_locks_survive_everything_that_the_replicator_does(app: Application, url: str) -> None:
    async with litefleet.replicating(app.path, url) as replica:
        app.commit()
        app.connection.execute("BEGIN IMMEDIATE")
        await replica.wait_durable()
        await replica.status()
        await asyncio.to_thread(_assert_locked, app.path)
    # POSIX locks go with the first descriptor that a process closes: the agent's are all closed now.
    await asyncio.to_thread(_assert_locked, app.path)
    app.connection.execute("ROLLBACK")
    await asyncio.to_thread(run_sql, app.path, "BEGIN IMMEDIATE", "ROLLBACK")


def _assert_locked(path: Path) -> None:
    with pytest.raises(AssertionError, match="database is locked"):
        run_sql(path, "PRAGMA busy_timeout=0", "BEGIN IMMEDIATE")


def test_a_program_without_asyncio_replicates_several_databases(
    app: Application, server: NatsServer, url: str, tmp_path: Path
) -> None:
    make_bucket(server.url, "other")
    other = Application(tmp_path / "other.db")
    elsewhere = {"url": server.url, "bucket": "other"}
    with litefleet.Replicator({app.path: url, str(other.path): elsewhere}) as replica:
        app.commit(2)
        other.commit(4)
        replica.wait_durable()
        replica.wait_durable(other.path)
        assert {status.path: status.state for status in replica.status()} == {
            app.path: "replicating", other.path: "replicating",
        }  # fmt: skip
    other.connection.close()
    for name, count in (("app", 2), ("other", 4)):
        command("restore", f"{server.url}/{name}", "-o", tmp_path / f"{name}.restored")
        assert rows(tmp_path / f"{name}.restored") == count


async def test_options_of_a_database_reach_every_one(app: Application, url: str) -> None:
    async with litefleet.replicating(app.path, url):
        app.commit(3)
    app.connection.close()
    for file in app.path.parent.glob("app.db*"):
        file.unlink()
    async with litefleet.replicating(app.path, url, restore_if_db_not_exists=True, sync_interval=timedelta(seconds=1)):
        # The agent has restored it before the block began.
        assert (await asyncio.to_thread(run_sql, app.path, "SELECT count(*) FROM entry")) == [[3]]


async def test_a_server_that_is_away_is_waited_for_and_then_said_to_be_missing(
    app: Application, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    async with nats_server(store_dir=tmp_path / "nats") as server:
        url = f"{server.url}/app"
        await asyncio.to_thread(make_bucket, server.url, "app")

        async def outage() -> None:
            async with litefleet.replicating(app.path, url, shutdown_sync_timeout="1s") as replica:
                app.commit()
                await replica.wait_durable()
                await asyncio.to_thread(server.stop)
                app.commit()
                with pytest.raises(NotDurable, match=r"not acknowledged within 0\.5 s"):
                    await replica.wait_durable(timeout=0.5)
                await asyncio.to_thread(server.start)
                await replica.wait_durable()
                await asyncio.to_thread(server.stop)
                app.commit()

        async def failure() -> None:
            # That no server is there at the start keeps nobody out.
            async with litefleet.replicating(app.path, url, shutdown_sync_timeout="1s"):
                app.commit()
                raise ValueError("of the block itself")

        with pytest.raises(NotDurable, match=r"app\.db: the last transactions are not acknowledged"):
            await outage()
        with pytest.raises(ValueError, match="of the block itself"):
            await failure()
        said = [record.getMessage() for record in caplog.records if record.name == "litefleet.api"]
        assert "the last transactions are not acknowledged" in said[-1]


async def test_what_keeps_the_database_from_its_bucket_is_raised_at_the_start(
    app: Application, server: NatsServer
) -> None:
    with pytest.raises(NatsError, match="missing") as refused:
        async with litefleet.replicating(app.path, f"{server.url}/missing"):
            pytest.fail("the block must not begin")
    assert refused.value.exit_code == 4


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"sync_intervall": "1s"}, ConfigError, "did you mean sync-interval"),
        ({"sync_interval": 1}, ConfigError, "a time needs a unit"),
        ({"root_cas": ["/nowhere/ca.pem"]}, ConfigError, "/nowhere/ca.pem"),
        ({"logging": {"level": "debug"}}, UsageError, "Python's `logging`"),
        ({"socket": {"enabled": False}}, UsageError, "`socket` cannot be given"),
        ({"dbs": []}, UsageError, "arguments of their own"),
    ],
)
async def test_options_are_checked_as_the_configuration_file_is(
    tmp_path: Path, options: dict[str, object], kind: type[LitefleetError], text: str
) -> None:
    with pytest.raises(kind, match=text):
        async with litefleet.replicating(tmp_path / "app.db", "nats://127.0.0.1:1/app", **options):  # type: ignore[arg-type]
            pytest.fail("the block must not begin")
    with pytest.raises(UsageError, match="no database"):
        litefleet.Replicator({})


async def test_secrets_are_for_the_agent_only_and_its_files_go_with_it(app: Application, tmp_path: Path) -> None:
    users = {"users": [{"user": "app", "password": SECRET}, {"user": "admin", "password": "admin"}]}
    async with nats_server({"authorization": users}, tmp_path / "nats") as server:
        await asyncio.to_thread(make_bucket, server.url.replace("//", "//admin:admin@"), "app")
        replicator = litefleet.replicating(app.path, f"{server.url}/app", username="app", password=SECRET)
        async with replicator as replica:
            app.commit()
            await replica.wait_durable()
            process, socket = replicator._agent._process, replicator._agent.socket
            assert process is not None
            assert socket is not None
            await asyncio.to_thread(_assert_hidden, process.pid, socket.parent)
            assert SECRET not in repr(await replica.status())
        assert not socket.parent.exists()
        with pytest.raises(UsageError, match="started before"):
            await replicator.__aenter__()


def _assert_hidden(pid: int, directory: Path) -> None:
    for kind in ("cmdline", "environ"):
        assert SECRET not in Path(f"/proc/{pid}/{kind}").read_text()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((directory / "litefleet.yml").stat().st_mode) == 0o600
    assert SECRET in (directory / "litefleet.yml").read_text()


async def test_an_agent_that_is_killed_is_noticed(app: Application, url: str, caplog: pytest.LogCaptureFixture) -> None:
    replicator = litefleet.replicating(app.path, url)

    async def block() -> None:
        async with replicator as replica:
            assert replicator._agent._process is not None
            os.kill(replicator._agent._process.pid, signal.SIGKILL)
            with pytest.raises(NotDurable, match="signal 9"):
                await replica.wait_durable()

    with pytest.raises(NotDurable, match="signal 9"):
        await block()
    assert "ended by signal 9" in caplog.text


async def test_an_agent_that_takes_too_long_to_start_is_ended(app: Application, url: str) -> None:
    replicator = litefleet.replicating(app.path, url, ready_timeout=0)
    with pytest.raises(LitefleetError, match="not ready within 0 s"):
        async with replicator:
            pytest.fail("the block must not begin")
    await asyncio.to_thread(replicator._agent.ended.result, 60)
    assert replicator._agent._process is not None
    assert replicator._agent._process.returncode == -signal.SIGKILL


async def test_what_the_agent_logs_is_the_programs_log(
    app: Application, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "litefleet"):
        async with litefleet.replicating(app.path, url):
            pass
    told = {(record.name, record.levelname, record.getMessage()) for record in caplog.records}
    assert ("litefleet.service", "INFO", "Replicating 1 databases") in told


PROGRAM = """
import os, sqlite3, sys, time
import litefleet

connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA journal_mode=wal")
connection.execute("CREATE TABLE entry (id INTEGER PRIMARY KEY)")
replicator = litefleet.Replicator({sys.argv[1]: sys.argv[2]})
with replicator:
    other = os.fork()
    if not other:
        time.sleep(600)
    connection.execute("INSERT INTO entry DEFAULT VALUES")
    print(f"running {other} {replicator._agent._process.pid} {replicator._agent.socket}", flush=True)
    time.sleep(600)
"""


def test_the_agent_ends_with_a_program_that_is_killed_though_its_forks_live_on(
    server: NatsServer, url: str, tmp_path: Path
) -> None:
    path = tmp_path / "app.db"
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    with Process(sys.executable, "-P", program, path, url) as running:
        told = running.wait_for(r"^running (\d+) (\d+) (.+)")
        forked, agent = os.pidfd_open(int(told[1])), os.pidfd_open(int(told[2]))
        try:
            running.signal(signal.SIGKILL)
            assert _ends(agent)
            assert not _ends(forked, 0)
        finally:
            signal.pidfd_send_signal(forked, signal.SIGKILL)
    assert not Path(told[3]).parent.exists()
    # Its last transactions were sent, though nobody was there to ask for it.
    command("restore", url, "-o", tmp_path / "restored.db")
    assert rows(tmp_path / "restored.db") == 1


def _ends(handle: int, patience: float = 60) -> bool:
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(patience * 1000))
