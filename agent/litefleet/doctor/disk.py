"""Disks: how much is free, and what kind they are."""

from __future__ import annotations

import os
import re
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(r"\\([0-7]{3})")


def nearest(path: Path) -> Path:
    """The path itself, or the nearest directory above it that exists."""
    for candidate in (path, *path.parents):
        if candidate.exists():
            return candidate
    return Path("/")


def free_bytes(path: Path) -> int | None:
    """Bytes that this user may still write there; None if the system does not say."""
    try:
        there = os.statvfs(nearest(path))
    except OSError:
        return None
    return there.f_bavail * there.f_frsize


def file_system(path: Path) -> str:
    """The kind of file system, such as ``ext4``; empty if the system does not say."""
    try:
        text = _MOUNTS.read_text("utf-8", "replace")
    except OSError:
        return ""
    return mounted(text, Path(os.path.realpath(path)))


def mounted(mountinfo: str, path: Path) -> str:
    """The kind of file system that ``path`` is on, by the text of ``/proc/self/mountinfo``."""
    kind, depth = "", -1
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        point = Path(_ESCAPED.sub(lambda found: chr(int(found[1], 8)), fields[4]))
        # What was mounted later on the same place hides what is below.
        if path.is_relative_to(point) and len(point.parts) >= depth:
            kind, depth = after.split(" ")[0], len(point.parts)
    return kind
