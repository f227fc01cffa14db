"""``python -m bench.idle``: many idle databases in one agent: messages, processor time, memory, descriptors.

The exit code is 1 if the idle agent sends a single message, or if a second start copies anything again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import nats

from tests.conditions.scene import cpu_seconds
from tests.support.natsserver import nats_server
from tests.support.running import Agent

#: Seconds in which everything has to be started, or stopped.
PATIENCE = 1800.0
#: Databases in one directory.
EACH = 1000


def make_databases(root: Path, count: int) -> list[Path]:
    """Small databases in WAL mode, all with the same content."""
    seed = root / "seed.db"
    with closing(sqlite3.connect(seed)) as connection:
        connection.execute("PRAGMA journal_mode=wal")
        connection.execute("CREATE TABLE t (data)")
        connection.execute("INSERT INTO t VALUES (randomblob(3000))")
        connection.commit()
    content = seed.read_bytes()
    paths = [root / f"{number // EACH}" / f"{number}.db" for number in range(count)]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return paths


def write_config(root: Path, url: str, paths: list[Path], *, shared: bool) -> Path:
    """A bucket for each database, or one for all of them."""
    dbs = [
        {
            "path": str(path),
            "replica": {
                "type": "nats", "url": url, "bucket": "shared" if shared else f"b{number}",
                **({"path": f"db/{number}"} if shared else {}),
            },
        }
        for number, path in enumerate(paths)
    ]  # fmt: skip
    config = root / "config.yml"
    config.write_text(json.dumps({"spool": {"path": str(root / "spool")}, "dbs": dbs}))
    return config


async def make_buckets(url: str, names: list[str]) -> None:
    """As operations would."""
    client = await nats.connect(url)
    for name in names:
        await client.jetstream().create_object_store(name)
    await client.close()


def memory(pid: int) -> str:
    """Resident and peak."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return f"{int(status['VmRSS'].split()[0]) // 1024} MiB (peak {int(status['VmHWM'].split()[0]) // 1024} MiB)"


def settle(agent: Agent) -> None:
    """Until what follows the first copies is over: next to no processor time for a while."""
    for _ in range(240):
        before = cpu_seconds(agent.pid)
        agent.wait_quietly(5)
        if cpu_seconds(agent.pid) - before < 0.1:
            return


def main() -> int:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.idle", description=__doc__)
    parser.add_argument("--databases", type=int, default=1000)
    parser.add_argument("--shared", action="store_true", help="one bucket for all, each below a path of its own")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to look at the idle agent")
    options = parser.parse_args()
    count = options.databases
    with tempfile.TemporaryDirectory(prefix="idle-") as name, nats_server() as server:
        root = Path(name)
        paths = make_databases(root, count)
        names = ["shared"] if options.shared else [f"b{number}" for number in range(count)]
        asyncio.run(make_buckets(server.url, names))
        config = write_config(root, server.url, paths, shared=options.shared)
        began = time.monotonic()
        with Agent(config) as agent:
            agent.wait_for("Replicating", patience=PATIENCE)
            print(f"{count} databases in {len(names)} buckets: first start, with a copy of each: "
                  f"{time.monotonic() - began:.1f} s, {cpu_seconds(agent.pid):.1f} s of processor time")  # fmt: skip
            settle(agent)
            before, used = int(server.monitor("/varz")["in_msgs"]), cpu_seconds(agent.pid)
            agent.wait_quietly(options.seconds)
            messages = int(server.monitor("/varz")["in_msgs"]) - before
            used = cpu_seconds(agent.pid) - used
            descriptors = len(list(Path(f"/proc/{agent.pid}/fd").iterdir()))
            print(f"idle for {options.seconds:.0f} s: {messages} messages, {used:.2f} s of processor time, "
                  f"{memory(agent.pid)}, {descriptors} descriptors")  # fmt: skip
            began = time.monotonic()
            agent.signal(signal.SIGTERM)
            code = agent.wait(PATIENCE)
            print(f"stop: exit {code} after {time.monotonic() - began:.1f} s")
        began = time.monotonic()
        with Agent(config) as agent:
            agent.wait_for("Replicating", patience=PATIENCE)
            copies = agent.full_copies()
            print(f"second start: {time.monotonic() - began:.1f} s, {copies} full copies, {memory(agent.pid)}")
            agent.signal(signal.SIGTERM)
            code = code or agent.wait(PATIENCE)
    return int(messages > 0 or copies > 0 or code != 0)


if __name__ == "__main__":
    sys.exit(main())
