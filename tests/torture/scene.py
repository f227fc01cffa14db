"""Where it all happens: three servers, links to them, small disks, applications that write, and the agent."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from litefleet.bucket.settings import BucketSettings, apply
from litefleet.config.settings import Server
from litefleet.nats.connection import Connection
from tests.support.natsserver import NatsCluster, NatsServer, free_ports
from tests.support.running import BIN
from tests.torture.agent import Agent, Clock, Defect
from tests.torture.application import Application
from tests.torture.disks import SmallDisk
from tests.torture.faults import KINDS, NODES, Fault
from tests.torture.links import Links, links_to

#: Seconds until servers are healthy again.
PATIENCE = 120.0
#: The node whose disk can be filled.
SMALL_NODE = 2
#: So short that every mechanism of a bucket's life meets the faults.
LIFE: dict[str, Any] = {
    "levels": [{"interval": "5s"}, {"interval": "30s"}],
    "l0-retention": "20s",
    "shutdown-sync-timeout": "3s",
}
#: The first and every second reload choose the one, the others the other.
SNAPSHOT_INTERVALS = ("25s", "20s")


@dataclass(frozen=True, slots=True)
class Kind:
    """A database: where it goes, and what its application likes."""

    name: str
    page_size: int
    #: Frames; 0 is never.
    autocheckpoint: int
    bucket: str
    path: str = ""


DATABASES = (
    Kind("orders", 4096, 1000, "orders"),
    Kind("sessions", 1024, 0, "shared", "app1/sessions"),
    Kind("documents", 32768, 200, "documents"),
)


class Scene:
    """Everything is up inside the block."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.directory = directory
        self._stack = ExitStack()
        self.clock = Clock(directory)
        self.data, self.spool = SmallDisk(directory / "data", 1536), SmallDisk(directory / "spool", 256)
        self._store = SmallDisk(directory / "nats" / str(SMALL_NODE), 2048)
        self._seed = seed
        self._reloads = 0
        self.config = directory / "litefleet.yml"
        self.servers: list[Node] = []
        self.possible = frozenset(KINDS)
        self.applications: list[Application] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._stack = stack
            self._mount()
            self._start_servers()
            self.links: Links = stack.enter_context(links_to([server.port for server in self.servers]))
            self._write_config(SNAPSHOT_INTERVALS[1])
            self.agent = Agent(self.config, self.directory / "agent.log", self._environment())
            stack.callback(self.agent.close)
            for number, kind in enumerate(DATABASES):
                application = Application(kind.name, self.data.where / f"{kind.name}.db", self.directory)
                stack.callback(application.kill)
                application.start(kind.page_size, kind.autocheckpoint, self._seed * 10 + number)
                self.applications.append(application)
            self.agent.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        """The servers without the links between."""
        return ",".join(server.url for server in self.servers)

    def target(self, kind: Kind) -> str:
        """What ``litefleet restore`` is told."""
        return f"{self.url}/{kind.bucket}" + (f"/{kind.path}" if kind.path else "")

    # faults

    def suffer(self, faults: tuple[Fault, ...], *, ask: bool) -> None:
        """Let them happen, each at its time; ``ask``: have the agent say in the middle of it what is acknowledged."""
        moments = sorted(
            [(fault.begin, self._begin, fault) for fault in faults]
            + [(fault.end, self._end, fault) for fault in faults],
            key=lambda moment: moment[0],
        )
        began = time.monotonic()
        claim = Claim(self) if ask else None
        for when, what, fault in moments:
            while (left := began + when - time.monotonic()) > 0:
                time.sleep(min(left, 0.2))
                self.agent.watch()
            self.agent.say(f"{'begin' if what == self._begin else 'end'}: {fault}")
            what(fault)
        if claim is not None:
            claim.take()

    def heal(self) -> None:
        """Nothing hinders anybody any more; the servers are healthy, and the agent runs."""
        self.links.heal()
        for disk in (self.data, self.spool, self._store):
            disk.free()
        deadline = time.monotonic() + PATIENCE
        while sick := [server for server in self.servers if not self._healthy(server)]:
            if time.monotonic() > deadline:
                raise RuntimeError(f"nats-server is not healthy:\n{sick[0].log()[-5000:]}")
            time.sleep(0.1)
        self._start_applications()
        for application in self.applications:
            application.wait_ready()
        self.agent.thaw()
        self._end_agent()
        self.agent.watch()
        for disk in (self.data, self.spool):
            self.agent.say(f"{disk.where.name}: {disk.listing()}")

    def keep(self) -> None:
        """Leave what is on the small disks for whoever looks for the cause."""
        for disk in (self.data, self.spool):
            kept = self.directory / "kept" / disk.where.name
            kept.mkdir(parents=True)
            self.agent.say(f"{disk.where.name}: {disk.listing()}")
            subprocess.run(
                ["cp", "-a", "--sparse=always", f"{disk.where}/.", f"{kept}/"], check=False, capture_output=True
            )

    def _begin(self, fault: Fault) -> None:
        each = partial(self._each, fault.nodes)
        begin: dict[str, Callable[[], object]] = {
            "agent killed": self.agent.kill,
            "agent stopped": self._stop_agent,
            "agent frozen": self.agent.freeze,
            "agent reloaded": self._reload_agent,
            "nodes killed": lambda: each(Node.kill),
            "nodes stopped": lambda: each(Node.stop),
            "nodes frozen": lambda: each(Node.pause),
            "links cut": lambda: self.links.cut(fault.nodes),
            "links refused": lambda: self.links.refuse(fault.nodes),
            "links hung": lambda: self.links.hang(fault.nodes),
            "links slow": lambda: self.links.worsen(rate=fault.amount),
            "links far": lambda: self.links.worsen(latency=fault.amount),
            "data disk full": self.data.fill,
            "spool disk full": self.spool.fill,
            "store disk full": self._store.fill,
            "clock jumps": lambda: self.clock.jump(fault.amount),
            "application killed": self.applications[int(fault.begin * 10) % len(self.applications)].kill,
        }
        begin[fault.kind]()

    def _end(self, fault: Fault) -> None:
        each = partial(self._each, fault.nodes)
        end: dict[str, Callable[[], object]] = {
            "agent killed": self._end_agent,
            "agent stopped": self._end_agent,
            "agent frozen": self.agent.thaw,
            "nodes killed": lambda: each(Node.begin),
            "nodes stopped": lambda: each(Node.begin),
            "nodes frozen": lambda: each(Node.resume),
            "data disk full": self.data.free,
            "spool disk full": self.spool.free,
            "store disk full": self._restart_small_node,
            # What was committed in between is to be there whatever the clock said; it stays as it is now.
            "clock jumps": lambda: None,
            "agent reloaded": lambda: None,
            "application killed": self._start_applications,
        }
        end.get(fault.kind, self.links.heal)()

    def _each(self, numbers: tuple[int, ...], what: Callable[[Node], None]) -> None:
        for number in numbers:
            what(self.servers[number])

    def _start_applications(self) -> None:
        for application in self.applications:
            application.start()

    def _stop_agent(self) -> None:
        for application in self.applications:
            application.note()
        self.agent.ask_to_stop()

    def _reload_agent(self) -> None:
        """With a change that concerns every database."""
        self._write_config(SNAPSHOT_INTERVALS[self._reloads % 2])
        self._reloads += 1
        self.agent.reload()

    def _end_agent(self) -> None:
        """After SIGTERM: wait for its end, take it at its word, and start it again."""
        if self.agent.ending and self.agent.stopped() == 0:
            for application in self.applications:
                application.noted_is_acknowledged()
        self.agent.start()

    def _restart_small_node(self) -> None:
        """JetStream gives up on a full disk until the server starts anew."""
        self._store.free()
        self.servers[SMALL_NODE].kill()
        self.servers[SMALL_NODE].begin()

    def _healthy(self, server: Node) -> bool:
        """Starts it if it does not even answer."""
        try:
            return server.monitor("/healthz").get("status") == "ok"
        except OSError:
            pass
        if not server.running():
            server.kill()
            server.begin()
        return False

    # building

    def _mount(self) -> None:
        for disk, kind in ((self.data, "data"), (self.spool, "spool"), (self._store, "store")):
            if disk.mount():
                self._stack.callback(disk.unmount)
            else:
                self.possible -= {f"{kind} disk full"}
        if not self.clock.possible:
            self.possible -= {"clock jumps"}

    def _start_servers(self) -> None:
        routes = free_ports(NODES)
        for number, port in enumerate(routes):
            # Without the advertisement the agent learns of no way around the links.
            cluster = {
                "name": "test", "listen": f"127.0.0.1:{port}", "no_advertise": True,
                "routes": [f"nats-route://127.0.0.1:{other}" for other in routes],
            }  # fmt: skip
            server = Node({"cluster": cluster}, self.directory / "nats" / str(number))
            self._stack.callback(server.close)
            self.servers.append(server.start(ready=False))
        for server in self.servers:
            server.wait_ready()
        NatsCluster([*self.servers]).wait_meta_leader()
        asyncio.run(self._make_buckets())

    async def _make_buckets(self) -> None:
        async with Connection.open(Server(tuple(server.url for server in self.servers))) as connection:
            for bucket in sorted({kind.bucket for kind in DATABASES}):
                await apply(connection, BucketSettings(bucket, replicas=NODES), check=False)

    def _write_config(self, snapshot_interval: str) -> None:
        replica = {"type": "nats", "url": ",".join(self.links.urls), "reconnect-wait": "200ms", "max-reconnects": -1}
        content = {
            "logging": {"level": "debug"},
            "dbs": [
                {
                    "path": str(self.data.where / f"{kind.name}.db"),
                    "replica": {**replica, "bucket": kind.bucket, **({"path": kind.path} if kind.path else {})},
                }
                for kind in DATABASES
            ],
            "spool": {"path": str(self.spool.where / "spool"), "limit": "128MB"},
            "socket": {"enabled": True, "path": str(self.directory / "litefleet.sock")},
            "snapshot": {"interval": snapshot_interval, "retention": "90s"},
            **LIFE,
        }
        new = self.config.with_suffix(".new")
        new.touch(0o600)
        new.write_text(yaml.safe_dump(content, sort_keys=False))
        new.replace(self.config)

    def _environment(self) -> dict[str, str]:
        """Temporary files fill the same disk as the spool."""
        return {"TMPDIR": str(self.spool.where), **self.clock.environment()}


class Claim:
    """A ``litefleet sync --wait`` that runs meanwhile: if it succeeds, all that was committed before it is safe."""

    def __init__(self, scene: Scene) -> None:
        self._noted = [(application, application.read()) for application in scene.applications]
        command = [str(BIN / "litefleet"), "sync", "--wait", "--timeout", "5s", "--config", str(scene.config)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._counts = scene.agent.counts

    def take(self) -> None:
        """Wait for its end, and believe it."""
        try:
            code = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise Defect("`litefleet sync --wait` does not end") from None
        self._counts["asked meanwhile"] += 1
        if code == 0:
            self._counts["said to be safe meanwhile"] += 1
            for application, seq in self._noted:
                application.safe = max(application.safe, seq)


class Node(NatsServer):
    """A server that may not be there."""

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def signal(self, number: int) -> None:
        if self.running():
            super().signal(number)

    def pause(self) -> None:
        if self.running():
            super().pause()

    def begin(self) -> None:
        """Start it, and do not wait; nothing if it runs."""
        if self._process is None:
            self.start(ready=False)
