"""Which place in which bucket is whose: two databases on one place would destroy each other's backups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from litefleet.config.settings import Replica

Owner = TypeVar("Owner")


@dataclass(frozen=True, slots=True)
class Claim(Generic[Owner]):
    """A place and who has it."""

    replica: Replica
    owner: Owner


class Targets(Generic[Owner]):
    """Places that are taken. One server in common is enough for two lists to mean one cluster.

    A path holds what is below it, and the root holds everything: a listing of the one would show the other's files.
    """

    def __init__(self) -> None:
        #: By server and bucket, then by path: who is there, and who is there or somewhere below.
        self._at: dict[tuple[str, str], dict[str, Claim[Owner]]] = {}
        self._within: dict[tuple[str, str], dict[str, dict[str, Claim[Owner]]]] = {}

    def claim(self, replica: Replica, owner: Owner) -> Claim[Owner] | None:
        """Take a place; if that cannot be, the claim that is in the way."""
        for bucket in _buckets(replica):
            at, within = self._at.get(bucket, {}), self._within.get(bucket, {})
            for path in _upwards(replica.path):
                if path in at:
                    return at[path]
            if below := within.get(replica.path):
                return next(iter(below.values()))
        claim = Claim(replica, owner)
        for bucket in _buckets(replica):
            self._at.setdefault(bucket, {})[replica.path] = claim
            within = self._within.setdefault(bucket, {})
            for path in _upwards(replica.path):
                within.setdefault(path, {})[replica.path] = claim
        return None

    def release(self, replica: Replica) -> None:
        """Give a place back that ``claim`` took."""
        for bucket in _buckets(replica):
            self._at[bucket].pop(replica.path, None)
            for path in _upwards(replica.path):
                inside = self._within[bucket].get(path, {})
                inside.pop(replica.path, None)
                if not inside:
                    self._within[bucket].pop(path, None)


def in_the_way(replica: Replica, claim: Claim[Owner], name: str) -> str:
    """Why ``replica`` cannot have its place, to follow its own name; ``name`` is that of the claim's owner."""
    where = f"bucket `{replica.bucket}`"
    if replica.path == claim.replica.path:
        same = f"path `{replica.path}` in the same {where}" if replica.path else where
        return (
            f"has the same {same} on the same servers as {name}; each database needs its own bucket, or its own `path`"
        )
    own, other = (f"path `{one.path}`" if one.path else "the root" for one in (replica, claim.replica))
    return (
        f"goes to {own} of {where}, {name} goes to {other} of it, and one holds the other; "
        "give them paths beside each other"
    )


def _buckets(replica: Replica) -> Iterator[tuple[str, str]]:
    return ((url, replica.bucket) for url in replica.server.urls)


def _upwards(path: str) -> Iterator[str]:
    """``a/b/c``, ``a/b``, ``a`` and the root."""
    while path:
        yield path
        path = path.rpartition("/")[0]
    yield ""
