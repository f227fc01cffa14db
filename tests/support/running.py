"""Long-running parts of a test: the agent, applications that write, the peer; each a process of its own.

SQLite locks belong to processes, so whoever writes must not share one with the agent.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import nats
import yaml
from nats.js import api

PATIENCE = 60.0
BIN = Path(sys.executable).parent
WRITER = Path(__file__).parent / "writer.py"


def make_bucket(url: str, name: str, **options: Any) -> None:
    """Create an object store bucket, as operations would."""

    async def create() -> None:
        client = await nats.connect(url)
        try:
            await client.jetstream().create_object_store(name, config=api.ObjectStoreConfig(bucket=name, **options))
        finally:
            await client.close()

    asyncio.run(create())


def write_config(path: Path, url: str, databases: dict[Path, str], **extra: Any) -> Path:
    """A configuration file with a bucket for each database."""
    content = {
        "logging": {"level": "debug"},
        "socket": {"path": str(path.with_suffix(".sock"))},
        "spool": {"path": str(path.with_suffix(".spool"))},
        "dbs": [
            {"path": str(database), "replica": {"type": "nats", "url": url, "bucket": bucket}}
            for database, bucket in databases.items()
        ],
        **extra,
    }
    path.write_text(yaml.safe_dump(content))
    return path


class Process:
    """A process whose lines can be waited for."""

    def __init__(self, *command: str | Path) -> None:
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    @property
    def pid(self) -> int:
        return self._process.pid

    def output(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, pattern: str, *, after: int = 0, patience: float = PATIENCE) -> re.Match[str]:
        """The first line from line ``after`` on that matches; fails when the process ends or patience does."""
        deadline = time.monotonic() + patience
        seen = after
        with self._news:
            while True:
                while seen < len(self.lines):
                    match = re.search(pattern, self.lines[seen])
                    if match is not None:
                        return match
                    seen += 1
                left = deadline - time.monotonic()
                if left <= 0 or not self._reader.is_alive():
                    raise AssertionError(f"no line matches {pattern!r}:\n" + "\n".join(self.lines[-40:]))
                self._news.wait(min(left, 1.0))

    def wait_quietly(self, seconds: float) -> None:
        """Until the process has ended or the time is up, whichever is first."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def wait(self, patience: float = PATIENCE) -> int:
        """The exit code."""
        code = self._process.wait(patience)
        self._reader.join(patience)
        return code

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.kill()


class Agent(Process):
    """``litefleet replicate``."""

    def __init__(self, config: Path, *options: str) -> None:
        super().__init__(BIN / "litefleet", "replicate", "--config", config, *options)

    def ready(self) -> Self:
        try:
            self.wait_for("Replicating")
        except BaseException:
            self.kill()
            raise
        return self

    def acknowledged(self) -> int:
        """The highest TXID that the agent reported as acknowledged; 0 for none."""
        found = [re.search(r"acknowledged level=0 txid=([0-9a-f]{16})", line) for line in self.lines]
        return max((int(match[1], 16) for match in found if match), default=0)

    def full_copies(self) -> int:
        """How many times it had to start from scratch."""
        return sum("full copy" in line for line in self.lines)

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.wait()


class Writer(Process):
    """An application with one database; see ``writer.py`` for what it can be told."""

    def __init__(self, path: Path, *options: str) -> None:
        super().__init__(sys.executable, "-P", WRITER, path, *options)
        self.wait_for("^done open")

    def do(self, command: str) -> str:
        """Send a command and wait until it is done; returns what the writer says of it."""
        after = len(self.lines)
        self.tell(command)
        return self.wait_for(r"^(done .*|failed .*)$", after=after)[1]

    def close(self) -> None:
        """End it as an application ends: the connection is closed first."""
        self.tell("quit")
        assert self.wait() == 0, self.output()


def litefleet(*arguments: str | Path, code: int | None = 0) -> subprocess.CompletedProcess[str]:
    """Run the command; ``code`` is the exit code to expect, None for any."""
    return _run(BIN / "litefleet", *arguments, code=code)


def litestream(*arguments: str | Path, code: int | None = 0) -> subprocess.CompletedProcess[str]:
    """Run the stock peer."""
    return _run(BIN / "litestream", *arguments, code=code)


def _run(*command: str | Path, code: int | None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300, check=False)
    assert code is None or done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def settle(config: Path, *, patience: float = PATIENCE) -> None:
    """Until everything committed is in the bucket, as ``litefleet status`` sees it."""
    deadline = time.monotonic() + patience
    while litefleet("status", "--config", config, code=None).returncode:
        assert time.monotonic() < deadline, litefleet("status", "--config", config, code=None).stdout


def checkpointed(path: Path) -> bytes:
    """The database file with everything in it. Only when no other process has it open."""
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    connection.close()
    return path.read_bytes()


def assert_same_pages(one: Path, other: Path, page_size: int) -> None:
    """Equal page for page; a difference names its first page."""
    with one.open("rb") as a, other.open("rb") as b:
        number = 0
        while True:
            left, right = a.read(page_size * 256), b.read(page_size * 256)
            if left != right:
                at = next(
                    (i for i in range(0, max(len(left), len(right)), page_size)
                     if left[i : i + page_size] != right[i : i + page_size]), 0,
                )  # fmt: skip
                raise AssertionError(f"{one} and {other} differ at page {number + at // page_size + 1}")
            if not left:
                return
            number += 256
