"""A slow or lossy cable: keeps the process that delays a host's frames (see ``netem.py``)."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from testhosts.network import Network, port
from testhosts.system import HostsError, Unprepared, attempt, process_is, until, write

_PROGRAM = str(Path(__file__).with_name("netem.py"))


class Delay:
    """The delay on one host's cable, or none."""

    def __init__(self, network: Network, number: int, directory: Path) -> None:
        self._network = network
        self._number = number
        self._record = directory / "delay"

    def start(self, milliseconds: float, jitter: float, loss: float) -> None:
        """Delay from now on; an earlier setting is replaced."""
        if not (0 <= jitter <= milliseconds and 0 <= loss <= 100):
            raise Unprepared("a delay is 0 ms or more, its jitter no larger than it, its loss 0 to 100 percent")
        self.stop()
        tap = f"d{self._number}"
        setting = [str(value) for value in (milliseconds, jitter, loss)]
        program = [sys.executable, "-I", "-S", _PROGRAM, port(self._number), tap, *setting]
        # It tells its process id once it is ready, and closes its streams.
        started = attempt(["setsid", "--fork", *self._network.inside(*program)], timeout=10)
        if not started.stdout.strip():
            raise HostsError(f"the delay did not start: {started.stderr.strip()}")
        write(self._record, f"{int(started.stdout)}\n{milliseconds:g} ms ±{jitter:g}, {loss:g}% lost\n")
        self._network.divert(self._number, tap)

    def stop(self) -> None:
        """The plain cable again."""
        pid = self._pid()
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
            until(lambda: self._pid() is None, 10, "end of the delay")
        if self._record.exists():
            self._network.rejoin(self._number)
            self._record.unlink()

    def described(self) -> str:
        """The setting in words; empty without a delay."""
        return self._record.read_text().splitlines()[1] if self._pid() is not None else ""

    def _pid(self) -> int | None:
        try:
            pid = int(self._record.read_text().splitlines()[0])
        except FileNotFoundError:
            return None
        return pid if process_is(pid, [_PROGRAM, port(self._number)]) else None


def end_all(network: Network) -> None:
    """End the delays of a fleet that is going away, recorded or not."""
    for pid in network.processes():
        if process_is(pid, [_PROGRAM]):
            os.kill(pid, signal.SIGKILL)
