"""Whatever happens to the WAL, the server or the agent: no gap, and no full copy where the WAL provably goes on."""

from __future__ import annotations

import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.natsserver import NatsServer, nats_server
from tests.support.running import (
    Agent,
    Writer,
    assert_same_pages,
    checkpointed,
    litefleet,
    make_bucket,
    settle,
    write_config,
)


@pytest.fixture(scope="module")
def server() -> Iterator[NatsServer]:
    with nats_server() as running:
        yield running


class Case:
    """One database, one bucket."""

    def __init__(self, server: NatsServer, directory: Path, bucket: str) -> None:
        self.server, self.bucket, self.directory = server, bucket, directory
        self.path = directory / "app.db"
        self.config = write_config(directory / "config.yml", server.url, {self.path: bucket})
        make_bucket(server.url, bucket)

    def assert_restores(self) -> None:
        """Equal to the database, which no process may have open."""
        live, restored = self.directory / "live.db", self.directory / "restored.db"
        live.write_bytes(checkpointed(self.path))
        url = f"{self.server.url}/{self.bucket}"
        litefleet("restore", url, "-o", restored, "--force", "--integrity-check", "full")
        assert_same_pages(restored, live, 4096)


@pytest.fixture
def case(server: NatsServer, tmp_path: Path, request: pytest.FixtureRequest) -> Case:
    return Case(server, tmp_path, request.node.name.removeprefix("test_")[:60])


def test_an_agent_that_comes_back_goes_on_where_it_stopped(case: Case) -> None:
    with Writer(case.path) as writer:
        with Agent(case.config).ready() as agent:
            writer.do("insert 20 5 500")
            settle(case.config)
            assert agent.stop() == 0
        writer.do("insert 20 5 500")
        with Agent(case.config).ready() as agent:
            settle(case.config)
            assert "goes on from TXID" in agent.output()
            assert agent.full_copies() == 0
            agent.stop()
        writer.close()
    case.assert_restores()


def test_what_happened_to_the_wal_while_the_agent_was_away_is_not_guessed(case: Case) -> None:
    with Writer(case.path) as writer:
        with Agent(case.config).ready() as agent:
            writer.do("insert 20 5 500")
            settle(case.config)
            agent.stop()
        writer.do("insert 3 5 500")
        writer.close()  # the last connection copies the WAL into the database and deletes it
    with Writer(case.path) as writer:
        writer.do("insert 3 5 500")
        with Agent(case.config).ready() as agent:
            settle(case.config)
            assert agent.full_copies() == 1
            agent.stop()
        writer.close()
    case.assert_restores()


def test_an_unchanged_database_is_not_copied_again_although_its_wal_is_gone(case: Case) -> None:
    with Writer(case.path) as writer:
        with Agent(case.config).ready() as agent:
            writer.do("insert 20 5 500")
            settle(case.config)
            assert agent.stop() == 0
        writer.close()
    newest = litefleet("ltx", case.path, "--config", case.config).stdout
    for _ in range(2):
        with Agent(case.config).ready() as agent:
            settle(case.config)
            assert agent.stop() == 0
            assert agent.full_copies() == 0
        litefleet("replicate", "--config", case.config, "--once")
    assert litefleet("ltx", case.path, "--config", case.config).stdout == newest
    with Writer(case.path) as writer, Agent(case.config).ready() as agent:
        writer.do("insert 3 5 500")
        settle(case.config)
        assert agent.full_copies() == 0
        assert agent.stop() == 0
        writer.close()
    case.assert_restores()


def test_a_database_that_went_back_in_time_is_copied_in_full(case: Case) -> None:
    with Writer(case.path) as writer:
        writer.do("insert 5 5 500")
        writer.close()
    earlier = checkpointed(case.path)
    with Writer(case.path) as writer:
        with Agent(case.config).ready() as agent:
            writer.do("insert 5 5 500")
            settle(case.config)
            assert agent.stop() == 0
        writer.close()
    case.path.write_bytes(earlier)
    with Agent(case.config).ready() as agent:
        settle(case.config)
        assert agent.full_copies() == 1
        assert agent.stop() == 0
    case.assert_restores()


def test_checkpoints_of_the_application_lose_nothing(case: Case) -> None:
    with Writer(case.path) as writer, Agent(case.config).ready() as agent:
        for mode in ("passive", "full", "restart", "truncate") * 3:
            writer.do("insert 30 5 2000")
            writer.do(f"checkpoint {mode}")
        settle(case.config)
        assert agent.stop() == 0
        assert agent.full_copies() == 1
        writer.close()
    case.assert_restores()


def test_our_own_checkpoints_keep_the_wal_short(case: Case) -> None:
    with Writer(case.path) as writer, Agent(case.config).ready() as agent:
        for _ in range(10):
            writer.do("insert 500 2 3000")
            settle(case.config)
        # With every page that an insert touches, these are more than 80 MB of frames.
        assert case.path.with_name("app.db-wal").stat().st_size < 60_000_000
        assert agent.stop() == 0
        assert agent.full_copies() == 1
        writer.close()
    case.assert_restores()


def test_a_long_reader_holds_back_checkpoints_but_nothing_else(case: Case) -> None:
    with Writer(case.path) as writer, Agent(case.config).ready() as agent:
        writer.do("insert 5 5 500")
        writer.do("read")
        writer.do("insert 1500 1 3000")
        settle(case.config)
        held_back = agent.output().count("frames left")
        assert held_back <= 8, "checkpoints that can do nothing are tried again and again"
        writer.do("unread")
        writer.do("insert 1500 1 3000")
        settle(case.config)
        assert agent.stop() == 0
        assert agent.full_copies() == 1
        writer.close()
    case.assert_restores()


def test_a_transaction_that_is_not_committed_is_not_captured(case: Case) -> None:
    with Writer(case.path) as writer, Agent(case.config).ready() as agent:
        writer.do("insert 5 5 500")
        settle(case.config)
        before = agent.acknowledged()
        writer.do("rollback 3000 2000")
        settle(case.config)
        assert agent.acknowledged() == before
        writer.do("insert 1 1 10")
        settle(case.config)
        agent.stop()
        writer.close()
    case.assert_restores()


def test_a_replaced_database_file_is_copied_in_full(case: Case) -> None:
    with Writer(case.path) as writer:
        writer.do("insert 5 5 500")
        writer.close()
    other = case.directory / "other.db"
    with Writer(other) as writer:
        writer.do("insert 9 9 900")
        writer.close()
    with Agent(case.config).ready() as agent:
        settle(case.config)
        for suffix in ("", "-wal", "-shm"):
            case.path.with_name(f"app.db{suffix}").unlink(missing_ok=True)
        shutil.copy(other, case.path)
        with Writer(case.path) as writer:
            writer.do("insert 1 1 100")
            agent.wait_for("was replaced by another file")
            agent.wait_for("works again")
            writer.do("insert 1 1 100")
            settle(case.config)
            assert agent.stop() == 0
            writer.close()
    case.assert_restores()


def test_a_database_that_does_not_exist_yet_is_waited_for(case: Case) -> None:
    with Agent(case.config) as agent:
        agent.wait_for("does not exist yet")
        agent.wait_for("Replicating")
        with Writer(case.path) as writer:
            writer.do("insert 5 5 500")
            agent.wait_for("acknowledged")
            settle(case.config)
            assert agent.stop() == 0
            writer.close()
    case.assert_restores()


def test_a_restarted_server_is_caught_up_with(tmp_path: Path) -> None:
    with nats_server(store_dir=tmp_path / "nats") as server:
        case = Case(server, tmp_path, "outage")
        with Writer(case.path) as writer, Agent(case.config).ready() as agent:
            writer.do("insert 5 5 500")
            settle(case.config)
            server.kill()
            writer.do("insert 300 5 5000")
            server.start()
            agent.wait_for("works again|reconnected|acknowledged", after=len(agent.lines))
            settle(case.config)
            assert agent.stop() == 0
            assert agent.full_copies() == 1
            writer.close()
        case.assert_restores()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopping_without_a_server_says_what_is_missing(tmp_path: Path, number: int) -> None:
    with nats_server(store_dir=tmp_path / "nats") as server:
        case = Case(server, tmp_path, "gone")
        case.config.write_text(case.config.read_text() + "shutdown-sync-timeout: 2s\n")
        with Writer(case.path) as writer, Agent(case.config).ready() as agent:
            writer.do("insert 5 5 500")
            settle(case.config)
            server.kill()
            writer.do("insert 5 5 500")
            agent.signal(number)
            assert agent.wait() == 8
            last = agent.lines[-1]
            assert "not acknowledged" in last
            assert str(case.path) in last
            assert "Traceback" not in agent.output()
            server.start()
            with Agent(case.config).ready() as again:
                settle(case.config)
                assert again.full_copies() == 0
                again.stop()
            writer.close()
        case.assert_restores()


def test_another_database_is_refused_a_bucket_that_has_an_owner(case: Case) -> None:
    other = case.directory / "elsewhere.db"
    config = write_config(case.directory / "second.yml", case.server.url, {other: case.bucket})
    with Writer(case.path) as writer, Writer(other) as rival, Agent(case.config).ready() as agent:
        writer.do("insert 5 5 500")
        settle(case.config)
        rival.do("insert 5 5 500")
        with Agent(config) as second:
            assert second.wait() == 4
            said = f"belongs to {case.path} on {socket.gethostname()}, not to {other} on {socket.gethostname()}"
            assert said in second.output()
            assert "--takeover" in second.output()
        writer.do("insert 5 5 500")
        settle(case.config)
        assert agent.stop() == 0
        writer.close()
        rival.close()
    case.assert_restores()


def test_who_takes_a_bucket_over_shuts_the_other_out(case: Case) -> None:
    other = case.directory / "elsewhere.db"
    config = write_config(case.directory / "second.yml", case.server.url, {other: case.bucket})
    with Writer(case.path) as writer, Writer(other) as rival, Agent(case.config).ready() as agent:
        writer.do("insert 5 5 500")
        settle(case.config)
        rival.do("insert 7 5 500")
        with Agent(config, "--takeover").ready() as second:
            settle(config)
            newest = litefleet("ltx", other, "--config", config).stdout
            writer.do("insert 5 5 500")
            assert agent.wait() == 4
            assert "was taken over" in agent.output()
            # What was shut out has left nothing in the bucket.
            assert litefleet("ltx", other, "--config", config).stdout == newest
            assert second.stop() == 0
        writer.close()
        rival.close()
    case.path.unlink()
    shutil.copy(other, case.path)
    case.assert_restores()


def test_of_two_agents_for_one_database_the_later_one_goes_on(case: Case) -> None:
    config = write_config(case.directory / "second.yml", case.server.url, {case.path: case.bucket})
    with Writer(case.path) as writer, Agent(case.config).ready() as agent:
        writer.do("insert 5 5 500")
        settle(case.config)
        with Agent(config).ready() as second:
            writer.do("insert 5 5 500")
            assert agent.wait() == 4
            settle(config)
            assert second.stop() == 0
        writer.close()
    case.assert_restores()


def test_what_is_no_database_is_refused_by_name(case: Case) -> None:
    case.path.mkdir()
    done = litefleet("replicate", "--config", case.config, "--once", code=6)
    assert f"Not a SQLite database: {case.path}" in done.stderr
    assert "Traceback" not in done.stderr


def test_one_missing_bucket_does_not_keep_the_other_databases_from_their_backup(case: Case) -> None:
    other = case.directory / "other.db"
    config = write_config(case.directory / "two.yml", case.server.url, {other: "nowhere", case.path: case.bucket})
    with Writer(case.path) as writer, Writer(other) as neighbour, Agent(config).ready() as agent:
        writer.do("insert 5 5 500")
        agent.wait_for("Bucket not found: `nowhere`")
        agent.wait_for(f"{case.path}: acknowledged level=0 txid=0000000000000002")
        make_bucket(case.server.url, "nowhere")
        agent.wait_for(f"{other}: works again")
        assert agent.stop() == 0
        writer.close()
        neighbour.close()
    case.assert_restores()
