"""A Unix socket to listen on: never open to more users than it should be, and never taken from an agent that runs."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from litefleet.errors import ConfigError

_BACKLOG = 16
_ANOTHER = "give `socket.path` another file, or switch it off with `socket: {enabled: false}`"


@contextmanager
def listener(path: Path, mode: int) -> Iterator[socket.socket]:
    """Listen while the block runs; raises ConfigError. The socket that a dead agent left behind is replaced."""
    try:
        path.parent.mkdir(mode=0o750, exist_ok=True)
        with _alone(path.parent):
            _remove_dead(path)
            made = _listen(path, mode)
    except OSError as error:
        # One that does not fit into the system's address has no errno.
        what = error.strerror or str(error)
        raise ConfigError(f"Control socket {path}: {what}", hint=_ANOTHER) from None
    with made:
        own = path.stat()
        try:
            yield made
        finally:
            with contextlib.suppress(FileNotFoundError):
                now = path.stat()
                if (now.st_dev, now.st_ino) == (own.st_dev, own.st_ino):
                    path.unlink()


def peer(link: socket.socket) -> tuple[int, int]:
    """Process and user at the other end; for a client's end, who began to listen."""
    pid, uid, _ = struct.unpack("3i", link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return pid, uid


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Two agents that start at once must not both take a dead one's socket for theirs to replace."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise ConfigError(f"{directory}: another agent is starting", hint="try again in a moment") from None
    finally:
        os.close(handle)


def _remove_dead(path: Path) -> None:
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise ConfigError(f"Control socket {path}: there is a file that is no socket", hint=_ANOTHER)
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        code = probe.connect_ex(str(path))
        if code == errno.ECONNREFUSED:
            path.unlink()
            return
        who = f"process {peer(probe)[0]}" if code == 0 else f"another process ({os.strerror(code)})"
    raise ConfigError(f"Control socket {path}: {who} listens there; is another agent running?", hint=_ANOTHER)


def _listen(path: Path, mode: int) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    try:
        # Before it has a name: there is no moment at which it is open to more users. The umask may only take away.
        os.fchmod(made.fileno(), mode)
        made.bind(str(path))
        path.chmod(mode)
        made.listen(_BACKLOG)
        made.setblocking(False)
    except BaseException:
        made.close()
        raise
    return made
