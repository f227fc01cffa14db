"""The real agent, told what to do over its control socket and by signals, and read by Prometheus's parser."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import stat
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.support.natsserver import NatsServer, free_ports
from tests.support.running import PATIENCE, Agent, Writer, litefleet, make_bucket, write_config


@dataclass
class Site:
    """A directory with databases, their configuration, and the agent's socket and address."""

    server: NatsServer
    root: Path
    port: int

    @property
    def config(self) -> Path:
        return self.root / "litefleet.yml"

    @property
    def socket(self) -> Path:
        return self.root / "run" / "litefleet.sock"

    def database(self, name: str) -> Path:
        return self.root / f"{name}.db"

    def configure(self, *names: str, **extra: Any) -> Path:
        """Buckets are named as their databases."""
        return write_config(
            self.config,
            self.server.url,
            {self.database(name): name for name in names},
            **{
                "addr": f"127.0.0.1:{self.port}",
                "socket": {"path": str(self.socket)},
                "spool": {"path": str(self.root / "spool")},
                **extra,
            },
        )

    def metrics(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def figure(self, name: str, database: str, **labels: str) -> float:
        return self.metrics()[f"litefleet_{name}", frozenset({"db": str(self.database(database)), **labels}.items())]

    def levels(self, database: str) -> dict[tuple[str, str], float]:
        """Objects and their bytes by level, as the metrics have them."""
        db = ("db", str(self.database(database)))
        return {
            (name.removeprefix("litefleet_"), dict(labels)["level"]): value
            for (name, labels), value in self.metrics().items()
            if name in {"litefleet_objects", "litefleet_object_bytes"} and db in labels
        }

    def listed(self, database: str) -> dict[tuple[str, str], float]:
        """The same from a listing of the bucket."""
        found: Counter[tuple[str, str]] = Counter()
        for row in json.loads(litefleet("ltx", f"{self.server.url}/{database}", "--level", "all", "--json").stdout):
            found["objects", str(row["level"])] += 1
            found["object_bytes", str(row["level"])] += row["size"]
        return dict(found)

    def healthy(self) -> tuple[int, Any]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def ask(self, *arguments: str | Path, code: int | None = 0) -> str:
        """A command against the running agent."""
        done = litefleet(*arguments, "--config", self.config, code=code)
        return done.stdout if done.returncode == 0 else done.stderr + done.stdout

    def status(self, *options: str, code: int | None = 0) -> dict[str, dict[str, Any]]:
        rows = json.loads(litefleet("status", "--json", "--config", self.config, *options, code=code).stdout)
        return {Path(row["database"]).stem: row for row in rows}

    def restored(self, name: str) -> int:
        """The rows of a restored copy, which passes SQLite's check and the application's."""
        output = self.root / f"{name}.restored"
        litefleet("restore", f"{self.server.url}/{name}", "-o", output, "--force", "--integrity-check", "full")
        return rows_of(output)


def rows_of(path: Path) -> int:
    """How many entries there are; both tables agree, or a transaction was torn."""
    with closing(sqlite3.connect(path)) as connection:
        count = int(connection.execute("SELECT count(*) FROM entry").fetchone()[0])
        assert connection.execute("SELECT entries FROM total").fetchone()[0] == count
    return count


@pytest.fixture
def site(server: NatsServer, tmp_path: Path) -> Site:
    for name in ("a", "b", "c"):
        make_bucket(server.url, name)
    return Site(server, tmp_path, free_ports(1)[0])


@pytest.fixture
def opened() -> Iterator[Callable[[Path], Writer]]:
    """Start an application with a database; it ends with the test."""
    with ExitStack() as stack:
        yield lambda path: stack.enter_context(Writer(path))


Opened = Callable[[Path], Writer]


def test_the_socket_is_for_its_owner_only_and_goes_with_the_agent(site: Site, opened: Opened) -> None:
    opened(site.database("a"))
    with Agent(site.configure("a")).ready() as agent:
        assert stat.S_IMODE(site.socket.stat().st_mode) == 0o600
        assert site.socket.stat().st_uid == os.geteuid()
        other = site.configure("a", addr=f"127.0.0.1:{free_ports(1)[0]}")
        second = litefleet("replicate", "--config", other, code=2)
        assert f"process {agent.pid} listens there" in second.stderr
        assert agent.stop() == 0
    assert not site.socket.exists()


def test_a_killed_agents_socket_is_no_hindrance(site: Site, opened: Opened) -> None:
    opened(site.database("a"))
    with Agent(site.configure("a")).ready() as agent:
        agent.kill()
    assert site.socket.is_socket()
    assert "No agent listens" in site.ask("sync", code=9)
    with Agent(site.config).ready() as agent:
        assert site.status()["a"]["source"] == "agent"
        assert agent.stop() == 0


def test_status_is_exact(site: Site, opened: Opened) -> None:
    """What was committed before it is asked is acknowledged when it says ok: a look at the bucket agrees."""
    app, other = opened(site.database("a")), opened(site.database("b"))
    other.do("insert 1 10 100")
    with Agent(site.configure("a", "b")).ready() as agent:
        for _ in range(5):
            app.do("insert 3 5 500")
            by_agent = site.status()
            by_bucket = site.status("--remote")
            assert {row["source"] for row in by_agent.values()} == {"agent"}
            assert {row["source"] for row in by_bucket.values()} == {"bucket"}
            for name in ("a", "b"):
                same = ("database", "status", "txid", "lag", "pending_bytes")
                assert [by_agent[name][key] for key in same] == [by_bucket[name][key] for key in same]
        assert "ok" in site.ask("status", site.database("a"))
        assert agent.stop() == 0


def test_status_during_an_outage(site: Site, opened: Opened) -> None:
    app = opened(site.database("a"))
    with Agent(site.configure("a")).ready() as agent:
        site.ask("sync", "--wait")
        assert site.healthy() == (200, [])
        site.server.stop()
        app.do("insert 2 5 500")
        row = site.status(code=1)["a"]
        assert row["status"] in {"behind", "outage"}
        text = site.ask("sync", "--wait", "--timeout", "1", code=8)
        assert f"{site.database('a')}: " in text
        agent.wait_for("ERROR .*Not connected")
        code, problems = site.healthy()
        assert (code, [problem["state"] for problem in problems]) == (503, ["outage"])
        assert site.figure("pending", "a") == 1
        assert site.figure("lag_seconds", "a") > 0
        assert site.figure("state", "a", state="outage") == 1
        site.server.start()
        site.ask("sync", "--wait", "--timeout", "60s")
        assert site.status()["a"]["status"] == "ok"
        assert site.healthy() == (200, [])
        assert agent.stop() == 0
    assert site.restored("a") == 10


def test_sync_waits_until_all_is_acknowledged(site: Site, opened: Opened) -> None:
    app = opened(site.database("a"))
    with Agent(site.configure("a", **{"sync-interval": "1h"})).ready() as agent:
        app.do("insert 4 5 500")
        rows = json.loads(site.ask("sync", site.database("a"), "--wait", "--json"))
        assert [row["status"] for row in rows] == ["acknowledged"]
        assert site.restored("a") == 20
        assert "not replicated" in site.ask("sync", "/no/such.db", code=2)
        assert agent.stop() == 0


def test_add_and_remove(site: Site, opened: Opened) -> None:
    opened(site.database("a"))
    app = opened(site.database("b"))
    app.do("insert 2 5 500")
    url = f"{site.server.url}/b"
    with Agent(site.configure("a")).ready() as agent:
        assert "added" in site.ask("add", site.database("b"), "--replica", url)
        assert "already added" in site.ask("add", site.database("b"), "--replica", url)
        site.ask("sync", site.database("b"), "--wait")
        assert site.restored("b") == 10
        taken = site.ask("add", site.database("c"), "--replica", url, code=None)
        assert str(site.database("b")) in taken
        assert set(site.status(code=None)) == {"a", "b"}
        app.do("insert 3 5 500")
        assert "removed" in site.ask("remove", site.database("b"))
        assert site.restored("b") == 25
        assert set(site.status()) == {"a"}
        assert "not replicated" in site.ask("remove", site.database("b"), code=2)
        assert agent.stop() == 0


def by_command(site: Site, agent: Agent) -> None:
    site.ask("reload")


def by_signal(site: Site, agent: Agent) -> None:
    after = len(agent.lines)
    agent.signal(signal.SIGHUP)
    agent.wait_for("Reloaded", after=after)


def test_a_database_that_cannot_be_replicated_is_said_so_when_it_is_added(site: Site, opened: Opened) -> None:
    opened(site.database("a"))
    opened(site.database("b"))
    with Agent(site.configure("a", **{"shutdown-sync-timeout": "1s"})).ready() as agent:
        text = site.ask("add", site.database("b"), "--replica", f"{site.server.url}/nowhere", code=1)
        assert "`nowhere`" in text
        assert site.status(code=1)["a"]["status"] == "ok"
        assert agent.stop() == 8


def test_the_last_database_may_be_removed_and_another_be_added(site: Site, opened: Opened) -> None:
    opened(site.database("a"))
    opened(site.database("b")).do("insert 2 5 500")
    with Agent(site.configure("a")).ready() as agent:
        site.ask("remove", site.database("a"))
        site.ask("add", site.database("b"), "--replica", f"{site.server.url}/b")
        site.ask("sync", "--wait")
        assert site.restored("b") == 10
        assert agent.stop() == 0


def test_what_is_removed_during_an_outage_is_said_to_be_behind(site: Site, opened: Opened) -> None:
    app = opened(site.database("a"))
    opened(site.database("b"))
    with Agent(site.configure("a", "b", **{"shutdown-sync-timeout": "1s"})).ready() as agent:
        site.ask("sync", "--wait")
        site.server.stop()
        app.do("insert 2 5 500")
        assert "not acknowledged" in site.ask("remove", site.database("a"), code=8)
        site.server.start()
        site.ask("reload")
        site.ask("sync", "--wait")
        assert site.restored("a") == 10
        assert agent.stop() == 0


def test_the_databases_of_a_directory(site: Site, opened: Opened) -> None:
    """By the agent, by a look at them, and one that the agent leaves alone is not passed over in silence."""
    opened(site.database("one")).do("insert 2 5 500")
    replica = {"url": site.server.url, "bucket": "a", "path": "{name}"}
    config = site.configure(dbs=[{"dir": str(site.root), "pattern": "*.db", "replica": replica}])
    with Agent(config).ready() as agent:
        site.ask("sync", "--wait")
        assert {name: (row["status"], row["source"]) for name, row in site.status().items()} == {"one": ("ok", "agent")}
        assert {name: row["status"] for name, row in site.status("--remote").items()} == {"one": "ok"}
        assert agent.stop() == 0
    opened(site.database("two"))
    assert {name: (row["status"], row["source"]) for name, row in site.status(code=1).items()} == {
        "one": ("ok", "bucket"), "two": ("no backup", "bucket"),
    }  # fmt: skip
    (row,) = site.status(str(site.database("two")), code=1).values()
    assert row["status"] == "no backup"


class TestReload:
    """By the command and by the signal."""

    @pytest.mark.parametrize("how", [by_command, by_signal])
    def test_databases_come_go_and_change_without_a_lost_transaction(
        self, site: Site, opened: Opened, how: Callable[[Site, Agent], None]
    ) -> None:
        """Applications go on writing all the time, also to what is removed until it is."""
        apps = {name: opened(site.database(name)) for name in ("a", "b", "c")}
        with Agent(site.configure("a", "b")).ready() as agent:
            for app in apps.values():
                app.do("go 5 500 0.005")
            site.configure("b", "c")
            how(site, agent)
            assert set(site.status(code=None)) == {"b", "c"}
            # Every database is looked after anew when this changes.
            site.configure("b", "c", snapshot={"interval": "12h"})
            how(site, agent)
            site.configure("a", "b", "c", snapshot={"interval": "12h"})
            how(site, agent)
            written = {name: int(app.do("halt").split()[1]) for name, app in apps.items()}
            site.ask("sync", "--wait")
            assert {name: row["status"] for name, row in site.status().items()} == dict.fromkeys("abc", "ok")
            assert agent.stop() == 0
        assert {name: site.restored(name) for name in apps} == written
        assert min(written.values()) > 0

    def test_a_database_that_stays_as_it_is_does_not_notice(self, site: Site, opened: Opened) -> None:
        opened(site.database("a")).do("insert 1 5 500")
        opened(site.database("b"))
        with Agent(site.configure("a")).ready() as agent:
            site.ask("sync", "--wait")
            before = site.figure("uploads_total", "a")
            site.configure("a", "b")
            assert json.loads(site.ask("reload", "--json"))["added"] == [str(site.database("b"))]
            assert site.ask("reload") == "nothing has changed\n"
            assert site.figure("uploads_total", "a") == before > 0
            assert agent.stop() == 0

    def test_a_configuration_that_is_wrong_changes_nothing(self, site: Site, opened: Opened) -> None:
        app = opened(site.database("a"))
        with Agent(site.configure("a")).ready() as agent:
            good = yaml.safe_load(site.config.read_text())
            site.config.write_text(yaml.safe_dump({**good, "dbs": [{"path": str(site.database("a"))}]}))
            done = litefleet("reload", "--socket", site.socket, code=2)
            assert "dbs[0]: `replica` is missing" in done.stderr
            agent.signal(signal.SIGHUP)
            agent.wait_for("`replica` is missing")
            app.do("insert 1 5 500")
            litefleet("sync", "--wait", "--socket", site.socket)
            assert site.restored("a") == 5
            assert agent.stop() == 0

    def test_what_needs_a_restart_is_said(self, site: Site, opened: Opened) -> None:
        opened(site.database("a"))
        with Agent(site.configure("a")).ready() as agent:
            site.configure("a", addr=f"127.0.0.1:{free_ports(1)[0]}")
            assert "`addr`" in site.ask("reload")
            assert site.healthy()[0] == 200
            assert agent.stop() == 0


def test_metrics_follow_what_happens(site: Site, opened: Opened) -> None:
    app = opened(site.database("a"))
    with Agent(site.configure("a")).ready() as agent:
        app.do("insert 5 10 1000")
        rows = json.loads(site.ask("sync", "--wait", "--json"))
        found = site.metrics()
        db = ("db", str(site.database("a")))

        def value(name: str, *labels: tuple[str, str]) -> float:
            return found[f"litefleet_{name}", frozenset([db, *labels])]

        assert value("acknowledged_txid") == value("captured_txid") == int(rows[0]["txid"], 16)
        assert value("lag_seconds") == value("pending") == 0
        assert value("acknowledged_timestamp_seconds") > 1.7e9
        assert value("db_bytes") == site.database("a").stat().st_size
        assert value("wal_bytes") > 50 * 1000
        assert value("state", ("state", "replicating")) == value("open") == 1
        assert value("uploads_total") >= 1
        assert value("upload_bytes_total") > 50 * 100
        assert found["litefleet_duration_seconds_count", frozenset({("kind", "upload")})] >= 1
        assert found["process_open_fds", frozenset()] > 3
        # Counted now and then, so not at once.
        deadline = time.monotonic() + PATIENCE
        while site.levels("a") != site.listed("a"):
            assert time.monotonic() < deadline, (site.levels("a"), site.listed("a"))
        assert agent.stop() == 0


def test_an_address_that_is_taken_is_said_before_anything_starts(site: Site, opened: Opened) -> None:
    opened(site.database("a"))
    site.port = site.server.port
    done = litefleet("replicate", "--config", site.configure("a"), code=2)
    assert "another process listens there" in done.stderr
    assert not site.socket.exists()
