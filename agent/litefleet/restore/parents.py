"""Directories for restored databases: made where they are missing, and like the one that they are in."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from litefleet.errors import RestoreError

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def make_parents(base: Path, file: Path) -> None:
    """Make what is missing between the directory ``base`` and ``file`` below it; blocks.

    Each gets owner, group and mode of the one above it: an application could not write beside its database otherwise.
    Raises RestoreError, also for a symbolic link on the way: it may lead out of ``base``.
    """
    try:
        here = os.open(base, _FLAGS)
    except OSError as error:
        raise RestoreError(f"Cannot use directory {base}: {error.strerror}", hint="create it first") from None
    place = base
    try:
        for part in file.parent.relative_to(base).parts:
            place /= part
            below = _enter(here, part)
            os.close(here)
            here = below
    except OSError as error:
        raise RestoreError(
            f"Cannot make or use directory {place}: {error.strerror}", hint="make it a directory, not a link"
        ) from None
    finally:
        os.close(here)


def _enter(above: int, name: str) -> int:
    """A descriptor of the directory of that name, made if it is missing."""
    made = False
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=above)
        made = True
    below = os.open(name, _FLAGS | os.O_NOFOLLOW, dir_fd=above)
    if made:
        like = os.fstat(above)
        with contextlib.suppress(PermissionError):
            os.fchown(below, like.st_uid, like.st_gid)
        os.fchmod(below, stat.S_IMODE(like.st_mode))
    return below
