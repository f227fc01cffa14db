"""Whatever changes about how the agent logs in, what was committed meanwhile arrives, without a full copy."""

from __future__ import annotations

import signal
from pathlib import Path

import nkeys

from tests.support.databases import Databases
from tests.support.natsserver import nats_server
from tests.support.operator import Key
from tests.support.running import Writer


def wait_spooled(site: Databases) -> None:
    site.wait("app", lambda figures: figures["spool_files"] > 0)


def account(password: str) -> dict[str, object]:
    return {"authorization": {"users": [{"user": "agent", "password": password}]}}


def test_a_password_changed_on_the_server_and_then_in_the_file(tmp_path: Path) -> None:
    with nats_server(account("one"), tmp_path / "nats") as server:

        def url(password: str) -> str:
            return server.url.replace("nats://", f"nats://agent:{password}@")

        site = Databases(tmp_path, url("one"), "app")
        with Writer(site.path("app")) as writer, site.agent().ready() as agent:
            writer.do("insert 5 5 500")
            site.settle("app")
            server.reload(account("two"))
            writer.do("insert 5 5 500")
            wait_spooled(site)
            assert "Authorization" in site.figures("app")["problem"]
            site.url = url("two")
            site.configure(url("two"), "app")
            agent.signal(signal.SIGHUP)
            agent.wait_for("Reloaded: 0 added, 0 removed, 1 changed")
            site.settle("app")
            assert agent.full_copies() == 1
            assert agent.stop() == 0
            writer.close()
        site.assert_restores("app", programs=("litefleet",))  # the other knows no way to log in from a URL


def test_a_key_changed_on_the_server_and_in_its_file(tmp_path: Path) -> None:
    old, new = Key(nkeys.PREFIX_BYTE_USER), Key(nkeys.PREFIX_BYTE_USER)
    key = tmp_path / "agent.nk"
    key.touch(0o600)
    key.write_text(old.seed)

    def users(agent: Key) -> dict[str, object]:
        me = {"user": "me", "password": "me"}
        return {"authorization": {"users": [me, {"nkey": agent.public}]}}

    with nats_server(users(old), tmp_path / "nats") as server:
        mine = server.url.replace("nats://", "nats://me:me@")
        site = Databases(tmp_path, server.url, "app", make=mine, nkey=str(key))
        with Writer(site.path("app")) as writer, site.agent().ready() as agent:
            writer.do("insert 5 5 500")
            site.settle("app")
            server.reload(users(new))
            writer.do("insert 5 5 500")
            wait_spooled(site)
            key.write_text(new.seed)
            site.settle("app")
            assert agent.full_copies() == 1
            assert agent.stop() == 0
            writer.close()
        site.assert_restores("app", programs=("litefleet",))  # the other knows no way to log in from a URL
