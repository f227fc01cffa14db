"""What is known of a host from outside: the journals of its agent and of its application, as they arrive over SSH.

Whatever a host was about to say when it lost power is not in it, and that is the point: it is what the world was told.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from demo.errors import DemoError
from demo.places import CACHE
from testhosts import Fleet

_ACKNOWLEDGED = re.compile(r"(/\S+): acknowledged level=\d+ txid=([0-9a-f]{16})\b")
_COMMITTED = re.compile(r"^committed id=(\d+) digest=([0-9a-f]{64})$")
_LOOK_SECONDS = 0.05


class Told:
    """What the lines of the journals say."""

    def __init__(self) -> None:
        #: The newest acknowledged TXID of each database, by its path.
        self.acknowledged: dict[str, int] = {}
        #: Number of the last committed entry of the ledger, and each entry's digest.
        self.committed = 0
        self.digests: dict[int, str] = {}

    def read(self, line: str) -> None:
        """Take one line; most of them say nothing of interest."""
        if match := _ACKNOWLEDGED.search(line):
            path, txid = match[1], int(match[2], 16)
            self.acknowledged[path] = max(txid, self.acknowledged.get(path, 0))
        elif match := _COMMITTED.match(line):
            self.committed = max(self.committed, int(match[1]))
            self.digests[int(match[1])] = match[2]


class Journal:
    """Follows a host's journals into a file of the cache until closed, or until the link is dead."""

    def __init__(self, fleet: Fleet, host: str, name: str) -> None:
        self.told = Told()
        self.path = CACHE / f"{name}.journal"
        self._rest = ""
        follow = "journalctl --follow --lines=all --output=cat --unit=litefleet --unit=ledger"
        # A connection of its own: a shared one would end with whoever opened it.
        own = ["-o", "ControlMaster=no", "-o", "ControlPath=none"]
        with self.path.open("wb") as file:
            self._ssh = subprocess.Popen(
                ["ssh", "-F", str(fleet.ssh_config), *own, host, "--", follow],
                stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        self._file = self.path.open(encoding="utf-8", errors="replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ssh.kill()
        self._ssh.wait(10)
        self.read()
        self._file.close()

    def read(self) -> Told:
        """Everything that has arrived."""
        *lines, self._rest = (self._rest + self._file.read()).split("\n")
        for line in lines:
            self.told.read(line)
        return self.told

    def until(self, condition: Callable[[Told], bool], timeout: float, what: str) -> Told:
        """Wait until what was told meets the condition; raises DemoError naming ``what`` after ``timeout`` seconds."""
        end = time.monotonic() + timeout
        while not condition(self.read()):
            if self._ssh.poll() is not None:
                raise DemoError(f"the journal ended before {what}", log=self.path)
            if time.monotonic() > end:
                raise DemoError(f"{what}: not within {timeout:.0f} s", log=self.path)
            time.sleep(_LOOK_SECONDS)
        return self.told


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a log."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        return []
