"""Without its bucket a database is captured into the spool, its WAL stays short, and all of it arrives in order."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.databases import Databases
from tests.support.natsserver import NatsServer, nats_server
from tests.support.proxy import Proxy
from tests.support.running import Agent, Writer, litefleet
from tests.support.streams import set_max_bytes
from tests.support.way import Way, way_to


@pytest.fixture(scope="module")
def server() -> Iterator[NatsServer]:
    with nats_server() as running:
        yield running


@pytest.fixture
def way(server: NatsServer) -> Iterator[Way]:
    with way_to(server.port) as found:
        yield found


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return str(request.node.originalname).removeprefix("test_")[:60]


@pytest.fixture
def site(server: NatsServer, way: Way, tmp_path: Path, name: str) -> Databases:
    return Databases(tmp_path, way.url, name, make=server.url)


def spooled(site: Databases, name: str, writer: Writer, *, files: int) -> None:
    """Commit until so many files wait."""
    for count in range(1, files + 1):
        writer.do("insert 5 5 500")
        wait_spooled(site, name, count)


def wait_spooled(site: Databases, name: str, count: int) -> None:
    site.wait(name, lambda figures: figures["spool_files"] >= count)


def wait_checkpoint(site: Databases, name: str) -> None:
    """Until the WAL is used from its start again: everything in it was captured, and copied."""
    before = site.figures(name)["done"].get("checkpoints", 0)
    site.wait(name, lambda figures: figures["done"].get("checkpoints", 0) > before)


def arrived(agent: Agent) -> list[int]:
    """The TXIDs that came from the spool, in the order of their arrival."""
    lines = [line for line in agent.lines if "from the spool" in line and "txid=" in line]
    return [int(line.split("txid=")[1].split()[0], 16) for line in lines]


def test_what_waited_arrives_in_order_and_the_wal_stayed_short(site: Databases, way: Way, name: str) -> None:
    with Writer(site.path(name)) as writer, site.agent().ready() as agent:
        writer.do("insert 5 5 500")
        site.settle(name)
        copies = agent.full_copies()
        way.do(Proxy.refuse)
        for _ in range(5):
            writer.do("insert 600 2 3000")
            wait_checkpoint(site, name)
        # Three thousand transactions with three frames or more each.
        assert site.path(name).with_name(f"{name}.db-wal").stat().st_size < 20_000_000
        waiting = site.figures(name)["spool_files"]
        assert waiting >= 5
        way.do(Proxy.accept)
        site.settle(name)
        txids = arrived(agent)
        assert txids == list(range(txids[0], txids[0] + len(txids)))
        assert len(txids) >= waiting
        assert agent.full_copies() == copies
        assert not list(site.spool.iterdir())
        assert site.figures(name)["spool_files"] == 0
        assert agent.stop() == 0
        writer.close()
    site.assert_restores(name)


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_an_agent_that_ends_in_an_outage_goes_on_from_its_spool(
    server: NatsServer, way: Way, tmp_path: Path, end: str
) -> None:
    site = Databases(tmp_path, way.url, end, make=server.url)
    with Writer(site.path(end)) as writer:
        with site.agent().ready() as agent:
            writer.do("insert 5 5 500")
            site.settle(end)
            way.do(Proxy.refuse)
            spooled(site, end, writer, files=3)
            if end == "stop":
                assert agent.stop() == 8
                assert re.search(r"not acknowledged: .*; \d+ files wait in the spool", agent.lines[-1])
        writer.do("insert 5 5 500")
        with site.agent().ready() as agent:
            agent.wait_for(r"goes on from TXID [0-9a-f]{16} into the spool")
            spooled(site, end, writer, files=5)
            way.do(Proxy.accept)
            site.settle(end)
            txids = arrived(agent)
            assert len(txids) >= 5
            assert txids == list(range(txids[0], txids[0] + len(txids)))
            assert agent.full_copies() == 0
            assert agent.stop() == 0
        writer.close()
    site.assert_restores(end)


def test_an_agent_that_starts_in_an_outage_knows_where_it_stopped(site: Databases, way: Way, name: str) -> None:
    with Writer(site.path(name)) as writer:
        with site.agent().ready() as agent:
            writer.do("insert 5 5 500")
            site.settle(name)
            assert agent.stop() == 0
        way.do(Proxy.refuse)
        writer.do("insert 5 5 500")
        with site.agent().ready() as agent:
            spooled(site, name, writer, files=2)
        # Once more with the server: what the first stop left must not be taken for the newest by now.
        way.do(Proxy.accept)
        with site.agent().ready() as agent:
            site.settle(name)
            assert agent.stop() == 0
            assert agent.full_copies() == 0
        with site.agent().ready() as agent:
            writer.do("insert 5 5 500")
            site.settle(name)
            way.do(Proxy.refuse)
            spooled(site, name, writer, files=2)
        with site.agent().ready() as agent:
            way.do(Proxy.accept)
            site.settle(name)
            assert agent.full_copies() == 0
            assert len(arrived(agent)) >= 2
            assert agent.stop() == 0
        writer.close()
    site.assert_restores(name)


def test_an_agent_killed_while_it_catches_up_goes_on_with_the_rest(site: Databases, way: Way, name: str) -> None:
    with Writer(site.path(name)) as writer:
        with site.agent().ready() as agent:
            writer.do("insert 5 5 500")
            site.settle(name)
            way.do(Proxy.refuse)
            for count in range(1, 6):
                writer.do("insert 1 20 5000")
                wait_spooled(site, name, count)
            way.do(lambda proxy: proxy.hang_after(150_000))
            way.do(Proxy.accept)
            agent.wait_for("acknowledged level=0 txid=.* from the spool")
            way.wait_hung()
            assert 0 < len(arrived(agent)) < 5
        way.do(Proxy.resume)
        with site.agent().ready() as agent:
            site.settle(name)
            assert agent.full_copies() == 0
            assert agent.stop() == 0
        writer.close()
    site.assert_restores(name)


def damage(spool: Path) -> None:
    newest = max(spool.glob("*/*.ltx"))
    content = bytearray(newest.read_bytes())
    content[-20] ^= 1
    newest.write_bytes(content)


def remove(spool: Path) -> None:
    shutil.rmtree(spool)


@pytest.mark.parametrize("harm", [damage, remove])
def test_a_harmed_spool_costs_one_full_copy(
    server: NatsServer, way: Way, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    name = harm.__name__
    site = Databases(tmp_path, way.url, name, make=server.url)
    with Writer(site.path(name)) as writer, site.agent().ready() as agent:
        writer.do("insert 5 5 500")
        site.settle(name)
        way.do(Proxy.refuse)
        spooled(site, name, writer, files=2)
        harm(site.spool)
        spooled(site, name, writer, files=3)
        way.do(Proxy.accept)
        site.settle(name)
        assert site.figures(name)["done"]["full_copies"] == 2
        assert site.figures(name)["spool_files"] == 0
        assert agent.output().count("is damaged or gone") == 1
        assert agent.stop() == 0
        writer.close()
    site.assert_restores(name)


def test_a_full_spool_leaves_the_rest_in_the_wal(site: Databases, way: Way, name: str) -> None:
    site.configure(way.url, name, spool={"path": str(site.spool), "limit": "100KB"})
    with Writer(site.path(name)) as writer, site.agent().ready() as agent:
        writer.do("insert 5 5 500")
        site.settle(name)
        way.do(Proxy.refuse)
        writer.do("insert 2 5 500")
        site.wait(name, lambda figures: figures["spool_files"] >= 1)
        writer.do("insert 10 10 5000")
        agent.wait_for(
            "takes no more: its limit of 10[02]400? bytes is reached|takes no more: its limit of 100000 bytes"
        )
        writer.do("insert 10 10 5000")
        way.do(Proxy.accept)
        site.settle(name)
        assert site.figures(name)["done"]["full_copies"] == 1
        assert agent.output().count("takes no more") == 1
        assert agent.stop() == 0
        writer.close()
    site.assert_restores(name)


def test_a_disk_without_room_for_the_spool_leaves_the_rest_in_the_wal(site: Databases, way: Way, name: str) -> None:
    disk = site.directory / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k,mode=0700", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount")
    try:
        site.configure(way.url, name, spool={"path": str(disk / "spool")})
        with Writer(site.path(name)) as writer, site.agent().ready() as agent:
            writer.do("insert 5 5 500")
            site.settle(name)
            way.do(Proxy.refuse)
            writer.do("insert 20 10 5000")
            agent.wait_for("takes no more: No space left on device")
            writer.do("insert 20 10 5000")
            way.do(Proxy.accept)
            site.settle(name)
            assert site.figures(name)["done"]["full_copies"] == 1
            assert agent.output().count("takes no more") == 1
            assert agent.stop() == 0
            writer.close()
        site.assert_restores(name)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_wal_beyond_its_limit_is_given_back_to_the_application(site: Databases, way: Way, name: str) -> None:
    site.configure(
        way.url,
        name,
        spool={"path": str(site.spool), "limit": 65536},
        database={"wal-limit": "1MB", "min-checkpoint-page-count": 100},
    )
    wal = site.path(name).with_name(f"{name}.db-wal")
    with Writer(site.path(name)) as writer, site.agent().ready() as agent:
        writer.do("insert 5 5 500")
        site.settle(name)
        way.do(Proxy.refuse)
        for _ in range(3):
            writer.do("insert 300 1 3000")
            site.wait(name, lambda figures: not figures["open"])
            assert writer.do("checkpoint truncate") == "done (0, 0, 0)"
            assert wal.stat().st_size == 0
        assert agent.output().count("is beyond `wal-limit`") == 1
        way.do(Proxy.accept)
        site.settle(name)
        assert site.figures(name)["done"]["full_copies"] == 2
        assert agent.stop() == 0
        writer.close()
    site.assert_restores(name)


def test_a_link_that_hangs_is_noticed_and_survived(site: Databases, way: Way, name: str) -> None:
    with Writer(site.path(name)) as writer, site.agent().ready() as agent:
        writer.do("insert 5 5 500")
        site.settle(name)
        way.do(Proxy.hang)
        writer.do("insert 5 5 500")
        site.wait(name, lambda figures: figures["state"] == "outage", patience=30)
        agent.wait_for("nothing comes from .* any more|was lost", patience=30)
        writer.do("insert 5 5 500")
        way.do(Proxy.resume)
        site.settle(name)
        assert site.figures(name)["done"]["full_copies"] == 1
        assert agent.stop() == 0
        writer.close()
    site.assert_restores(name)


def test_an_acknowledgement_that_got_lost_makes_no_duplicate(site: Databases, way: Way, name: str) -> None:
    with Writer(site.path(name)) as writer, site.agent().ready() as agent:
        writer.do("insert 5 5 500")
        site.settle(name)
        before = agent.acknowledged()
        way.do(lambda proxy: proxy.mute_after(f"HPUB $O.{name}.M.".encode()))
        writer.do("insert 1 1 500")
        site.wait(name, lambda figures: figures["spool_files"] == 1)
        listed = litefleet("ltx", f"{site.url}/{name}", "--json").stdout
        assert f"{before + 1:016x}" in listed, "it had been stored"
        way.do(Proxy.cut)
        site.settle(name)
        assert arrived(agent) == [before + 1]
        assert litefleet("ltx", f"{site.url}/{name}", "--json").stdout == listed
        assert site.figures(name)["done"]["full_copies"] == 1
        writer.do("insert 1 1 500")
        site.settle(name)
        assert agent.stop() == 0
        writer.close()
    site.assert_restores(name)


def test_each_change_of_state_is_one_line_in_the_log(site: Databases, way: Way, name: str) -> None:
    # After 60 attempts, which is a change of state too, the agent asks for a connection less often.
    site.configure(way.url, name, logging={"level": "info"}, **{"max-reconnects": -1})
    with Writer(site.path(name)) as writer, site.agent().ready() as agent:
        writer.do("insert 5 5 500")
        site.settle(name)
        before = len(agent.lines)
        way.do(Proxy.refuse)
        writer.do("go 2 500 0.02")
        # Many attempts of the connection, and some of the database.
        way.wait_attempts(30)
        errors = sum(site.figures(name)["errors"].values())
        site.wait(name, lambda figures: sum(figures["errors"].values()) >= errors + 2)
        during = agent.lines[before:]
        assert len(during) == 2, "\n".join(during)
        assert "was lost" in during[0]
        assert str(site.path(name)) in during[1]
        way.do(Proxy.accept)
        agent.wait_for("files from the spool are acknowledged")
        writer.do("halt")
        site.settle(name)
        after = agent.lines[before + 2 :]
        assert sorted(re.sub(r".*(connected to|works again|from the spool).*", r"\1", line) for line in after) == [
            "connected to",
            "from the spool",
            "works again",
        ]
        assert agent.stop() == 0
        writer.close()
    site.assert_restores(name)


def test_a_full_bucket_is_an_outage_until_it_has_room(server: NatsServer, tmp_path: Path, name: str) -> None:
    site = Databases(tmp_path, server.url, name)
    with Writer(site.path(name)) as writer, site.agent().ready() as agent:
        writer.do("insert 5 5 500")
        site.settle(name)
        set_max_bytes(server.url, name, 300_000)
        writer.do("insert 100 5 2000")
        agent.wait_for(f"Bucket `{name}` on .* is full")
        site.wait(name, lambda figures: figures["spool_files"] >= 1)
        set_max_bytes(server.url, name, -1)
        site.settle(name)
        assert site.figures(name)["done"]["full_copies"] == 1
        assert agent.stop() == 0
        writer.close()
    site.assert_restores(name)


def test_databases_of_one_agent_catch_up_side_by_side(server: NatsServer, way: Way, tmp_path: Path) -> None:
    site = Databases(tmp_path, way.url, "one", "two", make=server.url)
    with Writer(site.path("one")) as one, Writer(site.path("two")) as two, site.agent().ready() as agent:
        one.do("insert 5 5 500")
        two.do("insert 5 5 500")
        site.settle("one", "two")
        way.do(Proxy.refuse)
        spooled(site, "one", one, files=2)
        spooled(site, "two", two, files=2)
        way.do(Proxy.accept)
        site.settle("one", "two")
        for name in ("one", "two"):
            assert site.figures(name)["done"]["full_copies"] == 1
        assert agent.stop() == 0
        one.close()
        two.close()
    site.assert_restores("one", "two")
