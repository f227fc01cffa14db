"""A run of ansible-playbook: what it is doing goes to the screen, everything it says to a log."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from demo.errors import DemoError, Unfit
from demo.places import CACHE, INVENTORY, PROGRAMS, PROJECT, short
from demo.screen import Screen

_LONGEST_SECONDS = 900.0
_PLAY = re.compile(r"^PLAY \[(.*)\] \**$")
_TASK = re.compile(r"^(?:TASK|RUNNING HANDLER) \[(.*)\] \**$")
_RECAP = re.compile(r"^(\S+)\s+:((?: +\w+=\d+)+)\s*$")


@dataclass
class Run:
    """A playbook's output as far as it is known: the play and the task that run, and the recap at the end."""

    play: str = ""
    task: str = ""
    recap: dict[str, dict[str, int]] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    @property
    def errors(self) -> list[str]:
        """What ansible-playbook itself calls errors; the log says more."""
        return [line for line in self.lines if line.startswith("[ERROR]")]

    def read(self, line: str) -> str:
        """Take one line. The result is the name of the play that it ends, if it does."""
        self.lines.append(line)
        before = self.play
        if match := _PLAY.match(line):
            self.play, self.task = match[1], ""
        elif line.startswith("PLAY RECAP"):
            self.play, self.task = "", ""
        elif match := _TASK.match(line):
            self.task = match[1].removeprefix("litefleet.backup.")
            return ""
        elif match := _RECAP.match(line):
            self.recap[match[1]] = {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", match[2])}
            return ""
        else:
            return ""
        return before

    @property
    def changed(self) -> int:
        """Changes on all hosts together."""
        return sum(host.get("changed", 0) for host in self.recap.values())


def check_programs() -> None:
    """Raises Unfit if the environment that runs the demo is not complete."""
    missing = [name for name in ("ansible-playbook", "nats-server") if not (PROGRAMS / name).exists()]
    if missing:
        raise Unfit(f"{PROGRAMS} has no {' and no '.join(missing)}; `make demo` prepares an environment that has")


def run(screen: Screen, playbook: str, *arguments: str, log: str) -> Run:
    """Run a playbook of the project over the demo's fleet; ``log`` names the log file. Raises DemoError."""
    CACHE.mkdir(parents=True, exist_ok=True)
    path = CACHE / f"{log}.log"
    environment = {
        **os.environ,
        "PATH": f"{PROGRAMS}:{os.environ.get('PATH', '/usr/bin:/bin')}",
        "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
        "PYTHONUNBUFFERED": "1",
    }
    command = [str(PROGRAMS / "ansible-playbook"), "--inventory", str(INVENTORY), playbook, *arguments]
    with subprocess.Popen(
        command, cwd=PROJECT, env=environment, text=True, errors="replace",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        watchdog = threading.Timer(_LONGEST_SECONDS, process.kill)
        watchdog.start()
        try:
            output = _follow(screen, process, path)
        except BaseException:
            _end(process)
            raise
        finally:
            watchdog.cancel()
    if process.returncode == -signal.SIGKILL:
        raise DemoError(f"{playbook} took more than {_LONGEST_SECONDS:.0f} s", log=path)
    if process.returncode:
        why = "".join(f"\n  {line}" for line in output.errors)
        raise DemoError(f"{playbook} ended with {process.returncode}{why}", log=path)
    screen.say(f"everything it said: {short(path)}", "dim")
    return output


def _follow(screen: Screen, process: subprocess.Popen[str], path: Path) -> Run:
    output = Run()
    began = time.monotonic()
    assert process.stdout is not None  # noqa: S101  it is a pipe
    with path.open("w", encoding="utf-8") as log:
        for line in process.stdout:
            log.write(line)
            log.flush()
            if ended := output.read(line.rstrip()):
                screen.say(f"{time.monotonic() - began:5.1f} s  {ended}")
                began = time.monotonic()
            screen.now(" › ".join(filter(None, [output.play, output.task])))  # noqa: RUF001  a separator, not a quote
    return output


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
