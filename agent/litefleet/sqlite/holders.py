"""Who keeps a WAL from being reused: the processes that hold SQLite's locks on the ``-shm`` file.

The caller gives the file's inode and its first bytes: opening and closing it here would drop the locks of a process
that has the database open itself.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["reader", "writer", "checkpoint", "recovery"]

#: Bytes of the ``-shm`` file that the locks are on: one for writing, one for checkpoints, one for recovery, one for
#: each read mark.
_EXCLUSIVE: tuple[tuple[int, Kind], ...] = ((120, "writer"), (121, "checkpoint"), (122, "recovery"))
_FIRST_MARK, _MARKS = 123, 5
_NOT_USED = 0xFFFFFFFF
#: The first of those bytes of the database file that every connection shares while it reads.
_SHARED = 0x40000002
#: The number of the last committed frame, and the read marks.
_FRAMES, _READ_MARKS = struct.Struct("=16xI"), struct.Struct("=100x5I")
#: `python3` alone tells nobody which program it is.
_SCRIPTS = frozenset({".js", ".php", ".pl", ".py", ".rb", ".sh"})

_LINE = re.compile(r"\d+: +POSIX +\S+ +(READ|WRITE) +(\d+) ([0-9a-f]+):([0-9a-f]+):(\d+) (\d+) (\d+|EOF)\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Lock:
    """A POSIX lock that is held, on the bytes ``first`` to ``last`` of a file; ``last`` is None for its end."""

    pid: int
    exclusive: bool
    device: int
    inode: int
    first: int
    last: int | None

    def covers(self, byte: int) -> bool:
        """Whether ``byte`` is among those that are locked."""
        return self.first <= byte and (self.last is None or byte <= self.last)


@dataclass(frozen=True, slots=True)
class Holder:
    """A process, and what it holds of the WAL; the same process can hold several things."""

    pid: int
    #: As the system calls the process, with the script that it runs; empty if it is gone already.
    name: str
    kind: Kind
    #: For a reader: the frame up to which it reads, and beyond which nothing is checkpointed; 0 is the database file.
    frame: int | None
    #: Committed frames of the WAL.
    frames: int
    #: The user that the process runs as; empty if that is not known.
    user: str = ""

    @property
    def own(self) -> bool:
        """Whether it is this very process."""
        return self.pid == os.getpid()


def parse_locks(text: str) -> list[Lock]:
    """The POSIX locks that ``/proc/locks`` tells of; other kinds, and those that are only waited for, are left out."""
    locks = []
    for line in text.splitlines():
        found = _LINE.fullmatch(line)
        if found is None:
            continue
        kind, pid, major, minor, inode, first, last = found.groups()
        device = os.makedev(int(major, 16), int(minor, 16))
        end = None if last == "EOF" else int(last)
        locks.append(Lock(int(pid), kind == "WRITE", device, int(inode), int(first), end))
    return locks


def held(locks: Iterable[Lock], shm: bytes) -> list[tuple[int, Kind, int | None]]:
    """Process, kind and frame for each of the locks on one ``-shm`` file that begins with ``shm``."""
    marks: tuple[int, ...] = _READ_MARKS.unpack_from(shm)
    found: list[tuple[int, Kind, int | None]] = []
    for lock in locks:
        if lock.exclusive:
            found += [(lock.pid, kind, None) for byte, kind in _EXCLUSIVE if lock.covers(byte)]
            continue  # an exclusive lock on a mark lasts for a moment: somebody moves it
        held_marks = [mark for i, mark in enumerate(marks) if lock.covers(_FIRST_MARK + i) and mark != _NOT_USED]
        if held_marks:
            found.append((lock.pid, "reader", min(held_marks)))
    return found


def holders(inode: tuple[int, int], shm: bytes) -> list[Holder]:
    """Who holds what of the WAL, the oldest reader first; blocks for a moment.

    ``inode`` is ``(st_dev, st_ino)`` of the ``-shm`` file, ``shm`` its first 136 bytes. Empty where ``/proc/locks``
    cannot be read; processes of another PID namespace are not seen.
    """
    there = _locks_on(inode)
    (frames,) = _FRAMES.unpack_from(shm)
    oldest: dict[tuple[int, Kind], int | None] = {}
    for pid, kind, frame in held(there, shm):
        key = (pid, kind)
        known = oldest.get(key)
        oldest[key] = frame if known is None or (frame is not None and frame < known) else known
    found = [Holder(pid, _name(pid), kind, frame, frames, _user(pid)) for (pid, kind), frame in oldest.items()]
    return sorted(found, key=lambda holder: (holder.frame is None, holder.frame or 0, holder.kind, holder.pid))


def locked_by(inode: tuple[int, int]) -> str | None:
    """Who lets nobody else into the database file of that ``(st_dev, st_ino)``; None if nobody does. Blocks."""
    for lock in _locks_on(inode):
        if lock.exclusive and lock.covers(_SHARED):
            return f"`{_name(lock.pid)}` (pid {lock.pid})"
    return None


def sentence(found: Sequence[Holder]) -> str:
    """Who keeps the WAL from being reused, for an alarm; this process only if it is nobody else."""
    others = [holder for holder in found if not holder.own]
    readers = [holder for holder in others if holder.kind == "reader"]
    for first, more in ((readers[:1], len(readers) - 1), (others[:1], len(others) - 1)):
        if first:
            return _clause(first[0]) + (f"; {more} more process{'es' if more > 1 else ''} beside it" if more else "")
    if found:
        return f"nobody but the agent itself (pid {os.getpid()}) holds it"
    return "no process that can be seen from here holds it"


def _locks_on(inode: tuple[int, int]) -> list[Lock]:
    try:
        locks = parse_locks(Path("/proc/locks").read_text("ascii", "replace"))
    except OSError:
        return []
    there = [lock for lock in locks if (lock.device, lock.inode) == inode]
    # Btrfs and overlays number their devices in two ways.
    return there or [lock for lock in locks if lock.inode == inode[1] and _may_have_open(lock.pid, inode)]


def _clause(holder: Holder) -> str:
    who = f"`{holder.name}` (pid {holder.pid}{f', user {holder.user}' if holder.user else ''})" if holder.name else (
        f"pid {holder.pid}, which has ended since,"
    )  # fmt: skip
    match holder.kind:
        case "reader":
            return f"a read transaction of {who} has been open since frame {holder.frame} of {holder.frames}"
        case "writer":
            return f"{who} holds the write lock"
        case "checkpoint":
            return f"{who} is at a checkpoint"
        case "recovery":
            return f"{who} recovers the WAL"


def _name(pid: int) -> str:
    """Any program can call itself as it likes: what would move a terminal's cursor is left out."""
    return "".join(char for char in _given_name(pid) if char.isprintable())


def _given_name(pid: int) -> str:
    try:
        name = Path(f"/proc/{pid}/comm").read_text("utf-8", "replace").strip()
    except OSError:
        return ""
    # No more than a script's name of the command line: the rest may hold secrets.
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")
        script = Path(words[1]) if len(words) > 1 and words[1] else Path()
        if script.suffix in _SCRIPTS and script.name != name:
            return f"{name} {script.name}"
    return name


def _user(pid: int) -> str:
    try:
        uid = Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        return ""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _may_have_open(pid: int, inode: tuple[int, int]) -> bool:
    """False only if all files of the process can be seen and this one is not among them."""
    try:
        descriptors = list(Path(f"/proc/{pid}/fd").iterdir())
    except FileNotFoundError:
        return False
    except OSError:
        return True
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            there = descriptor.stat()
            if (there.st_dev, there.st_ino) == inode:
                return True
    return False
