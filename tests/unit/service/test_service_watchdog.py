"""What systemd is told, over a socket as its own."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from litefleet.replicate.figures import Figures
from litefleet.service import watchdog as module
from litefleet.service.notify import _late, notify, reloading, watchdog_interval
from litefleet.service.watchdog import StatusLine, watchdog
from tests.unit.service.standin import Fleet

PATIENCE = 30.0


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        name = str(tmp_path / "notify") if request.param == "path" else f"@litefleet-{os.getpid()}"
        heard.bind(name.replace("@", "\0"))
        heard.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield heard


def messages(heard: socket.socket) -> list[str]:
    found = []
    while True:
        try:
            found.append(heard.recv(4096).decode())
        except BlockingIOError:
            return found


async def hear(heard: socket.socket, wanted: Callable[[str], bool]) -> str:
    """The next message that is wanted."""
    async with asyncio.timeout(PATIENCE):
        while True:
            text = (await asyncio.get_running_loop().sock_recv(heard, 4096)).decode()
            if wanted(text):
                return text


def figures(name: str, state: str = "replicating", problem: str = "") -> Figures:
    return Figures(Path(f"/data/{name}.db"), "nats://h/b", state=state, problem=problem)  # type: ignore[arg-type]


def test_a_message(systemd: socket.socket) -> None:
    notify("READY=1", "STATUS=up")
    assert messages(systemd) == ["READY=1\nSTATUS=up"]


def test_what_there_is_no_room_for_is_said_later_in_order(systemd: socket.socket) -> None:
    said = 0
    while not _late:
        notify(f"STATUS={said}")
        said += 1
    notify("READY=1")
    for _ in range(100):
        notify("WATCHDOG=1")
    heard = []
    while found := messages(systemd):
        heard += found
        notify()
    assert heard == [*(f"STATUS={number}" for number in range(said)), "READY=1", "WATCHDOG=1"]


def test_a_systemd_that_does_not_hear_is_said_once_and_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    notify("READY=1")
    notify("WATCHDOG=1")
    assert len(caplog.records) == 1
    assert "No such file" in caplog.text


@pytest.mark.parametrize("fails", [False, True])
def test_a_reload_ends_with_ready(systemd: socket.socket, fails: bool) -> None:
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    with suppress(KeyError), reloading():
        (said,) = messages(systemd)
        {0: 0}[int(fails)]
    first, second = said.split("\n")
    assert first == "RELOADING=1"
    assert before <= int(second.removeprefix("MONOTONIC_USEC=")) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert messages(systemd) == ["READY=1"]


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [
        (None, None, 0), ("30000000", None, 30), ("30000000", str(os.getpid()), 30), ("30000000", "1", 0),
        ("", None, 0), ("soon", None, 0), ("-1", None, 0),
    ],
)  # fmt: skip
def test_the_interval_is_for_the_process_that_is_meant(
    usec: str | None, pid: str | None, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in (("WATCHDOG_USEC", usec), ("WATCHDOG_PID", pid)):
        if text is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, text)
    assert watchdog_interval() == seconds


async def test_signs_of_life_as_long_as_it_runs(systemd: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(watchdog(Fleet([figures("a")])))
        for _ in range(5):
            await hear(systemd, lambda text: text == "WATCHDOG=1")
        watching.cancel()
    assert watching.cancelled()


async def test_the_status_follows_the_figures_and_is_sent_once(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_STATUS", 0.01)
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    one = figures("a")
    looks = 0
    looked = asyncio.Event()

    class Counting(Fleet):
        def figures(self) -> tuple[Figures, ...]:
            nonlocal looks
            looks += 1
            if looks >= 10:
                looked.set()
            return super().figures()

    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(watchdog(Counting([one])))
        async with asyncio.timeout(PATIENCE):
            await looked.wait()
        assert messages(systemd) == ["STATUS=1 database: 1 replicating"]
        one.state, one.problem = "outage", "Connection refused"
        text = await hear(systemd, lambda _: True)
        watching.cancel()
    assert text.startswith("STATUS=1 database: 1 outage since 20")
    assert text.endswith(" UTC (/data/a.db: Connection refused)")


async def test_without_systemd_there_is_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    async with asyncio.timeout(PATIENCE):
        await watchdog(Fleet())


class TestStatusLine:
    """The line itself."""

    @pytest.mark.parametrize(
        ("all_of_them", "text"),
        [
            ([], "0 databases"),
            ([figures("a"), figures("b")], "2 databases: 2 replicating"),
            ([figures("a", "starting"), figures("b"), figures("c", "waiting")],
             "3 databases: 1 replicating, 1 starting, 1 waiting"),
            ([figures("a"), figures("b", "failed", "two\n lines")],
             "2 databases: 1 replicating, 1 failed since 1970-01-01 00:01 UTC (/data/b.db: two lines)"),
        ],
    )  # fmt: skip
    def test_a_moment(self, all_of_them: list[Figures], text: str) -> None:
        assert StatusLine().text(all_of_them, now=60) == text

    def test_the_longest_outage_is_shown_and_its_beginning_kept(self) -> None:
        line = StatusLine()
        first, second = figures("a"), figures("b", "outage", "no answer")
        line.text([first, second], now=60)
        first.state = "outage"
        assert "2 outage since 1970-01-01 00:01 UTC (/data/b.db: no answer)" in line.text([first, second], now=600)
        second.state = "replicating"
        assert "1 outage since 1970-01-01 00:10 UTC (/data/a.db)" in line.text([first, second], now=900)
        second.state = "outage"
        assert "00:10 UTC (/data/a.db)" in line.text([first, second], now=1200)
