"""Which LTX files, in which order, make the database of a point in time. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from litefleet.bucket.catalogue import Catalogue, LTXFile
from litefleet.bucket.names import SNAPSHOT_LEVEL, format_timestamp
from litefleet.bucket.points import points as restorable
from litefleet.errors import NoBackup


@dataclass(frozen=True, slots=True)
class Plan:
    """The files to apply, oldest first; the first one holds every page. The rest is what was asked for."""

    files: tuple[LTXFile, ...]
    asked_txid: int | None = None
    asked_timestamp: datetime | None = None

    @property
    def txid(self) -> int:
        """The TXID that the restored database will have."""
        return self.files[-1].max_txid

    @property
    def size(self) -> int:
        """Bytes to fetch."""
        return sum(file.size for file in self.files)

    def again(self, catalogue: Catalogue) -> Plan:
        """The answer to the same question from another listing; raises NoBackup."""
        return plan(catalogue, txid=self.asked_txid, timestamp=self.asked_timestamp)


def plan(catalogue: Catalogue, *, txid: int | None = None, timestamp: datetime | None = None) -> Plan:
    """The newest point, or ``txid`` exactly, or the newest point at or before ``timestamp``.

    Raises NoBackup if there is no such point, or if files that should connect to it are missing.
    """
    if not catalogue.files:
        raise NoBackup("The bucket holds no backup", hint="was `litefleet replicate` ever run with this bucket?")
    usable = [
        file
        for file in catalogue.files
        if (txid is None or file.max_txid <= txid) and (timestamp is None or file.created <= timestamp)
    ]
    chain = _chain(usable)
    reached = chain[-1].max_txid if chain else 0
    if txid is not None and reached != txid:
        raise NoBackup(
            f"TXID {txid:016x} cannot be restored: {_neighbours(catalogue, txid)}",
            hint="`litefleet history` lists what can be restored",
        )
    if not chain:
        raise _nothing(catalogue, timestamp)
    beyond = [file for file in usable if file.max_txid > reached and not _joined(catalogue, file)]
    if beyond:
        first = min(beyond, key=lambda file: file.min_txid)
        raise NoBackup(
            f"TXID {reached + 1:016x} is missing: the files from {first.min_txid:016x} on connect to nothing",
            hint=f"`--txid {reached:016x}` restores the state before the gap",
        )
    return Plan(tuple(chain), txid, timestamp)


def _chain(files: list[LTXFile]) -> list[LTXFile]:
    """From the newest snapshot on, always the file that reaches farthest."""
    snapshots = [file for file in files if file.level == SNAPSHOT_LEVEL and file.min_txid == 1]
    chain = [max(snapshots, key=lambda file: file.max_txid)] if snapshots else []
    at = chain[-1].max_txid if chain else 0
    # By first TXID: a file can be taken once everything before it is there, so one pass is enough.
    waiting = sorted((f for f in files if f.level != SNAPSHOT_LEVEL and f.max_txid > at), key=lambda f: f.min_txid)
    best: LTXFile | None = None
    for file in waiting:
        while best is not None and file.min_txid > at + 1:
            chain.append(best)
            at, best = best.max_txid, None
        if file.min_txid > at + 1:
            return chain
        if file.max_txid > at and (best is None or _rank(file) > _rank(best)):
            best = file
    if best is not None:
        chain.append(best)
    return chain


def _joined(catalogue: Catalogue, file: LTXFile) -> bool:
    """Whether a larger file holds the same: then its neighbours are not lost, they are only not single any more."""
    return any(
        other.level > file.level and other.min_txid <= file.min_txid and file.max_txid <= other.max_txid
        for other in catalogue.files
    )


def _rank(file: LTXFile) -> tuple[int, int, int]:
    """The farther the better; then the fewer small files behind it the better."""
    return (file.max_txid, -file.min_txid, file.level)


def _neighbours(catalogue: Catalogue, txid: int) -> str:
    if any(file.max_txid == txid for file in catalogue.files):
        return "files before it are missing"
    points = [point.txid for point in restorable(catalogue.files)]
    below = [point for point in points if point < txid]
    above = [point for point in points if point > txid]
    if below and above:
        return f"around it there are {below[-1]:016x} and {above[0]:016x}"
    if below:
        return f"the newest is {below[-1]:016x}"
    return f"the oldest is {above[0]:016x}" if above else "there is no full copy to apply changes to"


def _nothing(catalogue: Catalogue, timestamp: datetime | None) -> NoBackup:
    """There is no full copy, or none at that time."""
    full = [file.created for file in catalogue.files if file.min_txid == 1]
    if not full or timestamp is None:
        return NoBackup(
            "The bucket holds changes, but no full copy to apply them to",
            hint="where the database still exists, `litefleet replicate` takes a full copy at its next start",
        )
    return NoBackup(
        f"Nothing can be restored at {_text(timestamp)}: the oldest full copy is of {_text(min(full))}",
        hint="name a later time",
    )


def _text(moment: datetime) -> str:
    return format_timestamp(int(moment.timestamp() * 1000))
