"""A bucket that has lost what it acknowledged is noticed by itself and filled again; one that only moved is not."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from litefleet.config.settings import Credentials, Database, Replica, Server, Settings, Spool
from litefleet.service import connections
from litefleet.service.fleet import Fleet
from tests.support.databases import Databases
from tests.support.natsserver import NatsServer, nats_cluster, nats_server
from tests.support.proxy import Proxy
from tests.support.running import Writer, make_bucket
from tests.support.streams import delete_bucket, newest_objects, purge, roll_up
from tests.support.way import way_to


@pytest.fixture(scope="module")
def server() -> Iterator[NatsServer]:
    with nats_server() as running:
        yield running


def recreated(url: str, bucket: str) -> None:
    delete_bucket(url, bucket)
    make_bucket(url, bucket)


def emptied(url: str, bucket: str) -> None:
    purge(url, bucket)


def lacking(url: str, bucket: str) -> None:
    """Without one file in the middle."""
    purge(url, bucket, newest_objects(url, bucket, 3)[-1])


def beheaded(url: str, bucket: str) -> None:
    """Without its newest file."""
    purge(url, bucket, newest_objects(url, bucket, 1)[0])


Harm = Callable[[str, str], None]
#: What the log says of each.
SAID: dict[Harm, str] = {
    recreated: "was made anew|was emptied",
    emptied: "has lost|was emptied",
    lacking: "has lost",
    beheaded: "has lost",
    roll_up: "was emptied",
}


def entries(answer: str) -> int:
    """What the writer says of its commands."""
    return int(answer.split()[1])


@pytest.mark.parametrize("harm", [recreated, emptied, lacking, beheaded])
def test_what_an_idle_bucket_loses_is_noticed_at_once(server: NatsServer, tmp_path: Path, harm: Harm) -> None:
    name = f"idle-{harm.__name__}"
    site = Databases(tmp_path, server.url, name)
    with Writer(site.path(name)) as writer, site.agent().ready() as agent:
        for _ in range(4):
            count = entries(writer.do("insert 1 5 500"))
            site.settle(name)
        harm(server.url, name)
        agent.wait_for(SAID[harm])
        site.wait_restorable(name, count)
        site.settle(name)
        writer.do("insert 1 5 500")
        site.settle(name)
        assert agent.stop() == 0
        writer.close()
    site.assert_restores(name)


def test_a_bucket_that_was_made_anew_is_not_taken_for_lost_again(tmp_path: Path) -> None:
    """Its messages are counted anew, so it is shorter than the one before for a long time."""
    name = "anew"
    with nats_server(store_dir=tmp_path / "nats") as server:
        site = Databases(tmp_path, server.url, name)
        with Writer(site.path(name)) as writer, site.agent().ready() as agent:
            for _ in range(8):
                writer.do("insert 1 5 500")
                site.settle(name)
            recreated(server.url, name)
            agent.wait_for(SAID[recreated])
            site.settle(name)
            copies, after = agent.full_copies(), len(agent.lines)
            server.restart()
            agent.wait_for("connected to .* again", after=after)
            writer.do("insert 1 5 500")
            site.settle(name)
            assert agent.full_copies() == copies
            assert agent.stop() == 0
            assert not [line for line in agent.lines[after:] if "was acknowledged" in line]
            writer.close()
        site.assert_restores(name)


@pytest.mark.parametrize("harm", [recreated, emptied, roll_up])
def test_what_a_busy_bucket_loses_is_noticed_at_once(server: NatsServer, tmp_path: Path, harm: Harm) -> None:
    name = f"busy-{harm.__name__}"
    site = Databases(tmp_path, server.url, name)
    with Writer(site.path(name)) as writer, site.agent().ready() as agent:
        writer.do("insert 5 5 500")
        site.settle(name)
        writer.do("go 3 500 0.01")
        after = len(agent.lines)
        agent.wait_for("acknowledged", after=after)
        harm(server.url, name)
        agent.wait_for(SAID[harm])
        agent.wait_for("acknowledged", after=len(agent.lines))
        count = entries(writer.do("halt"))
        site.wait_restorable(name, count)
        site.settle(name)
        assert agent.stop() == 0
        writer.close()
    site.assert_restores(name)


def test_what_a_bucket_loses_during_a_cut_is_noticed_after_it(server: NatsServer, tmp_path: Path) -> None:
    name = "cut"
    with way_to(server.port) as way:
        site = Databases(tmp_path, way.url, name, make=server.url)
        with Writer(site.path(name)) as writer, site.agent().ready() as agent:
            for _ in range(4):
                count = entries(writer.do("insert 1 5 500"))
                site.settle(name)
            way.do(Proxy.refuse)
            agent.wait_for("was lost")
            lacking(server.url, name)
            way.do(Proxy.accept)
            agent.wait_for("has lost")
            site.wait_restorable(name, count)
            assert agent.stop() == 0
            writer.close()
        site.assert_restores(name)


def older_copy(server: NatsServer) -> None:
    """As after a restore from last night's backup of the server's disk."""
    shutil.rmtree(server.dir / "store")
    shutil.copytree(server.dir / "copy", server.dir / "store")


def cut_short(server: NatsServer) -> None:
    """As after a crash that took what had not reached the disk."""
    (messages,) = server.dir.glob("store/jetstream/*/streams/OBJ_app/msgs")
    block = max(messages.glob("*.blk"), key=lambda path: int(path.stem))
    content = block.read_bytes()
    block.write_bytes(content[: len(content) * 3 // 4])
    (messages / "index.db").unlink(missing_ok=True)


@pytest.mark.parametrize("harm", [older_copy, cut_short])
def test_a_server_that_came_back_with_less_is_filled_again(tmp_path: Path, harm: Callable[[NatsServer], None]) -> None:
    with nats_server(store_dir=tmp_path / "nats") as server:
        site = Databases(tmp_path, server.url, "app")
        with Writer(site.path("app")) as writer, site.agent().ready() as agent:
            writer.do("insert 5 5 500")
            site.settle("app")
            server.stop()
            shutil.copytree(server.dir / "store", server.dir / "copy")
            server.start()
            for _ in range(5):
                count = entries(writer.do("insert 1 10 2000"))
                site.settle("app")
            server.stop()
            harm(server)
            server.start()
            agent.wait_for("but [0-9]+ was acknowledged")
            site.wait_restorable("app", count)
            writer.do("insert 1 5 500")
            site.settle("app")
            assert agent.stop() == 0
            writer.close()
        site.assert_restores("app")


def test_a_neighbour_that_is_faster_does_not_hide_the_loss(tmp_path: Path) -> None:
    """In a shared bucket the other database's messages soon bring the stream to where it was."""
    with nats_server(store_dir=tmp_path / "nats") as server:
        site = Databases(tmp_path, server.url, "quiet")
        site.share("quiet", "quiet", "loud")
        with Writer(site.path("quiet")) as quiet, Writer(site.path("loud")) as loud, site.agent().ready() as agent:
            quiet.do("insert 5 5 500")
            loud.do("insert 5 5 500")
            site.settle("quiet", "loud")
            server.stop()
            shutil.copytree(server.dir / "store", server.dir / "copy")
            server.start()
            count = entries(quiet.do("insert 1 5 500"))
            site.settle("quiet")
            server.stop()
            older_copy(server)
            for _ in range(3):
                loud.do("insert 5 5 500")
            server.start()
            site.settle("loud")
            site.wait_restorable("quiet", count, programs=("litefleet",))  # the other does not know `path:`
            assert agent.stop() == 0
            quiet.close()
            loud.close()
        site.assert_restores("quiet", "loud", programs=("litefleet",))


def test_nodes_that_come_and_go_are_no_loss(tmp_path: Path) -> None:
    with nats_cluster(store_dir=tmp_path / "nats") as cluster:
        site = Databases(tmp_path, ",".join(cluster.urls), make=cluster.urls[0])
        make_bucket(cluster.urls[0], "app", replicas=3)
        site.configure(",".join(cluster.urls), "app", levels=[{"interval": "1s"}], **{"l0-retention": "2s"})
        with Writer(site.path("app")) as writer, site.agent().ready() as agent:
            writer.do("insert 5 5 500")
            site.settle("app")
            writer.do("go 3 500 0.02")
            for end in ("kill", "stop", "leader"):
                victim = cluster.leader("OBJ_app") if end == "leader" else cluster.servers[0]
                victim.stop() if end == "stop" else victim.kill()
                after = len(agent.lines)
                agent.wait_for("acknowledged level=0", after=after)
                victim.start()
            for server in cluster.servers:
                server.kill()
            for server in cluster.servers:
                server.start(ready=False)
            for server in cluster.servers:
                server.wait_ready()
            agent.wait_for("acknowledged level=0", after=len(agent.lines))
            writer.do("halt")
            site.settle("app")
            figures = site.figures("app")
            assert figures["done"]["full_copies"] == 1
            assert figures["done"]["compactions"] >= 1
            assert "BucketLost" not in figures["errors"]
            assert agent.stop() == 0
            writer.close()
        site.url = cluster.urls[0]
        site.assert_restores("app")


@pytest.mark.parametrize("harm", [recreated, emptied])
async def test_without_announcements_the_bucket_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: Harm
) -> None:
    monkeypatch.setattr(connections, "_POLL", 0.5)
    agent = {
        "user": "agent",
        "password": "agent",
        "permissions": {"publish": ["$JS.API.>", "$O.app.>"], "subscribe": ["_INBOX_agent.>"]},
    }
    users = {"authorization": {"users": [agent, {"user": "admin", "password": "admin"}]}}
    async with nats_server(users, tmp_path / "nats") as server:
        admin = server.url.replace("nats://", "nats://admin:admin@")
        site = await asyncio.to_thread(Databases, tmp_path, admin, "app")
        credentials = Credentials(username="agent", password="agent")
        replica = Replica(Server((server.url,), credentials, inbox_prefix="_INBOX_agent"), "app")
        settings = Settings((Database(site.path("app"), replica),), spool=Spool(tmp_path / "spool"))
        writer = await asyncio.to_thread(Writer, site.path("app"))
        with writer:
            async with Fleet.running(settings, lambda: settings, observe=lambda *_: None) as fleet:
                await fleet.start()
                await fleet.ready()
                count = entries(await asyncio.to_thread(writer.do, "insert 5 5 500"))
                (figures,) = fleet.figures()
                async with asyncio.timeout(60):
                    await fleet.sync(site.path("app"))
                    assert figures.errors["BucketLost"] == 0
                    await asyncio.to_thread(harm, admin, "app")
                    while not figures.errors["BucketLost"]:  # noqa: ASYNC110 -- figures tell nobody
                        await asyncio.sleep(0.05)
                    await fleet.sync(site.path("app"))
                    assert figures.done["full_copies"] == 2
                assert await asyncio.to_thread(site.restored_entries, "app") == count
                fleet.stop()
                assert await fleet.ended() == []
            await asyncio.to_thread(writer.close)
