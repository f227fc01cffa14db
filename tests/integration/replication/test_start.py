"""An agent that starts waits for what may pass, and says what needs a human; no database keeps others from theirs."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.databases import Databases
from tests.support.natsserver import NatsServer, free_ports, nats_server
from tests.support.proxy import Proxy
from tests.support.running import Agent, Writer, make_bucket
from tests.support.way import way_to


@pytest.fixture(scope="module")
def server() -> Iterator[NatsServer]:
    with nats_server() as running:
        yield running


def test_without_the_server_it_waits_and_then_backs_up(server: NatsServer, tmp_path: Path) -> None:
    with way_to(server.port) as way:
        site = Databases(tmp_path, way.url, "late", make=server.url)
        way.do(Proxy.refuse)
        with Writer(site.path("late")) as writer, site.agent().ready() as agent:
            writer.do("insert 5 5 500")
            agent.wait_for(f"{site.path('late')}: Cannot connect to {way.url}")
            assert site.figures("late")["state"] == "outage"
            way.do(Proxy.accept)
            site.settle("late")
            assert agent.full_copies() == 1
            assert agent.stop() == 0
            writer.close()
        site.assert_restores("late")


def test_without_the_server_it_can_be_stopped(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    site = Databases(tmp_path, f"nats://127.0.0.1:{port}")
    site.configure(f"nats://127.0.0.1:{port}", "app")
    with Writer(site.path("app")) as writer, site.agent().ready() as agent:
        writer.do("insert 5 5 500")
        assert agent.stop() == 8
        assert "not acknowledged" in agent.lines[-1]
        writer.close()


def test_a_wrong_password_ends_it_at_once(tmp_path: Path) -> None:
    users = {"authorization": {"users": [{"user": "agent", "password": "right"}]}}
    with nats_server(users, tmp_path / "nats") as server:
        url = server.url.replace("nats://", "nats://agent:s3cret@")
        site = Databases(tmp_path, url)
        site.configure(url, "a", "b")
        with Writer(site.path("a")) as one, Writer(site.path("b")) as other, site.agent() as agent:
            assert agent.wait() == 3
            assert "Authorization" in agent.lines[-1]
            assert "s3cret" not in agent.output()
            one.close()
            other.close()


def test_a_missing_bucket_ends_it_only_if_there_is_nothing_else_to_do(server: NatsServer, tmp_path: Path) -> None:
    site = Databases(tmp_path, server.url, "there")
    site.configure(server.url, "missing")
    with Writer(site.path("missing")) as one, Writer(site.path("there")) as other:
        with site.agent() as agent:
            assert agent.wait() == 4
            assert "Bucket not found: `missing`" in agent.lines[-1]
        site.configure(server.url, "missing", "there")
        with site.agent().ready() as agent:
            other.do("insert 5 5 500")
            site.settle("there")
            assert site.figures("missing")["state"] == "outage"
            make_bucket(server.url, "missing")
            site.settle("missing")
            assert agent.stop() == 0
        one.close()
        other.close()
    site.assert_restores("missing", "there")


def test_a_bucket_of_somebody_else_does_not_keep_the_others_from_theirs(server: NatsServer, tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    first = Databases(tmp_path / "first", server.url, "taken")
    site = Databases(tmp_path, server.url, "free")
    site.configure(server.url, "taken", "free")
    with Writer(first.path("taken")) as owner, Writer(site.path("taken")) as rival, Writer(site.path("free")) as writer:
        with first.agent().ready() as agent:
            first.settle("taken")
            assert agent.stop() == 0
        with site.agent().ready() as agent:
            writer.do("insert 5 5 500")
            site.settle("free")
            assert site.figures("taken")["state"] == "failed"
            assert f"belongs to {first.path('taken')} on {socket.gethostname()}" in site.figures("taken")["problem"]
            # The others went well, but a human has to look at this one.
            assert agent.stop() == 4
        for application in (owner, rival, writer):
            application.close()
    first.assert_restores("taken")
    site.assert_restores("free")


def test_a_lease_by_another_name_of_the_host_is_foreign(server: NatsServer, tmp_path: Path) -> None:
    site = Databases(tmp_path, server.url, "moved", identity="old")
    with Writer(site.path("moved")) as writer:
        with site.agent().ready() as agent:
            site.settle("moved")
            assert agent.stop() == 0
        writer.do("insert 5 5 500")
        site.configure(server.url, "moved", identity="new")
        with site.agent() as agent:
            assert agent.wait() == 4
            assert f"belongs to {site.path('moved')} on old" in agent.output()
        with site.agent("--takeover").ready() as agent:
            site.settle("moved")
            assert agent.full_copies() == 0, "it is the same database all the same"
            assert agent.stop() == 0
        writer.close()
    site.assert_restores("moved")


def test_two_configurations_side_by_side(server: NatsServer, tmp_path: Path) -> None:
    sites: list[Databases] = []
    for name in ("left", "right"):
        (tmp_path / name).mkdir()
        sites.append(Databases(tmp_path / name, server.url, name))
    left, right = sites
    with Writer(left.path("left")) as one, Writer(right.path("right")) as other:
        with left.agent().ready() as first, right.agent().ready() as second:
            one.do("insert 5 5 500")
            other.do("insert 5 5 500")
            left.settle("left")
            right.settle("right")
            assert ended(first, second) == [0, 0]
        one.close()
        other.close()
    left.assert_restores("left")
    right.assert_restores("right")


def ended(*agents: Agent) -> list[Any]:
    return [agent.stop() for agent in agents]
