"""Commands that ask the running agent: its answers, its errors and exit codes, and no agent at all."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from litefleet.cli.main import main
from litefleet.config.settings import Credentials, Database, Server, Socket
from litefleet.errors import BucketTaken, ConfigError, NotDurable
from litefleet.replicate.figures import Figures, Level
from litefleet.service.control import listening
from litefleet.service.interface import Reloaded
from tests.unit.service.standin import Fleet

APP = Path("/data/app.db")
SECRET = "correct-horse"


def figures(path: Path = APP, **settings: Any) -> Figures:
    return Figures(path, "nats://127.0.0.1:1/app", **{"state": "replicating", **settings})


class Agent:
    """Runs commands against a fleet behind a real socket; the commands have an event loop of their own, in a thread."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.socket = path
        self._capsys = capsys

    def __call__(self, fleet: Fleet, *arguments: str, code: int = 0) -> str:
        """What the command prints: on standard error if it fails."""
        out, err = self.both(fleet, *arguments, code=code)
        return err if code else out

    def both(self, fleet: Fleet, *arguments: str, code: int) -> tuple[str, str]:
        """Standard output and standard error."""

        async def run() -> int:
            async with listening(Socket(self.socket), fleet):
                return await asyncio.to_thread(main, [*arguments, "--socket", str(self.socket)])

        assert asyncio.run(run()) == code, self._capsys.readouterr().err
        captured = self._capsys.readouterr()
        assert SECRET not in captured.out + captured.err
        return captured.out, captured.err


@pytest.fixture
def agent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Agent:
    return Agent(tmp_path / "a.sock", capsys)


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., Path]:
    def write(*databases: Path, socket: Path | None = None) -> Path:
        path = tmp_path / "litefleet.yml"
        replica = {"url": "nats://127.0.0.1:1", "timeout": "1s"}
        content: dict[str, object] = {
            "dbs": [{"path": str(one), "replica": {**replica, "bucket": one.stem}} for one in databases]
        }
        if socket is not None:
            content["socket"] = {"path": str(socket)}
        path.write_text(json.dumps(content))
        return path

    return write


@pytest.mark.parametrize(
    "command", [["sync"], ["add", "x.db", "--replica", "nats://h/b"], ["remove", "x.db"], ["reload"], ["status"]]
)
def test_without_an_agent(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "none.sock"
    assert main([*command, "--socket", str(path)]) == 9
    output = capsys.readouterr()
    assert output.err.startswith(f"litefleet: No agent listens on {path}; start it")
    assert output.err.count("\n") == 1


@pytest.mark.parametrize(
    "said", [b"", b"220 smtp.example.com\r\n", b"HTTP/1.1 200 OK\r\n\r\n[]", b"HTTP/1.1 200 OK\r\n\r\n{"]
)
def test_something_else_listens_there(said: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "other.sock"

    async def run() -> int:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(said)
            await writer.drain()
            writer.close()

        async with await asyncio.start_unix_server(answer, path):
            return await asyncio.to_thread(main, ["reload", "--socket", str(path)])

    assert asyncio.run(run()) == 9
    assert "does not answer as an agent" in capsys.readouterr().err


def test_the_configuration_names_the_socket(
    config: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "named.sock"
    assert main(["reload", "--config", str(config(APP, socket=path))]) == 9
    assert str(path) in capsys.readouterr().err


def test_a_configuration_that_was_named_must_be_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sync", "--config", str(tmp_path / "none.yml")]) == 2
    assert "none.yml" in capsys.readouterr().err


class TestSync:
    """``litefleet sync``."""

    def test_all_databases(self, agent: Agent) -> None:
        fleet = Fleet([figures(captured_txid=5), figures(Path("/data/b.db"))])
        assert agent(fleet, "sync", "--wait").splitlines() == [
            "database      status        txid",
            "/data/app.db  acknowledged  0000000000000005",
            "/data/b.db    acknowledged  -",
        ]

    def test_one_as_json(self, agent: Agent) -> None:
        fleet = Fleet([figures(captured_txid=5), figures(Path("/data/b.db"))])
        (row,) = json.loads(agent(fleet, "sync", "/data/../data/app.db", "--json"))
        assert (row["path"], row["txid"]) == (str(APP), f"{5:016x}")
        assert fleet.begun == [("sync", APP)]

    @pytest.mark.parametrize("timeout", ["0.1s", "100ms"])
    def test_not_in_time(self, agent: Agent, timeout: str) -> None:
        fleet = Fleet([figures()])
        fleet.ready.clear()
        text = agent(fleet, "sync", "--wait", "--timeout", timeout, code=8)
        assert text.startswith(f"litefleet: {APP}: not acknowledged within 0.1 s; ")

    def test_the_agents_error_has_its_exit_code(self, agent: Agent) -> None:
        fleet = Fleet([figures()], trouble=BucketTaken("bucket `app` belongs to another"))
        assert "belongs to another" in agent(fleet, "sync", "--wait", code=4)
        assert "/no.db" in agent(fleet, "sync", "/no.db", code=2)

    @pytest.mark.parametrize("text", ["-1", "soon", "1d"])
    def test_a_time_that_is_none(self, text: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["sync", f"--timeout={text}"]) == 2
        assert text in capsys.readouterr().err


class TestAddAndRemove:
    """``litefleet add`` and ``litefleet remove``."""

    def test_a_url(self, agent: Agent) -> None:
        fleet = Fleet()
        text = agent(fleet, "add", "/data/new.db", "--replica", "nats://h:4222/new")
        assert text == "/data/new.db: added, replicated to nats://h:4222/new until the agent ends\n"
        assert fleet.known[0].path == Path("/data/new.db")

    def test_one_that_does_not_work(self, agent: Agent) -> None:
        fleet = Fleet([figures(state="failed", problem="Bucket `app` does not exist")])
        fleet.known[0].replica = "nats://h:4222/app"
        out, err = agent.both(fleet, "add", str(APP), "--replica", "nats://h:4222/app", code=1)
        assert out.startswith(f"{APP}: already added")
        assert err == "litefleet: failed: Bucket `app` does not exist\n"

    def test_a_section_on_standard_input_keeps_secrets_off_the_command_line(
        self, agent: Agent, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        section = f"url: nats://h:4222\nbucket: new\nusername: app\npassword: {SECRET}\ntimeout: 5s\n"
        monkeypatch.setattr("sys.stdin", io.StringIO(section))
        fleet = Fleet()
        agent(fleet, "add", "/data/new.db", "--replica", "-")
        call = fleet.begun[0]
        assert isinstance(call, tuple)
        assert isinstance(call[1], Database)
        credentials = Credentials(username="app", password=SECRET)
        assert call[1].replica.server == Server(("nats://h:4222",), credentials, timeout=5.0)

    @pytest.mark.parametrize("text", ["a: [", "- {? {}: 1}", "!!python/object:os.system {}", "", "just text"])
    def test_standard_input_that_is_none(self, agent: Agent, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO(text))
        fleet = Fleet()
        agent(fleet, "add", "/data/new.db", "--replica", "-", code=2)
        assert not fleet.begun

    def test_remove(self, agent: Agent) -> None:
        fleet = Fleet([figures()])
        assert agent(fleet, "remove", str(APP)) == f"{APP}: removed; its backup stays in the bucket\n"
        assert not fleet.known
        assert f"not replicated: {APP}" in agent(fleet, "remove", str(APP), code=2)

    def test_remove_with_something_left(self, agent: Agent) -> None:
        fleet = Fleet([figures()], trouble=NotDurable("2 transactions are not acknowledged"))
        assert "2 transactions" in agent(fleet, "remove", str(APP), code=8)


class TestReload:
    """``litefleet reload``."""

    def test_what_has_changed(self, agent: Agent) -> None:
        reloaded = Reloaded((APP,), (Path("/data/b.db"),), (Path("/data/c.db"),), "`addr` needs a restart")
        assert agent(Fleet(reloaded=reloaded), "reload").splitlines() == [
            f"added {APP}", "removed /data/b.db", "changed /data/c.db", "`addr` needs a restart",
        ]  # fmt: skip

    def test_nothing_has_changed(self, agent: Agent) -> None:
        assert agent(Fleet(), "reload") == "nothing has changed\n"

    def test_a_configuration_that_is_wrong(self, agent: Agent) -> None:
        text = agent(Fleet(trouble=ConfigError("litefleet.yml:3: dbs[0].path: is empty")), "reload", code=2)
        assert text == "litefleet: litefleet.yml:3: dbs[0].path: is empty\n"


class TestStatus:
    """``litefleet status``, when an agent runs."""

    def test_a_table(self, agent: Agent) -> None:
        fleet = Fleet(
            [figures(captured_txid=5, acknowledged_txid=5, acknowledged_at=1.5e9, wal_bytes=4096, spool_bytes=0)]
        )
        assert agent(fleet, "status").splitlines() == [
            "database      status  txid              newest                    lag   pending  WAL      spool  problem",
            "/data/app.db  ok      0000000000000005  2017-07-14T02:40:00.000Z  0.0s  -        4.0 KiB  0 B",
        ]

    def test_what_is_asked_for_is_sent_first(self, agent: Agent) -> None:
        """So that exit code 0 means: all that was committed is acknowledged, even if the agent has not noticed yet."""
        fleet = Fleet([figures(captured_txid=6, acknowledged_txid=5, pending_since=1.0)])
        (row,) = json.loads(agent(fleet, "status", "--json"))
        assert (row["status"], row["txid"], row["lag"], row["pending"]) == ("ok", f"{6:016x}", 0, 0)

    def rows(
        self, agent: Agent, capsys: pytest.CaptureFixture[str], fleet: Fleet, *options: str
    ) -> list[dict[str, object]]:
        async def run() -> int:
            async with listening(Socket(agent.socket), fleet):
                return await asyncio.to_thread(main, ["status", "--json", "--socket", str(agent.socket), *options])

        code = asyncio.run(run())
        rows: list[dict[str, object]] = json.loads(capsys.readouterr().out)
        assert (code == 0) == all(row["status"] == "ok" for row in rows)
        return rows

    @pytest.mark.parametrize(
        ("settings", "status"),
        [
            ({"acknowledged_txid": 1, "captured_txid": 1}, "ok"),
            ({"acknowledged_txid": 1, "captured_txid": 1, "wal_alarm": "pid 7 reads"}, "alarm"),
            ({}, "no backup"),
            (
                {"state": "outage", "problem": "Connection refused", "acknowledged_txid": 1, "captured_txid": 1},
                "outage",
            ),
            ({"state": "failed", "problem": "belongs to another"}, "failed"),
            ({"state": "waiting"}, "waiting"),
        ],
    )
    def test_one_word_says_how_it_is(
        self, agent: Agent, settings: dict[str, Any], status: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (row,) = self.rows(agent, capsys, Fleet([figures(levels={0: Level(2, 10)}, **settings)]))
        assert (row["status"], row["source"], row["files"], row["bytes"]) == (status, "agent", 2, 10)
        assert row["detail"] == settings.get("problem", settings.get("wal_alarm", ""))

    def test_what_cannot_be_sent_is_behind(
        self, agent: Agent, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("litefleet.cli.status._SYNC", 0.1)
        fleet = Fleet([figures(captured_txid=6, acknowledged_txid=4, pending_since=1.0)])
        fleet.ready.clear()
        (row,) = self.rows(agent, capsys, fleet)
        assert (row["status"], row["pending"], row["pending_bytes"]) == ("behind", 2, None)
        assert isinstance(row["lag"], float)
        assert row["lag"] > 1000

    def test_what_waits_is_shown_even_if_nobody_knows_how_much(self, agent: Agent) -> None:
        read = figures(captured_txid=6, acknowledged_txid=4, pending_since=1.0, state="outage")
        unread = figures(Path("/data/b.db"), captured_txid=4, acknowledged_txid=4, pending_since=1.0, state="outage")
        out, _ = agent.both(Fleet([read, unread]), "status", code=1)
        assert [line.split()[5:7] for line in out.splitlines()[1:]] == [["2", "tx"], ["yes", "0"]]

    def test_one_database(self, agent: Agent, capsys: pytest.CaptureFixture[str]) -> None:
        fleet = Fleet([figures(), figures(Path("/data/b.db"))])
        (row,) = self.rows(agent, capsys, fleet, "/data/b.db")
        assert row["database"] == "/data/b.db"

    def test_databases_that_the_agent_does_not_have_are_looked_at(
        self, agent: Agent, config: Callable[..., Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        """In the configuration's order, then what the agent has besides."""
        added = figures(Path("/data/added.db"))
        path = config(Path("/data/forgotten.db"), APP)
        rows = self.rows(agent, capsys, Fleet([figures(acknowledged_txid=1), added]), "--config", str(path))
        assert [(row["database"], row["source"]) for row in rows] == [
            ("/data/forgotten.db", "bucket"), (str(APP), "agent"), ("/data/added.db", "agent"),
        ]  # fmt: skip

    def test_without_an_agent_the_databases_of_directories_are_looked_for(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for name in ("b.db", "a.db"):
            with closing(sqlite3.connect(tmp_path / name)) as connection:
                connection.execute("CREATE TABLE t (x)")
        (tmp_path / "empty.db").touch()
        path = tmp_path / "litefleet.yml"
        replica = {"url": "nats://127.0.0.1:1", "bucket": "app", "timeout": "1s"}
        entry = {"dir": str(tmp_path), "pattern": "*.db", "replica": replica}
        path.write_text(json.dumps({"dbs": [entry], "socket": {"path": str(tmp_path / "none.sock")}}))
        assert main(["status", "--json", "--config", str(path)]) == 1
        rows = json.loads(capsys.readouterr().out)
        assert [(Path(row["database"]).name, row["status"]) for row in rows] == [
            ("a.db", "unreachable"), ("b.db", "unreachable"),
        ]  # fmt: skip

    def test_remote_does_not_ask(
        self, agent: Agent, config: Callable[..., Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        rows = self.rows(agent, capsys, Fleet([figures()]), "--config", str(config(APP)), "--remote")
        assert [(row["source"], row["status"]) for row in rows] == [("bucket", "unreachable")]

    def test_an_agent_with_another_configuration_is_not_asked(
        self,
        agent: Agent,
        config: Callable[..., Path],
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The socket of the default place may be that of a service, and the configuration that of a test."""
        monkeypatch.setattr("litefleet.cli.agent.DEFAULT_SOCKET", agent.socket)
        path = config(Path("/data/mine.db"))

        async def run() -> int:
            async with listening(Socket(agent.socket), Fleet([figures()])):
                return await asyncio.to_thread(main, ["status", "--json", "--config", str(path)])

        assert asyncio.run(run()) == 1
        (row,) = json.loads(capsys.readouterr().out)
        assert (row["database"], row["source"]) == ("/data/mine.db", "bucket")

    def test_an_agent_can_be_asked_without_its_configuration(
        self, agent: Agent, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("LITEFLEET_CONFIG", str(tmp_path / "none.yml"))
        (row,) = self.rows(agent, capsys, Fleet([figures()]))
        assert row["database"] == str(APP)


def test_a_socket_that_nobody_listens_on_any_more(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert main(["reload", "--socket", str(path)]) == 9
    assert "No agent listens" in capsys.readouterr().err
