"""The control socket: who may use it, what it answers, and that errors keep their exit codes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from litefleet.config.settings import Credentials, Database, Replica, Server, Settings, Socket
from litefleet.errors import BucketTaken, ConfigError, NotDurable
from litefleet.replicate.figures import Figures, Level
from litefleet.service import control
from litefleet.service.control import listening
from litefleet.service.interface import Reloaded
from tests.unit.service.standin import Fleet, ask

PATIENCE = 30.0
APP = Path("/data/app.db")
SECRET = "correct-horse"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.sock"


@asynccontextmanager
async def agent(path: Path, fleet: Fleet | None = None, *, mode: int = 0o600) -> AsyncIterator[Fleet]:
    fleet = fleet or Fleet()
    async with listening(Socket(path, mode), fleet):
        yield fleet


def figures(path: Path = APP, **settings: object) -> Figures:
    return Figures(path, "nats://h:4222/app", **settings)  # type: ignore[arg-type]


async def test_without_a_path_there_is_none() -> None:
    async with listening(Socket(), Fleet()):
        pass


async def test_an_error_of_the_block_is_the_blocks_own(path: Path) -> None:
    with pytest.raises(OSError, match="mine"):
        async with agent(path):
            raise OSError("mine")


#: Becomes somebody else, then asks for argv[2] and prints the first line of the answer.
STRANGER = """
import os, socket, sys
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
link = socket.socket(socket.AF_UNIX)
link.connect(sys.argv[1])
link.sendall(sys.argv[2].encode() + b" HTTP/1.1\\r\\n\\r\\n")
print(link.makefile().readline())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
async def test_others_may_look_where_the_mode_lets_them_but_change_nothing() -> None:
    def ask_as_stranger(request: str) -> str:
        command = [sys.executable, "-c", STRANGER, str(path), request]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE)
        return done.stdout.strip() or done.stderr.splitlines()[-1]

    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)  # noqa: PTH101
        path = Path(directory) / "control.sock"
        async with agent(path, Fleet([figures()]), mode=0o666) as fleet:
            assert "200" in await asyncio.to_thread(ask_as_stranger, "GET /status")
            assert "403" in await asyncio.to_thread(ask_as_stranger, "POST /reload")
            assert not fleet.begun
        async with agent(path):
            assert "PermissionError" in await asyncio.to_thread(ask_as_stranger, "GET /status")


async def test_status_has_every_figure(path: Path) -> None:
    busy = figures(
        state="outage", problem="Connection refused", wal_alarm="pid 7 reads", captured_txid=0xA5,
        acknowledged_txid=0xA4, acknowledged_at=1.5e9, pending_since=1.6e9,
        db_bytes=1, wal_bytes=2, spool_bytes=3, spool_files=4, open=True,
        levels={9: Level(1, 90)}, errors=Counter({"ServerUnreachable": 5}), done=Counter({"uploads": 7}),
    )  # fmt: skip
    async with agent(path, Fleet([busy, figures(Path("/data/new.db"))])):
        first, second = (await ask(path, "GET", "/status")).json()["databases"]
    assert first.pop("lag") > 1000
    assert first == {
        "path": "/data/app.db", "replica": "nats://h:4222/app", "state": "outage", "problem": "Connection refused",
        "wal_alarm": "pid 7 reads", "captured_txid": "00000000000000a5", "acknowledged_txid": "00000000000000a4",
        "acknowledged_at": "2017-07-14T02:40:00.000Z", "pending": True, "pending_since": "2020-09-13T12:26:40.000Z",
        "db_bytes": 1, "wal_bytes": 2, "spool_bytes": 3, "spool_files": 4, "open": True,
        "levels": {"9": {"objects": 1, "bytes": 90}}, "errors": {"ServerUnreachable": 5}, "done": {"uploads": 7},
        "synced": None,
    }  # fmt: skip
    assert (second["acknowledged_txid"], second["acknowledged_at"], second["lag"]) == (None, None, 0)


async def test_status_can_be_had_after_a_sync(path: Path) -> None:
    async with agent(path, Fleet([figures(captured_txid=3, pending_since=1.0)])):
        (before,) = (await ask(path, "GET", "/status")).json()["databases"]
        (after,) = (await ask(path, "GET", "/status?sync=10")).json()["databases"]
    assert (before["pending"], before["synced"]) == (True, None)
    assert (after["pending"], after["synced"], after["acknowledged_txid"]) == (False, True, f"{3:016x}")


async def test_a_status_does_not_open_what_is_released_nor_wait_for_what_does_not_work(path: Path) -> None:
    """A file that was just written is looked at nevertheless: the agent may not have noticed yet."""
    states = {"quiet": "replicating", "fresh": "replicating", "wal": "replicating", "broken": "failed", "out": "outage"}
    databases = [figures(path.with_name(name), state=state) for name, state in states.items()]
    for name in states:
        path.with_name(name).touch()
        os.utime(path.with_name(name), (1e9, 1e9))
    path.with_name("fresh").touch()
    path.with_name("wal-wal").touch()
    databases.append(figures(path.with_name("open"), state="replicating", open=True))
    async with agent(path, Fleet(databases)) as fleet:
        rows = (await ask(path, "GET", "/status?sync=10")).json()["databases"]
    assert fleet.begun == [("sync", path.with_name(name)) for name in ("fresh", "wal", "open")]
    assert {Path(row["path"]).name: row["synced"] for row in rows} == {
        "quiet": True, "fresh": True, "wal": True, "broken": None, "out": None, "open": True,
    }  # fmt: skip


async def test_info(path: Path) -> None:
    async with agent(path, Fleet([figures()], started=1.5e9)):
        info = (await ask(path, "GET", "/info")).json()
    assert info.pop("uptime") > 1e8
    assert info.pop("version")
    assert info == {"pid": os.getpid(), "started": "2017-07-14T02:40:00.000Z", "databases": 1}


class TestSync:
    """Until everything is acknowledged, or the time is up."""

    async def test_one_database_or_all(self, path: Path) -> None:
        other = Path("/data/other.db")
        async with agent(path, Fleet([figures(captured_txid=2), figures(other, captured_txid=3)])) as fleet:
            one = await ask(path, "POST", "/sync", {"path": str(other), "wait": True})
            assert one.json()["databases"] == [
                {"path": str(other), "status": "acknowledged", "txid": f"{3:016x}", "error": "", "exit_code": 0}
            ]
            assert fleet.begun == [("sync", other)]
            everything = await ask(path, "POST", "/sync")
            assert [row["status"] for row in everything.json()["databases"]] == ["acknowledged"] * 2

    async def test_time_is_up(self, path: Path) -> None:
        async with agent(path, Fleet([figures()])) as fleet:
            fleet.ready.clear()
            answer = await ask(path, "POST", "/sync", {"path": str(APP), "wait": True, "timeout": 0.05})
            assert answer.status == 504
            assert answer.json()["error"] == f"{APP}: not acknowledged within 0.05 s"
            assert answer.json()["exit_code"] == 8
            assert fleet.cancelled.is_set()

    async def test_who_does_not_wait_is_told_what_there_is(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(control, "_MOMENT", 0.05)
        async with agent(path, Fleet([figures()])) as fleet:
            fleet.ready.clear()
            answer = await ask(path, "POST", "/sync", {"path": str(APP)})
            assert (answer.status, answer.json()["databases"][0]["status"]) == (200, "pending")
            assert fleet.begun

    async def test_a_failure_keeps_its_exit_code(self, path: Path) -> None:
        async with agent(path, Fleet([figures()], trouble=BucketTaken("bucket `app` belongs to another"))):
            answer = await ask(path, "POST", "/sync", {"wait": True})
            assert (answer.status, answer.json()["exit_code"]) == (504, 4)
            assert answer.json()["error"] == f"{APP}: bucket `app` belongs to another"

    async def test_a_failure_that_names_its_database_does_so_once(self, path: Path) -> None:
        async with agent(path, Fleet([figures()], trouble=NotDurable(f"{APP}: it was stopped"))):
            answer = await ask(path, "POST", "/sync", {"wait": True})
            assert (answer.json()["error"], answer.json()["exit_code"]) == (f"{APP}: it was stopped", 8)

    async def test_a_client_that_goes_ends_it(self, path: Path) -> None:
        async with agent(path, Fleet([figures()])) as fleet:
            fleet.ready.clear()
            _, writer = await asyncio.open_unix_connection(path)
            writer.write(b'POST /sync HTTP/1.1\r\nContent-Length: 14\r\n\r\n{"wait": true}')
            async with asyncio.timeout(PATIENCE):
                await fleet.called.wait()
                writer.close()
                await fleet.cancelled.wait()

    async def test_an_unknown_database(self, path: Path) -> None:
        async with agent(path):
            answer = await ask(path, "POST", "/sync", {"path": "/no.db"})
            assert (answer.status, answer.json()["exit_code"]) == (404, 2)


class TestAdd:
    """A database is checked as the configuration file's are."""

    KNOWN = Server(("nats://h:4222", "nats://i:4222"), Credentials(username="app", password=SECRET))

    def settings(self) -> Settings:
        return Settings((Database(APP, Replica(self.KNOWN, "app")),))

    async def added(self, path: Path, body: object) -> Database:
        async with agent(path, Fleet(settings=self.settings())) as fleet:
            answer = await ask(path, "POST", "/add", body)
            assert answer.status == 200, answer.body
            assert SECRET not in answer.body.decode()
            assert answer.json()["status"] == "added"
            call = fleet.begun[0]
            assert isinstance(call, tuple)
            assert isinstance(call[1], Database)
            return call[1]

    async def test_a_url_on_a_known_server_uses_its_credentials(self, path: Path) -> None:
        database = await self.added(path, {"path": "/data/new.db", "replica": "nats://i:4222/new"})
        assert database == Database(Path("/data/new.db"), Replica(self.KNOWN, "new"))

    async def test_a_url_on_another_server_does_not(self, path: Path) -> None:
        database = await self.added(path, {"path": "/data/new.db", "replica": "nats://other:4222/new"})
        assert database.replica == Replica(Server(("nats://other:4222",)), "new")

    async def test_credentials_of_its_own_win(self, path: Path) -> None:
        replica = {"url": "nats://h:4222", "bucket": "new", "token": "t"}
        database = await self.added(path, {"path": "/data/new.db", "replica": replica, "busy-timeout": "3s"})
        assert database.replica.server == Server(("nats://h:4222",), Credentials(token="t"))
        assert database.busy_timeout == 3.0

    async def test_twice_is_once_and_elsewhere_is_refused(self, path: Path) -> None:
        async with agent(path, Fleet([figures()])):
            again = await ask(path, "POST", "/add", {"path": str(APP), "replica": "nats://h:4222/app"})
            assert (again.status, again.json()["status"]) == (200, "already added")
            elsewhere = await ask(path, "POST", "/add", {"path": str(APP), "replica": "nats://h:4222/else"})
            assert (elsewhere.status, elsewhere.json()["exit_code"]) == (409, 2)

    @pytest.mark.parametrize(
        ("body", "what"),
        [
            ({}, "`path` and `replica`"),
            ({"path": "/x.db"}, "`path` and `replica`"),
            ({"path": "/x.db", "replica": "s3://b/x"}, "replica.url: "),
            ({"path": "/x.db", "replica": "nats://h"}, "`bucket` is missing"),
            ({"path": "/x.db", "replica": {"url": "nats://h", "bukket": "x"}}, "replica.bukket: unknown key"),
            ({"path": "/x.db", "replica": "nats://h/b", "frobnicate": 1}, "frobnicate: unknown key"),
            ({"path": "/x.db", "replica": ["\ud800"]}, ""),
        ],
    )
    async def test_what_is_wrong_is_said(self, path: Path, body: object, what: str) -> None:
        async with agent(path) as fleet:
            answer = await ask(path, "POST", "/add", body)
            assert (answer.status, answer.json()["exit_code"]) == (400, 2)
            assert what in answer.json()["error"]
            assert "request:" not in answer.json()["error"]
            assert not fleet.begun


async def test_remove(path: Path) -> None:
    async with agent(path, Fleet([figures()])) as fleet:
        answer = await ask(path, "POST", "/remove", {"path": str(APP)})
        assert (answer.status, answer.json()) == (200, {"status": "removed", "path": str(APP)})
        assert not fleet.known
        assert (await ask(path, "POST", "/remove", {"path": str(APP)})).status == 404
        fleet.trouble = NotDurable("2 transactions of /data/app.db are not acknowledged", hint="look at it")
        answer = await ask(path, "POST", "/remove", {"path": str(APP)})
        assert (answer.status, answer.json()) == (
            504, {"error": "2 transactions of /data/app.db are not acknowledged", "hint": "look at it", "exit_code": 8},
        )  # fmt: skip


async def test_reload(path: Path) -> None:
    async with agent(path) as fleet:
        fleet.reloaded = Reloaded(added=(APP,), note="`socket` needs a restart")
        answer = await ask(path, "POST", "/reload")
        assert answer.json() == {
            "added": [str(APP)], "removed": [], "changed": [], "note": "`socket` needs a restart",
        }  # fmt: skip
        fleet.trouble = ConfigError("litefleet.yml:3: dbs[0].path: is empty")
        answer = await ask(path, "POST", "/reload")
        assert (answer.status, answer.json()["exit_code"]) == (400, 2)


@pytest.mark.parametrize(
    ("where", "body"),
    [
        ("/sync", b"{"), ("/sync", b"[]"), ("/sync", b"[" * 60_000), ("/sync", {"wait": 1}), ("/sync", {"path": 1}),
        ("/sync", {"path": "relative.db"}), ("/sync", {"timeout": "x"}), ("/sync", {"timeout": -1}),
        ("/sync", b'{"timeout": NaN}'), ("/sync", {"timeout": 1e9}), ("/sync", {"now": True}), ("/remove", {}),
        ("/remove", {"path": APP.name}), ("/remove", {"path": str(APP), "force": True}), ("/reload", {"x": 1}),
    ],
)  # fmt: skip
async def test_a_wrong_request_is_a_usage_error(path: Path, where: str, body: object) -> None:
    async with agent(path, Fleet([figures()])) as fleet:
        answer = await ask(path, "POST", where, body)
        assert (answer.status, answer.json()["exit_code"]) == (400, 2), answer.body
        assert not fleet.begun


async def test_a_status_with_a_wrong_bound(path: Path) -> None:
    async with agent(path):
        assert (await ask(path, "GET", "/status?sync=x")).status == 400
