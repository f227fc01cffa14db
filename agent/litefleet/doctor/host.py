"""This host: what the agent needs of the system, for as many databases as there are."""

from __future__ import annotations

import os
import pwd
import resource
from pathlib import Path

import apsw
from inotify_simple import INotify

from litefleet.config.settings import Settings
from litefleet.doctor.disk import free_bytes, nearest
from litefleet.doctor.finding import Finding
from litefleet.doctor.versions import WAL_RESET, resets_wal_wrongly

#: Descriptors of an open database, and those that the agent needs anyway.
FILES_EACH, FILES_ANYWAY = 8, 64
_WATCHES = Path("/proc/sys/fs/inotify/max_user_watches")


def check_host(settings: Settings, databases: int) -> list[Finding]:
    """``databases`` is how many there are now; blocks for a moment."""
    findings = [_user(), _sqlite(), _files(settings, databases), _notification(databases), _spool(settings)]
    if databases:
        findings.append(_connections())
    return findings


def _user() -> Finding:
    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    if uid == 0:
        hint = "run it as the agent's user too, for example `sudo -u litefleet litefleet doctor`"
        return Finding("note", "host", "user", "checked as root, who may do everything", hint)
    return Finding("ok", "host", "user", f"checked as {name}: access is what this user has")


def _sqlite() -> Finding:
    number = apsw.sqlite_lib_version()
    numbers = [int(part) for part in number.split(".")]
    if resets_wal_wrongly(numbers[0] * 1_000_000 + numbers[1] * 1000 + numbers[2]):
        return Finding("problem", "host", "SQLite", f"the agent's own is {number}", f"{WAL_RESET}: update `apsw`")
    return Finding("ok", "host", "SQLite", f"the agent's own is {number}")


def _files(settings: Settings, databases: int) -> Finding:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Directories may bring more databases at any time.
    most = settings.max_open if settings.directories else min(settings.max_open, databases)
    needed = FILES_EACH * most + FILES_ANYWAY
    detail = f"this process may open {'any number' if soft == resource.RLIM_INFINITY else soft}"
    if soft != resource.RLIM_INFINITY and soft < needed:
        hint = f"raise it (`ulimit -n`, `LimitNOFILE={needed}` in the unit), or lower `max-open`"
        return Finding("warning", "host", "open files", f"{detail}, {most} databases need {needed}", hint)
    return Finding("ok", "host", "open files", f"{detail}, {needed} are needed")


def _notification(databases: int) -> Finding:
    what = "file notification"
    try:
        INotify().close()
    except OSError as error:
        hint = "raise `fs.inotify.max_user_instances` with sysctl; until then databases are polled"
        return Finding("warning", "host", what, f"cannot be had: {error.strerror}", hint)
    try:
        watches = int(_WATCHES.read_text("ascii"))
    except (OSError, ValueError):
        return Finding("ok", "host", what, "works")
    # The WAL, and the directory while there is none.
    needed = 2 * databases
    if watches < needed:
        hint = f"`sysctl fs.inotify.max_user_watches={2 * needed}`; databases beyond it are polled"
        return Finding("warning", "host", what, f"{watches} files may be watched, {needed} are needed", hint)
    return Finding("ok", "host", what, f"works, {watches} files may be watched")


def _spool(settings: Settings) -> Finding:
    path, limit = settings.spool.path, settings.spool.limit
    what = f"spool {path}"
    there = nearest(path)
    if not os.access(there, os.W_OK | os.X_OK, effective_ids=True):
        hint = "let the agent's user write there, or set `spool.path`; without it an outage is not bridged"
        return Finding("problem", "spool", what, f"no write access to {there}", hint)
    free, used = free_bytes(path), _used(path)
    if free is not None and free + used < limit:
        hint = f"make room, or set `spool.limit` below {free + used} bytes"
        return Finding("warning", "spool", what, f"{free} bytes are free, less than its limit of {limit}", hint)
    return Finding("ok", "spool", what, f"{used} of {limit} bytes used, and the disk has room for the rest")


def _used(path: Path) -> int:
    total = 0
    for directory, _, names in os.walk(path):
        for name in names:
            try:
                total += (Path(directory) / name).stat().st_size
            except OSError:
                continue  # sent meanwhile
    return total


def _connections() -> Finding:
    return Finding(
        "note", "host", "applications",
        "what they set for their own connections cannot be seen from here",
        "leave `wal_autocheckpoint` at 1000, set `busy_timeout` to 5000 or more (the agent's write locks are short),"
        " and never use `locking_mode=exclusive`",
    )  # fmt: skip
