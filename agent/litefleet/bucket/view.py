"""What a bucket holds, looked at once for all databases in it: its objects, and whether their chunks are there."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from litefleet.nats.objects import Listing, ObjectInfo, ObjectStore, below

#: Seconds for which a whole look is good enough to add only what came since; nobody purges objects of others.
_FRESH = 60.0
#: Seconds between two searches for the rest of cut-off uploads.
_SWEEP_PAUSE = 6 * 3600.0


@dataclass(frozen=True, slots=True)
class Contents:
    """The objects below one path; ``broken`` are those of them that lack chunks."""

    listing: Listing
    broken: tuple[ObjectInfo, ...]


class View:
    """Shared by the databases of one bucket."""

    def __init__(self, store: ObjectStore) -> None:
        """``store`` may have any path."""
        self._store = store
        self._turn = asyncio.Lock()
        self._looked = -_FRESH
        #: All objects by the path they are below: a bucket may hold thousands.
        self._paths: dict[str, dict[str, ObjectInfo]] = {}
        self._last = 0
        self._broken: dict[str, ObjectInfo] = {}
        #: Paths that were looked at, so that their own agent may have purged something since.
        self._seen: set[str] = set()
        self._swept = -_SWEEP_PAUSE

    def sweep_due(self) -> bool:
        """Whether it is time to look for what cut-off uploads left; who is told so does it."""
        now = time.monotonic()
        if now - self._swept < _SWEEP_PAUSE:
            return False
        self._swept = now
        return True

    async def look(self, path: str, *, whole: bool = False) -> Contents:
        """What is below ``path`` now; with ``whole`` nothing is taken from an earlier look.

        Raises what requests raise.
        """
        began = time.monotonic()
        async with self._turn:
            # Whoever waited for a look that began after the call has its result.
            if self._looked < (began if whole or path in self._seen else began - _FRESH):
                await self._look()
            else:
                await self._add()
        self._seen.add(path)
        listing = below(path, Listing(tuple(self._paths.get(path, {}).values()), self._last))
        broken = below(path, Listing(tuple(self._broken.values()), self._last)).objects
        return Contents(listing, broken)

    async def _look(self) -> None:
        began = time.monotonic()
        listing = await self._store.list_bucket()
        self._paths = {}
        self._sort(listing)
        self._last = listing.last_sequence
        self._broken = await self._find_broken(listing)
        self._looked = began

    def _sort(self, listing: Listing) -> None:
        for info in listing.objects:
            self._paths.setdefault(_path(info.name), {})[info.name] = info

    async def _add(self) -> None:
        listing = await self._store.list_bucket(after=self._last)
        self._sort(listing)
        for info in listing.objects:
            self._broken.pop(info.name, None)
        self._last = max(self._last, listing.last_sequence)

    async def _find_broken(self, listing: Listing) -> dict[str, ObjectInfo]:
        """Objects whose chunks the leader does not have, also when it is asked again after a look at the metadata."""
        counts = await self._store.chunk_counts()
        suspects = [info for info in listing.objects if counts.get(info.nuid, 0) != info.chunks]
        if not suspects:
            return {}
        # Replaced or removed between the two requests, or still on its way from Litestream.
        counts = await self._store.chunk_counts()
        return {
            info.name: info
            for info in suspects
            if counts.get(info.nuid, 0) != info.chunks and await self._store.stored(info)
        }


def _path(name: str) -> str:
    """Where in the bucket the database is that an object belongs to."""
    before, found, _ = name.rpartition("/ltx/")
    return before if found else name.rpartition("/litefleet/")[0]
