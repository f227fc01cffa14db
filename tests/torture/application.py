"""An application of the scene, what it has committed, and how much of that was said to be safe."""

from __future__ import annotations

import contextlib
import re
import sys
from collections import Counter
from pathlib import Path

from tests.support.running import PATIENCE, Process

_COMMIT = re.compile(r"commit (\d+) (\w*)")


class Application:
    """The process of ``writer.py`` and its journal, which goes on over its restarts."""

    def __init__(self, name: str, path: Path, directory: Path) -> None:
        self.name = name
        self.path = path
        self.counts: Counter[str] = Counter()
        #: Chain of each transaction, by its number.
        self.journal: dict[int, str] = {0: ""}
        self.committed = 0
        #: The highest transaction that was said, or seen, to be in the bucket.
        self.safe = 0
        self._noted = 0
        self._log = directory / f"{name}.log"
        self._arguments: tuple[int, ...] = ()
        self._process: Process | None = None
        self._seen = 0

    def start(self, *arguments: int) -> None:
        """Nothing if it runs; ``arguments`` are page size, frames of the automatic checkpoint, seed."""
        if self._process is not None:
            return
        self._arguments = arguments or (*self._arguments[:2], self._arguments[2] + 1000)
        command = (sys.executable, "-m", "tests.torture.writer", self.path, *self._arguments)
        self._process, self._seen = Process(*map(str, command)), 0
        self.go()  # it hears that once it is ready, which on a full disk it is not for a while

    def wait_ready(self) -> None:
        """Until it has its database open; nothing if it has had it before."""
        assert self._process is not None
        self._process.wait_for("^ready", patience=PATIENCE * 2)

    def go(self) -> None:
        self._tell("go")

    def halt(self) -> int:
        """Stop committing; the number of the last transaction."""
        assert self._process is not None
        after = len(self._process.lines)
        self._tell("halt")
        self._process.wait_for("^halted", after=after)
        self.read()
        return self.committed

    def kill(self) -> None:
        """As a crash would; nothing if it does not run."""
        if self._process is not None:
            self._process.kill()
            self.read()
            self._process = None
            self.counts["kills"] += 1

    def close(self) -> None:
        """In good order."""
        assert self._process is not None
        self._tell("quit")
        assert self._process.wait() == 0, self._process.output()[-2000:]
        self.read()
        self._process.kill()
        self._process = None

    def note(self) -> None:
        """What is committed now may soon be said to be safe."""
        self._noted = self.read()

    def noted_is_acknowledged(self) -> None:
        self.safe = max(self.safe, self._noted)

    def read(self) -> int:
        """Take up what it has told; the number of the last transaction."""
        if self._process is not None:
            new = self._process.lines[self._seen :]
            self._seen += len(new)
            with self._log.open("a") as file:
                file.writelines(f"{line}\n" for line in new)
            for line in new:
                if found := _COMMIT.fullmatch(line):
                    self._commit(int(found[1]), found[2])
                elif line.startswith("failed"):
                    self.counts[line.split(":")[0]] += 1
                elif line.startswith("Traceback"):
                    self.counts["tracebacks"] += 1
        return self.committed

    def _commit(self, seq: int, chain: str) -> None:
        """A number can come twice: one commit failed after it was written, another took its place."""
        self.journal[seq] = chain
        self.committed = seq

    def _tell(self, line: str) -> None:
        if self._process is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.tell(line)
