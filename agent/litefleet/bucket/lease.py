"""Whose bucket it is: the identity of its database, and the fence that keeps everybody else from writing.

The lease is an object without content; its headers say which database of which host writes here. Every object is
completed only while the lease in the stream is the one that its writer took (``litefleet.nats.put.Fence``): who takes
it over shuts out the writer before, at once and without a clock.
"""

from __future__ import annotations

import asyncio
import grp
import json
import os
import pwd
import re
import stat
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from litefleet.errors import BucketTaken, ObjectExists, RequestFailed
from litefleet.nats.objects import ObjectInfo, ObjectStore
from litefleet.nats.put import Fence

LEASE_NAME = "litefleet/lease"
_HEADER = "Litefleet-Lease"
#: One for each run of an agent: two of them on one host are told apart.
RUN = uuid.uuid4().hex
#: Looks at a lease that a replica may not know yet, and the seconds between them.
_ATTEMPTS, _PAUSE = 20, 0.1
_MODE = re.compile(r"0?[0-7]{3}")


@dataclass(frozen=True, slots=True)
class Lease:
    """Who writes to a bucket, and what its database file looks like; ``since`` in Unix seconds."""

    path: str
    host: str
    owner: str = ""
    group: str = ""
    #: Permission bits; None where they are not known.
    mode: int | None = None
    run: str = ""
    since: float = 0.0
    #: The stream sequence of the lease.
    sequence: int = 0

    @classmethod
    def of(cls, path: Path, host: str) -> Lease:
        """The lease that the agent on ``host`` takes for the database at ``path``; blocks for a moment."""
        real = Path(os.path.realpath(path))
        owner = group = ""
        mode: int | None = None
        with suppress(OSError):
            there = real.stat()
            mode = stat.S_IMODE(there.st_mode)
            owner, group = str(there.st_uid), str(there.st_gid)
            with suppress(KeyError):
                owner = pwd.getpwuid(there.st_uid).pw_name
            with suppress(KeyError):
                group = grp.getgrgid(there.st_gid).gr_name
        return cls(str(real), host, owner, group, mode, RUN, round(time.time(), 3))

    def same_database(self, other: Lease) -> bool:
        """Whether both are of one database on one host."""
        return (self.path, self.host) == (other.path, other.host)

    def header(self) -> str:
        """As text for the object's header."""
        content = asdict(self)
        del content["sequence"]
        content["mode"] = None if self.mode is None else f"{self.mode:04o}"
        return json.dumps(content)


async def read_lease(store: ObjectStore) -> Lease | None:
    """Whose bucket it is; None for one that nobody has taken yet. A replica answers, which may lag."""
    return parse(await store.info(LEASE_NAME))


def parse(info: ObjectInfo | None) -> Lease | None:
    """The lease in an object's headers; one that cannot be read is nobody's."""
    if info is None:
        return None
    try:
        content = json.loads(info.headers.get(_HEADER, ""))
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        content = {}
    texts = {
        key: content[key] for key in ("path", "host", "owner", "group", "run") if isinstance(content.get(key), str)
    }
    mode, since = content.get("mode"), content.get("since")
    return Lease(
        **{"path": "", "host": "", **texts},
        mode=int(mode, 8) if isinstance(mode, str) and _MODE.fullmatch(mode) else None,
        since=float(since) if isinstance(since, int | float) and 0 <= since < 1 << 53 else 0.0,
        sequence=info.sequence,
    )


async def take(store: ObjectStore, wanted: Lease, *, takeover: bool = False) -> Lease:
    """Make the bucket ours and fence it; the lease that was there before is worth nothing from now on.

    Raises ``BucketTaken`` if it is another database's and ``takeover`` is False, and what requests raise.
    """
    header = wanted.header()
    for _ in range(_ATTEMPTS):
        there = await read_lease(store)
        if there is not None and not takeover:
            refuse_foreign(store, there, wanted)
        store.fence = None
        try:
            stored = await store.put(LEASE_NAME, b"", headers={_HEADER: header}, expect=there.sequence if there else 0)
            # Leases have no content to tell them apart, so a put takes one that was there first for its own.
            ours = stored.headers.get(_HEADER) == header
        except ObjectExists:
            ours = False
        if not ours:
            # Somebody was faster, or what answered us lags behind the leader.
            await asyncio.sleep(_PAUSE)
            continue
        store.fence = Fence(store.metadata_subject(LEASE_NAME), stored.sequence)
        return replace(wanted, sequence=stored.sequence)
    # No verdict about an owner: a replica that lags for longer than this looks the same. It is tried again.
    raise RequestFailed(
        f"{store} cannot be taken: what answers does not know its newest lease, or another agent keeps taking it",
        hint="see whether every server of the cluster is healthy (its /healthz), and whether a second agent runs",
    )


def refuse_foreign(store: ObjectStore, there: Lease, wanted: Lease) -> None:
    """Raise ``BucketTaken`` if the lease is of another database; one that nobody can read is not."""
    if not there.path or there.same_database(wanted):
        return
    raise BucketTaken(
        f"{store} belongs to {there.path} on {there.host}, not to {wanted.path} on {wanted.host}",
        hint="give this database a bucket, or a `path:`, of its own; if it took the other's place:"
        " `litefleet replicate --takeover`",
    )
