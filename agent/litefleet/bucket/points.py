"""Every point that can be restored, and what it costs to fetch. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from litefleet.bucket.catalogue import LTXFile
from litefleet.bucket.names import SNAPSHOT_LEVEL


@dataclass(frozen=True, slots=True)
class Point:
    """A TXID that ``plan`` can reach exactly; ``size`` are the bytes of the ``files`` that it takes."""

    #: The last one to apply: the point's time and TXID are its.
    file: LTXFile
    files: int
    size: int

    @property
    def txid(self) -> int:
        """The TXID that the restored database has."""
        return self.file.max_txid

    @property
    def kind(self) -> str:
        """What the point is kept as: ``transaction``, ``compacted`` or ``snapshot``."""
        if self.file.level == SNAPSHOT_LEVEL:
            return "snapshot"
        return "compacted" if self.file.level else "transaction"


def points(files: Iterable[LTXFile]) -> list[Point]:
    """All points, ascending; but for sorting in time linear in the number of files."""
    found: list[Point] = []
    # The plan of the newest point so far. That of the next one has the same start, up to where the new file can be
    # applied: it reaches farther than all that followed there.
    chain: list[Point] = []
    ordered = sorted((file for file in files if _usable(file)), key=lambda file: file.max_txid)
    for _, group in groupby(ordered, key=lambda file: file.max_txid):
        file = min(group, key=_preference)
        if file.level == SNAPSHOT_LEVEL:
            chain = []
        elif file.min_txid > _reached(chain, len(chain)) + 1:
            continue
        # A snapshot stays the start of all that is newer.
        least = 1 if chain and chain[0].file.level == SNAPSHOT_LEVEL else 0
        while len(chain) > least and file.min_txid <= _reached(chain, len(chain) - 1) + 1:
            chain.pop()
        before = chain[-1] if chain else None
        point = Point(file, (before.files if before else 0) + 1, (before.size if before else 0) + file.size)
        chain.append(point)
        found.append(point)
    return found


def _usable(file: LTXFile) -> bool:
    return file.level != SNAPSHOT_LEVEL or file.min_txid == 1


def _preference(file: LTXFile) -> tuple[bool, int, int]:
    """Of several files up to the same TXID: a snapshot, else the one that holds most, else the larger level."""
    return (file.level != SNAPSHOT_LEVEL, file.min_txid, -file.level)


def _reached(chain: list[Point], length: int) -> int:
    """The TXID after the first so many files of a plan."""
    return chain[length - 1].txid if length else 0
