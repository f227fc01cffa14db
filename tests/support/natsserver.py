"""Real nats-servers for the tests, on free ports of 127.0.0.1.

    with nats_server({"jetstream": {...}}, store_dir=tmp_path) as srv:
        srv.url ...

Every method blocks until the server is where it was asked to be; inside a running event loop use ``async with`` and
``await asyncio.to_thread(srv.restart)``.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

#: Seconds after which a server that does not get ready, or does not end, fails the test.
PATIENCE = 30.0


def binary() -> str:
    """The nats-server beside the running Python, else the one on the PATH."""
    beside = Path(sys.executable).parent / "nats-server"
    if beside.exists():
        return str(beside)
    found = shutil.which("nats-server")
    if found is None:
        raise RuntimeError("no nats-server: install requirements/dev.txt")
    return found


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [int(sock.getsockname()[1]) for sock in sockets]


class NatsServer:
    """One nats-server process; the ports stay the same over ``restart``."""

    def __init__(self, config: Mapping[str, Any] | None = None, store_dir: Path | str | None = None) -> None:
        self._own_dir = tempfile.TemporaryDirectory(prefix="nats-") if store_dir is None else None
        self.dir = Path(self._own_dir.name if self._own_dir else str(store_dir))
        self.dir.mkdir(parents=True, exist_ok=True)
        self.port, self.monitor_port = free_ports(2)
        self.config_path = self.dir / "nats.json"
        self.log_path = self.dir / "nats.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.configure(config or {})

    # what tests connect to

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @property
    def monitor_url(self) -> str:
        return f"http://127.0.0.1:{self.monitor_port}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def log(self) -> str:
        """Everything the server has logged so far."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def monitor(self, path: str) -> dict[str, Any]:
        """The JSON of a monitoring endpoint, such as ``/varz``; answers of any status are returned."""
        try:
            with urllib.request.urlopen(self.monitor_url + path, timeout=5) as response:
                return dict(json.load(response))
        except urllib.error.HTTPError as error:
            return dict(json.load(error))

    def subscriptions(self) -> set[str]:
        """The subjects that somebody on this server itself listens to."""
        found = self.monitor("/subsz?subs=1&limit=100000").get("subscriptions_list") or []
        return {subscription["subject"] for subscription in found}

    # life

    def configure(self, config: Mapping[str, Any]) -> None:
        """Write the configuration: ``config`` over defaults; ``"jetstream": False`` switches JetStream off."""
        merged: dict[str, Any] = {
            "server_name": f"test-{self.port}",
            "listen": f"127.0.0.1:{self.port}",
            "http": f"127.0.0.1:{self.monitor_port}",
            "jetstream": {"store_dir": str(self.dir / "store"), "max_file": 4 << 30, "max_mem": 64 << 20},
        }
        for key, value in config.items():
            if key == "jetstream" and isinstance(value, Mapping):
                merged["jetstream"] = {**merged["jetstream"], **value}
            elif key == "jetstream" and value is False:
                del merged["jetstream"]
            else:
                merged[key] = value
        self.config_path.write_text(json.dumps(merged, indent=1))

    def start(self, *, ready: bool = True) -> Self:
        """Start the process and, with ``ready``, wait until it says it is healthy."""
        assert self._process is None, "the server is running"
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [binary(), "-c", str(self.config_path)], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        if ready:
            self.wait_ready()
        return self

    def wait_ready(self) -> None:
        """Until /healthz is 200; the server's log is in the error."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self._process is not None and self._process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(self.monitor_url + "/healthz", timeout=5) as response:
                    if response.status == 200:
                        return
            except OSError:
                pass
            time.sleep(0.02)
        raise RuntimeError(f"nats-server is not healthy:\n{self.log()}")

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def stop(self) -> None:
        """End the process in good order (SIGTERM); nothing if it is not running."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the process as a crash would (SIGKILL); nothing if it is not running."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Stop the process from running (SIGSTOP): connections stay, nothing answers."""
        self.signal(signal.SIGSTOP)
        status = Path(f"/proc/{self.pid}/status")
        while "T (stopped)" not in status.read_text():
            time.sleep(0.001)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    def restart(self) -> None:
        self.stop()
        self.start()

    def reload(self, config: Mapping[str, Any] | None = None) -> None:
        """Reload, with a new configuration if given, and wait until the server runs by it."""
        before = self.monitor("/varz")["config_load_time"]
        if config is not None:
            self.configure(config)
        self.signal(signal.SIGHUP)
        deadline = time.monotonic() + PATIENCE
        while self.monitor("/varz")["config_load_time"] == before:
            if time.monotonic() > deadline or "Failed to reload" in self.log():
                raise RuntimeError(f"nats-server did not reload:\n{self.log()}")
            time.sleep(0.02)

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(number)
            process.send_signal(signal.SIGCONT)  # one that is paused ends only then, unless it is killed
        process.wait(PATIENCE)

    def close(self) -> None:
        """End the process and remove its files if the directory was not given."""
        self.kill()
        if self._own_dir is not None:
            self._own_dir.cleanup()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)


def nats_server(config: Mapping[str, Any] | None = None, store_dir: Path | str | None = None) -> NatsServer:
    """A server that runs inside ``with`` or ``async with``."""
    return NatsServer(config, store_dir)


class NatsCluster:
    """Three servers with routes between them."""

    def __init__(self, servers: list[NatsServer]) -> None:
        self.servers = servers

    @property
    def urls(self) -> tuple[str, ...]:
        return tuple(server.url for server in self.servers)

    def wait_meta_leader(self) -> None:
        """Until every server knows the leader of the metadata: from then on streams can be created."""
        deadline = time.monotonic() + PATIENCE
        for server in self.servers:
            while not server.monitor("/jsz").get("meta_cluster", {}).get("leader"):
                if time.monotonic() > deadline:
                    raise RuntimeError(f"no metadata leader:\n{server.log()}")
                time.sleep(0.02)

    def wait_direct_access(self, stream: str) -> None:
        """Until every server answers direct gets of a stream, which followers do only some seconds after the leader."""
        deadline = time.monotonic() + PATIENCE
        for server in self.servers:
            while f"$JS.API.DIRECT.GET.{stream}" not in server.subscriptions():
                if time.monotonic() > deadline:
                    raise RuntimeError(f"no direct access to {stream}:\n{server.log()}")
                time.sleep(0.05)

    def leader(self, stream: str) -> NatsServer:
        """The server that leads a stream; waits for an election."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for server in self.servers:
                for account in server.monitor("/jsz?accounts=true&streams=true").get("account_details", []):
                    for detail in account.get("stream_detail", []):
                        leader = detail.get("cluster", {}).get("leader")
                        if detail["name"] == stream and leader:
                            return next(s for s in self.servers if f"test-{s.port}" == leader)
            time.sleep(0.05)
        raise RuntimeError(f"nobody leads {stream}")


@contextmanager
def nats_cluster(
    config: Mapping[str, Any] | None = None, store_dir: Path | str | None = None, *, size: int = 3
) -> Iterator[NatsCluster]:
    """A cluster that is healthy when the block begins; ``config`` is common to its servers."""
    with ExitStack() as stack:
        root = Path(store_dir or stack.enter_context(tempfile.TemporaryDirectory(prefix="nats-cluster-")))
        routes = free_ports(size)
        servers = []
        for number, port in enumerate(routes):
            cluster = {
                "name": "test",
                "listen": f"127.0.0.1:{port}",
                "routes": [f"nats-route://127.0.0.1:{other}" for other in routes],
            }
            server = NatsServer({**(config or {}), "cluster": cluster}, root / f"n{number}")
            stack.callback(server.close)
            servers.append(server.start(ready=False))
        for server in servers:
            server.wait_ready()
        NatsCluster(servers).wait_meta_leader()
        yield NatsCluster(servers)
