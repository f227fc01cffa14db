"""Idle databases are let go: their files are closed, and whatever happens to them meanwhile is found afterwards."""

from __future__ import annotations

import contextlib
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.databases import Databases
from tests.support.natsserver import NatsServer, nats_server
from tests.support.running import PATIENCE, Agent, Writer
from tests.support.streams import purge

LIMIT = 2
OPEN: dict[str, Any] = {"max-open": LIMIT}
NAMES = ("a", "b", "c", "d", "e", "f")


@pytest.fixture(scope="module")
def server() -> Iterator[NatsServer]:
    with nats_server() as running:
        yield running


@pytest.fixture
def site(server: NatsServer, tmp_path: Path, request: pytest.FixtureRequest) -> Databases:
    """Three databases, of which two may be open: after ``released`` the first one is not."""
    prefix = str(request.node.name).removeprefix("test_")[:30]
    return Databases(tmp_path, server.url, *(f"{prefix}-{name}" for name in "abc"), **OPEN)


@pytest.fixture
def writers(site: Databases) -> Iterator[list[Writer]]:
    with ExitStack() as stack:
        yield [stack.enter_context(Writer(site.path(name))) for name in site.names]


def released(site: Databases, writers: list[Writer]) -> str:
    """The first database, of which all is sent and no file is open any more, as the others are busy."""
    first, *others = site.names
    site.settle(first)
    deadline = time.monotonic() + PATIENCE
    while site.figures(first)["open"]:
        assert time.monotonic() < deadline
        for name, writer in zip(others, writers[1:], strict=True):
            writer.do("insert 5 5 500")
            site.settle(name)
    site.wait(first, lambda figures: figures["state"] == "replicating")
    return first


def open_files(agent: Agent, path: Path) -> int:
    """Descriptors of the agent for a database and what belongs to it."""
    count = 0
    for descriptor in Path(f"/proc/{agent.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            count += str(descriptor.readlink()).startswith(str(path))
    return count


@contextlib.contextmanager
def paused(agent: Agent) -> Iterator[None]:
    """Inside, the agent does not run: what happens is over before it sees any of it."""
    agent.signal(signal.SIGSTOP)
    status = Path(f"/proc/{agent.pid}/status")
    while "T (stopped)" not in status.read_text():
        time.sleep(0.001)
    yield
    agent.signal(signal.SIGCONT)


def wait_sent(site: Databases, name: str, agent: Agent, *, beyond: int) -> None:
    """Until a file with a higher TXID is acknowledged."""
    site.wait(name, lambda figures: int(figures["acknowledged_txid"] or "0", 16) > beyond)
    site.wait(name, lambda figures: not figures["pending"])
    assert "Traceback" not in agent.output()


def txid(site: Databases, name: str) -> int:
    return int(site.figures(name)["acknowledged_txid"], 16)


def end(site: Databases, writers: list[Writer], agent: Agent) -> None:
    """Everything is sent, and comes back."""
    assert agent.stop() == 0
    for writer in writers:
        writer.close()
    site.assert_restores(*site.names)


def test_no_more_than_the_limit_stay_open(server: NatsServer, tmp_path: Path) -> None:
    site = Databases(tmp_path, server.url, *NAMES, **OPEN)
    with ExitStack() as stack:
        writers = {name: stack.enter_context(Writer(site.path(name))) for name in NAMES}
        agent = stack.enter_context(site.agent()).ready()
        for name in NAMES:
            writers[name].do("insert 5 5 500")
            site.settle(name)
        deadline = time.monotonic() + PATIENCE
        while sum(site.figures(name)["open"] for name in NAMES) > LIMIT:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        files = {name: open_files(agent, site.path(name)) for name in NAMES}
        assert sum(count > 0 for count in files.values()) <= LIMIT, files
        for name in NAMES:
            before = txid(site, name)
            writers[name].do("insert 1 1 500")
            wait_sent(site, name, agent, beyond=before)
        for name in NAMES:
            assert site.figures(name)["done"]["full_copies"] == 1
        end(site, list(writers.values()), agent)


def test_a_checkpoint_by_the_application_is_no_reason_for_a_copy(site: Databases, writers: list[Writer]) -> None:
    with site.agent().ready() as agent:
        name = released(site, writers)
        before = txid(site, name)
        with paused(agent):
            # More pages than after which SQLite makes a checkpoint by itself.
            writers[0].do("insert 1 1500 4000")
        wait_sent(site, name, agent, beyond=before)
        released(site, writers)
        before = txid(site, name)
        with paused(agent):
            assert writers[0].do("checkpoint restart").startswith("done (0,")
            writers[0].do("insert 3 1 500")
        wait_sent(site, name, agent, beyond=before)
        assert site.figures(name)["done"]["full_copies"] == 1
        end(site, writers, agent)


def test_transactions_that_left_the_wal_are_copied_with_the_rest(site: Databases, writers: list[Writer]) -> None:
    with site.agent().ready() as agent:
        name = released(site, writers)
        before = txid(site, name)
        with paused(agent):
            for _ in range(2):
                writers[0].do("insert 2 5 500")
                assert writers[0].do("checkpoint truncate") == "done (0, 0, 0)"
            writers[0].do("insert 2 5 500")
        wait_sent(site, name, agent, beyond=before)
        assert site.figures(name)["done"]["full_copies"] == 2
        assert "full copy follows" in agent.output()
        end(site, writers, agent)


def test_applications_that_come_and_go_take_the_wal_along(site: Databases, writers: list[Writer]) -> None:
    with site.agent().ready() as agent:
        name = released(site, writers)
        writers[0].close()
        for _ in range(2):
            before = txid(site, name)
            with paused(agent), Writer(site.path(name)) as visitor:
                visitor.do("insert 4 5 500")
                visitor.close()
            wait_sent(site, name, agent, beyond=before)
            released(site, writers)
        end(site, writers[1:], agent)


def test_a_replaced_file_is_noticed(site: Databases, writers: list[Writer]) -> None:
    other = site.directory / "other.db"
    with Writer(other) as writer:
        writer.do("insert 9 9 900")
        writer.close()
    with site.agent().ready() as agent:
        name = released(site, writers)
        writers[0].close()
        before = txid(site, name)
        with paused(agent):
            for suffix in ("-wal", "-shm"):
                site.path(name).with_name(f"{name}.db{suffix}").unlink(missing_ok=True)
            shutil.move(other, site.path(name))
        wait_sent(site, name, agent, beyond=before)
        end(site, writers[1:], agent)


def test_a_bucket_that_is_emptied_meanwhile_is_filled_again(site: Databases, writers: list[Writer]) -> None:
    with site.agent().ready() as agent:
        name = released(site, writers)
        purge(site.url, name)
        agent.wait_for("has lost")
        site.settle(name)
        assert site.figures(name)["done"]["full_copies"] == 2
        end(site, writers, agent)


def test_what_is_written_at_the_very_end_is_sent(site: Databases, writers: list[Writer]) -> None:
    with site.agent().ready() as agent:
        released(site, writers)
        with paused(agent):
            writers[0].do("insert 3 5 500")
            agent.signal(signal.SIGTERM)
        assert agent.wait() == 0
        writers[0].close()
        site.assert_restores(site.names[0])


def test_an_agent_that_comes_back_goes_on_where_it_stopped(site: Databases, writers: list[Writer]) -> None:
    with site.agent().ready() as agent:
        name = released(site, writers)
        assert agent.stop() == 0
    writers[0].do("insert 3 5 500")
    with site.agent().ready() as agent:
        site.settle(name)
        assert agent.full_copies() == 0
        end(site, writers, agent)
