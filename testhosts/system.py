"""The machine the hosts run on: its programs, its locks, and commands whose failures explain themselves."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

STATE = Path("/run/litefleet-hosts")
"""One directory per fleet: its record, keys, sockets and mount points."""
DISKS = Path("/var/lib/litefleet-hosts")
"""One directory per fleet: the hosts' disk images (``/run`` may be memory)."""
IMAGES = Path("/var/cache/litefleet-hosts")
"""The base images."""

PATH = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/local/sbin:/usr/sbin:/sbin"
PACKAGE_OF = {
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "setsid": "util-linux",
    "unshare": "util-linux",
    "mount": "mount",
    "mkfs.ext4": "e2fsprogs",
}


class HostsError(Exception):
    """A host or the fleet is not as asked; the text says what and where."""

    exit_code = 1


class Unprepared(HostsError):
    """This machine lacks what the hosts need, or the call cannot mean anything."""

    exit_code = 2


def check_machine() -> None:
    """Raise :class:`Unprepared` with one line that names everything missing."""
    wrong = []
    if os.geteuid() != 0:
        wrong.append("root is needed (sudo)")
    packages = sorted({package for program, package in PACKAGE_OF.items() if not shutil.which(program, path=PATH)})
    if packages:
        wrong.append(f"programs are missing: apt-get install {' '.join(packages)}")
    if wrong:
        raise Unprepared("; ".join(wrong))


def attempt(command: Sequence[str], *, text: str = "", timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Run a command with ``text`` on its stdin, whatever its exit code. ``timeout`` in seconds."""
    environment = {**os.environ, "PATH": PATH}
    try:
        return subprocess.run(
            command, check=False, input=text, capture_output=True, text=True, timeout=timeout, env=environment
        )
    except subprocess.TimeoutExpired:
        raise HostsError(f"no end within {timeout:.0f} s: {shlex.join(command)}") from None


def run(*command: str | Path, text: str = "", timeout: float = 60.0) -> str:
    """Run a command that has to succeed, and return its stdout."""
    words = [str(word) for word in command]
    return checked(attempt(words, text=text, timeout=timeout), shlex.join(words)).stdout


def checked(done: subprocess.CompletedProcess[str], what: str) -> subprocess.CompletedProcess[str]:
    """The process, if it ended well; otherwise an error with what it said."""
    if done.returncode:
        raise HostsError(f"{what} ended with {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done


def until(condition: Callable[[], bool], timeout: float, what: str, pause: float = 0.01) -> None:
    """Wait for something the kernel sends no event for; after ``timeout`` seconds raise an error naming ``what``."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise HostsError(f"{what} not within {timeout:.0f} s")
        time.sleep(pause)


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the directory alone, made if missing. Waits for another holder; its removal meanwhile is no harm."""
    while True:
        directory.mkdir(parents=True, exist_ok=True)
        try:
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if directory.is_dir() and directory.stat().st_ino == os.fstat(fd).st_ino:
                yield
                return
        finally:
            os.close(fd)


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace a file in one step."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
    new.replace(path)


def mounts_below(directory: Path) -> list[Path]:
    """Mount points in and below a directory, deepest first."""
    points = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = Path(line.split()[4].encode().decode("unicode_escape"))
        if point == directory or directory in point.parents:
            points.append(point)
    return points[::-1]


def process_is(pid: int, words: Sequence[str]) -> bool:
    """Whether ``pid`` lives and its command line has all these words: a number alone may have been reused."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return False
    return all(word in arguments for word in words)


def child_of(pid: int | None) -> int | None:
    """The first child of a process, if there is one."""
    if pid is None:
        return None
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return None
    return int(children[0]) if children else None
