"""An agent in a process of its own, for the program that starts it.

SQLite's locks on a database belong to processes: a second SQLite library in the program's own would drop the locks of
the first one whenever it closes a file.
"""

from __future__ import annotations

import json
import logging
import os
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from litefleet.api.options import checked, written
from litefleet.config.settings import Settings
from litefleet.errors import (
    ConfigError,
    DatabaseError,
    LitefleetError,
    LTXError,
    NatsError,
    NotDurable,
    RestoreError,
    UsageError,
)

log = logging.getLogger("litefleet.api")

#: The process's last line says what went wrong, its exit code of which kind that is.
_KINDS: dict[int, type[LitefleetError]] = {
    2: ConfigError, 3: NatsError, 4: NatsError, 5: LTXError, 6: DatabaseError, 7: RestoreError, 8: NotDurable
}  # fmt: skip
_LEVELS = ((logging.DEBUG, "debug"), (logging.INFO, "info"), (logging.WARNING, "warn"))
#: What the program's own service manager has told it, and nobody else.
_NOT_FOR_CHILDREN = {"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "JOURNAL_STREAM"}


class AgentProcess:
    """Start it once. A thread forwards what the agent logs, and sets ``ready`` and ``ended``."""

    def __init__(self, content: Mapping[str, object], *, takeover: bool) -> None:
        """``content`` is that of a configuration file without `socket` and `logging`."""
        self._content = content
        self._options = ["--takeover"] if takeover else []
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._asked = self._killed = False
        self._said = ""
        self.settings = Settings(databases=())
        self.socket: Path | None = None
        #: Set to None when every database is followed, to an error if the agent ends before.
        self.ready: Future[LitefleetError | None] = Future()
        #: Set when the process has ended and its directory is gone; the value is ``error``'s.
        self.ended: Future[LitefleetError | None] = Future()

    def start(self) -> None:
        """Start the process; blocks for a moment. Raises ConfigError, UsageError, OSError."""
        if self.socket is not None:
            raise UsageError("This agent was started before", hint="make another Replicator")
        # For its owner only, as all that is made in it.
        directory = Path(tempfile.mkdtemp(prefix="litefleet-"))
        try:
            self._start(directory)
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise

    def _start(self, directory: Path) -> None:
        self.socket = directory / "agent.sock"
        content = {
            "spool": {"path": str(directory / "spool")},
            **self._content,
            "socket": {"path": str(self.socket)},
            "logging": {"level": _level(), "type": "json"},
        }
        self.settings = checked(content)
        config = directory / "litefleet.yml"
        config.touch(0o600)
        config.write_bytes(written(content))
        notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            notified.bind(str(directory / "notify.sock"))
            environment = {key: value for key, value in os.environ.items() if key not in _NOT_FOR_CHILDREN}
            with self._turn:
                self._process = subprocess.Popen(
                    # -P: modules beside the program are not to stand in for those of the standard library.
                    [sys.executable, "-P", "-m", "litefleet.api.child", str(os.getpid()), str(config), *self._options],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    env={**environment, "NOTIFY_SOCKET": str(directory / "notify.sock")},
                    # An interrupt from the terminal is for the program, which commits a last time and then stops it.
                    start_new_session=True,
                )
        except BaseException:
            notified.close()
            raise
        threading.Thread(
            target=self._attend, args=(self._process, notified, directory), name="litefleet", daemon=True
        ).start()
        if self._killed:
            self.kill()

    def stop(self) -> None:
        """Ask it to send the last transactions and end; ``ended`` tells when it has."""
        with self._turn:
            self._asked = True
            if self._process is not None:
                self._process.terminate()

    def kill(self) -> None:
        """End it at once, also if it is only about to start."""
        with self._turn:
            self._asked = self._killed = True
            if self._process is not None:
                self._process.kill()

    def _attend(self, process: subprocess.Popen[bytes], notified: socket.socket, directory: Path) -> None:
        assert process.stderr is not None
        with notified, process.stderr as lines, selectors.DefaultSelector() as selector:
            selector.register(lines, selectors.EVENT_READ)
            selector.register(notified, selectors.EVENT_READ)
            rest = b""
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                if notified in ready and b"READY=1" in notified.recv(65536).split(b"\n") and not self.ready.done():
                    self.ready.set_result(None)
                if lines in ready:
                    block = os.read(lines.fileno(), 65536)
                    *whole, rest = (rest + block).split(b"\n")
                    for line in whole:
                        self._forward(line.decode(errors="replace"))
                    if not block:
                        break
        code = process.wait()
        shutil.rmtree(directory, ignore_errors=True)
        error = self._error(code)
        if not self._asked and self.ready.done():
            log.error("%s", error)
        if not self.ready.done():
            self.ready.set_result(error or LitefleetError("The agent ended before it was ready"))
        self.ended.set_result(error)

    def _forward(self, line: str) -> None:
        try:
            entry: Any = json.loads(line)
            level = logging.getLevelNamesMapping()[entry["level"].upper()]
            name, message, trace = str(entry["logger"]), entry["message"], entry.get("exception")
        except (ValueError, KeyError, TypeError, AttributeError):
            self._note(line)
            return
        logging.getLogger(name).log(level, "%s", f"{message}\n{trace}" if trace else message)

    def _note(self, line: str) -> None:
        """What is not of the log: the last words of the command, which may be several lines, or of Python."""
        if line.startswith("litefleet: "):
            self._said = line.removeprefix("litefleet: ")
        elif self._said:
            self._said += f"\n{line}"
        else:
            log.error("%s", line)

    def _error(self, code: int) -> LitefleetError | None:
        """What its end means; None if it was asked to end, and all is acknowledged."""
        if code == 0 and self._asked:
            return None
        if code == 0:
            return NotDurable("The agent was ended by somebody else", hint="what was committed since then is not sent")
        if code < 0:
            return NotDurable(f"The agent was ended by signal {-code}", hint="what was committed last may not be sent")
        error = _KINDS.get(code, LitefleetError)(self._said or f"The agent ended with exit code {code}")
        error.exit_code = code
        return error


def _level() -> str:
    """What would not be shown need not be written."""
    wanted = logging.getLogger("litefleet").getEffectiveLevel()
    return next((name for level, name in _LEVELS if wanted <= level), "error")
