"""``litefleet replicate`` as a service manager runs it, under a clock that can be set, with a log that survives it."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

from tests.support.running import BIN, Process

#: Seconds that the agent may take to end once it was asked to, beyond ``shutdown-sync-timeout``.
PATIENCE = 30.0
_ACKNOWLEDGED = re.compile(r"(/\S+): acknowledged level=0 txid=([0-9a-f]{16})")
_FULL_COPY = re.compile(r"full copy (as|follows)|first full copy")


class Defect(Exception):
    """What must not happen has."""


def faketime() -> Path | None:
    """The library that sets the clock of one process (Debian: libfaketime), if it is there."""
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


class Clock:
    """The clock of the agent: the system's, and a shift that can change while it runs. The monotonic one stays."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "clock"
        self._library = faketime()
        self.shift = 0.0
        self.jump(0.0)

    @property
    def possible(self) -> bool:
        return self._library is not None

    def jump(self, seconds: float) -> None:
        """From now on (a second later at most) the time is the true one and ``seconds``."""
        self.shift = seconds
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+.0f}\n")
        new.replace(self._file)

    def environment(self) -> dict[str, str]:
        if self._library is None:
            return {}
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file), "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1", "FAKETIME_DISABLE_SHM": "1",
        }  # fmt: skip


class _Watched(Process):
    def has_ended(self) -> bool:
        return self._process.poll() is not None


class Agent:
    """One process at a time."""

    def __init__(self, config: Path, log: Path, environment: dict[str, str]) -> None:
        self.log = log
        #: The highest TXID of each database that was said to be acknowledged.
        self.acknowledged: dict[str, int] = {}
        #: How many level 0 files were acknowledged, how many starts and full copies there were.
        self.counts: Counter[str] = Counter()
        self._command = [
            "env", *(f"{name}={value}" for name, value in environment.items()),
            str(BIN / "litefleet"), "replicate", "--config", str(config),
        ]  # fmt: skip
        self._process: _Watched | None = None
        self._seen = 0
        self._ending = False

    @property
    def ending(self) -> bool:
        """It was asked to stop, and nobody has looked yet whether it did."""
        return self._ending

    def start(self) -> None:
        """Nothing if it runs."""
        if self._process is None:
            self._process, self._seen, self._ending = _Watched(*self._command), 0, False
            self.counts["starts"] += 1

    def kill(self) -> None:
        self.say("killed")
        if self._process is not None:
            self._process.kill()
            self._ended()

    def ask_to_stop(self) -> None:
        """SIGTERM."""
        if self._process is not None and not self._ending:
            self.say("asked to stop")
            self._ending = True
            self._process.signal(signal.SIGTERM)

    def stopped(self) -> int | None:
        """Wait until it has ended after ``ask_to_stop``: its exit code, None if it did not run."""
        if self._process is None:
            return None
        try:
            code = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise Defect(f"the agent does not end {PATIENCE:g} s after SIGTERM") from None
        self.say(f"ended with {code}")
        begun = bool(self._process.lines)
        self._ended()
        # Before its first line Python itself is still starting, which knows SIGTERM only as the end.
        if code not in (0, 8) and (begun or code != -signal.SIGTERM):
            raise Defect(f"the agent ended with {code} after SIGTERM")
        return code

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def reload(self) -> None:
        """SIGHUP; nothing until it has said something, as Python itself knows the signal only as the end."""
        if self._process is not None and self._process.lines:
            self._signal(signal.SIGHUP)

    def watch(self) -> None:
        """Read what it has logged since the last time; it has to run, whatever happens around it."""
        self._read()
        if self._process is None or self._ending or not self._process.has_ended():
            return
        code = self._process.wait()
        self._read()
        last = next((line for line in reversed(self._process.lines) if re.search(r"\w: ", line)), "")
        self.say(f"ended of its own with {code}")
        self._ended()
        raise Defect(f"the agent ended of its own with {code}: {last}")

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._ended()

    def say(self, text: str) -> None:
        """Into the log, between the agent's own lines."""
        self._read()
        with self.log.open("a") as file:
            file.write(f"--- {time.strftime('%H:%M:%S')} {text}\n")

    def _signal(self, number: int) -> None:
        if self._process is not None:
            self.say(signal.Signals(number).name)
            with contextlib.suppress(ProcessLookupError):
                self._process.signal(number)

    def _ended(self) -> None:
        self._read()
        assert self._process is not None
        self._process.kill()
        self._process, self._ending = None, False

    def _read(self) -> None:
        if self._process is None:
            return
        new = self._process.lines[self._seen :]
        self._seen += len(new)
        if not new:
            return
        with self.log.open("a") as file:
            file.writelines(f"{line}\n" for line in new)
        for line in new:
            if found := _ACKNOWLEDGED.search(line):
                self.acknowledged[found[1]] = max(int(found[2], 16), self.acknowledged.get(found[1], 0))
                self.counts["files acknowledged"] += 1
            elif _FULL_COPY.search(line):
                self.counts["full copies"] += 1
            elif "Traceback (most recent call last)" in line:
                raise Defect("the agent met an error that it did not expect: a traceback in its log")
