"""What the real agent tells systemd, heard on a socket as its own."""

from __future__ import annotations

import queue
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.natsserver import NatsServer
from tests.support.running import PATIENCE, Agent, Writer, litefleet, make_bucket, write_config


class Systemd:
    """Everything the agent says, in order; heard by a thread, as the agent does not wait for a reader."""

    def __init__(self, heard: socket.socket) -> None:
        self._messages: queue.Queue[dict[str, str]] = queue.Queue()
        self._heard = heard
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self) -> None:
        while text := self._heard.recv(4096).decode():
            self._messages.put(dict(line.split("=", 1) for line in text.splitlines()))

    def hear(self, wanted: Callable[[dict[str, str]], bool]) -> dict[str, str]:
        """The next message that is wanted; those before it are forgotten."""
        while True:
            message = self._messages.get(timeout=PATIENCE)
            if wanted(message):
                return message

    def hear_key(self, key: str) -> dict[str, str]:
        return self.hear(lambda message: key in message)


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Systemd]:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(path)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        monkeypatch.setenv("WATCHDOG_USEC", "400000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        running = Systemd(heard)
        yield running
        # An empty message ends the thread.
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
            link.sendto(b"", path)
        running.thread.join(PATIENCE)


def test_a_life(systemd: Systemd, server: NatsServer, tmp_path: Path) -> None:
    make_bucket(server.url, "app")
    database = tmp_path / "app.db"
    sock, spool = {"path": str(tmp_path / "l.sock")}, {"path": str(tmp_path / "spool")}
    config = write_config(tmp_path / "l.yml", server.url, {database: "app"}, socket=sock, spool=spool)
    with Writer(database), Agent(config) as agent:
        systemd.hear_key("READY")
        systemd.hear(lambda message: message.get("STATUS") == "1 database: 1 replicating")
        for reload in (lambda: litefleet("reload", "--config", config), lambda: agent.signal(signal.SIGHUP)):
            reload()
            assert systemd.hear_key("RELOADING")["MONOTONIC_USEC"].isdecimal()
            systemd.hear_key("READY")
        for _ in range(3):
            systemd.hear(lambda message: message == {"WATCHDOG": "1"})
        assert agent.stop() == 0
        systemd.hear_key("STOPPING")
