"""Owner and mode of a database that is gone: as its lease remembers them."""

from __future__ import annotations

import grp
import logging
import os
import pwd
from collections.abc import Callable
from pathlib import Path

from litefleet.bucket.lease import Lease, read_lease
from litefleet.errors import NatsError
from litefleet.nats.objects import ObjectStore

log = logging.getLogger("litefleet.restore")


async def remembered(store: ObjectStore) -> Lease | None:
    """The lease of a bucket, for ``give_owner``; None if there is none, or nobody but root could use it."""
    if os.geteuid():
        return None
    try:
        return await read_lease(store)
    except NatsError as error:
        log.warning("the database gets the owner and mode of a new file: %s", error)
        return None


def give_owner(file: int, lease: Lease, path: Path) -> None:
    """Give the open ``file``, which is to be ``path``, the owner and group of the lease, or say why it has others."""
    owner = _number(lease.owner, lambda name: pwd.getpwnam(name).pw_uid)
    group = _number(lease.group, lambda name: grp.getgrnam(name).gr_gid)
    unknown = [
        f"{kind} {name!r}"
        for kind, name, number in (("owner", lease.owner, owner), ("group", lease.group, group))
        if name and number is None
    ]
    if unknown:
        log.warning("%s had %s, unknown on this host; change it with `chown`", path, " and ".join(unknown))
    try:
        os.fchown(file, -1 if owner is None else owner, -1 if group is None else group)
    except OSError as error:
        log.warning("%s cannot be given to %s:%s: %s", path, lease.owner, lease.group, error.strerror)


def _number(name: str, find: Callable[[str], int]) -> int | None:
    """The id of a name; one that had no name was noted by number."""
    if name.isascii() and name.isdecimal() and len(name) < 10:
        return int(name)
    try:
        return find(name) if name else None
    except (KeyError, ValueError):
        return None
