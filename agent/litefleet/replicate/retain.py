"""Which files no longer serve the recovery window. Pure."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime, timedelta

from litefleet.bucket import Catalogue, LTXFile
from litefleet.bucket.plan import plan
from litefleet.errors import LitefleetError, NoBackup


@dataclass(frozen=True, slots=True)
class Policy:
    """Times in seconds."""

    #: Any time so far back can be restored.
    window: float
    #: Level 0 files are kept so long once a higher level holds the same; 0 keeps them for the window.
    l0_retention: float


@dataclass(frozen=True, slots=True)
class Removal:
    """A file that can go, and why."""

    file: LTXFile
    reason: str


def removable(catalogue: Catalogue, policy: Policy, now: datetime) -> tuple[Removal, ...]:
    """What can go without taking a point of the window, or the newest state, out of reach.

    Raises LitefleetError, and nothing should be removed, if the result would not hold that promise.
    """
    floor = _floor(catalogue, now - timedelta(seconds=policy.window))
    newest = catalogue.newest
    covering = _Cover(catalogue)
    gone: list[Removal] = []
    for file in catalogue.files:
        if file is newest or file is floor:
            continue
        if floor is not None and file.max_txid <= floor.max_txid:
            gone.append(Removal(file, f"before the recovery window, which starts at TXID {floor.max_txid:016x}"))
        elif (cover := covering.of(file)) is not None and _is_spent(cover, policy, now):
            gone.append(Removal(file, f"level {cover.level} has held the same for more than {policy.l0_retention:g} s"))
    _check(catalogue, tuple(removal.file for removal in gone))
    return tuple(gone)


def next_removal(catalogue: Catalogue, policy: Policy, now: datetime) -> float | None:
    """Seconds until ``removable`` can find more than now, if nothing is added; None if it never will."""
    floor = _floor(catalogue, now - timedelta(seconds=policy.window))
    waits = [
        policy.window - (now - file.created).total_seconds()
        for file in catalogue.files
        if file.base and (floor is None or file.max_txid > floor.max_txid)
    ]
    if policy.l0_retention:
        covering = _Cover(catalogue)
        newest = catalogue.newest
        waits += [
            policy.l0_retention - (now - cover.created).total_seconds()
            for file in catalogue.at(0)
            if file is not newest and (cover := covering.of(file))
        ]
    return max(0.0, min(waits)) if waits else None


def _floor(catalogue: Catalogue, start: datetime) -> LTXFile | None:
    """The newest file to begin a restore with that is as old as the window, so that its start can be restored."""
    return max((f for f in catalogue.files if f.base and f.created <= start), key=_reach, default=None)


def _reach(file: LTXFile) -> tuple[int, int]:
    return (file.max_txid, file.level)


def _is_spent(cover: LTXFile, policy: Policy, now: datetime) -> bool:
    """All sources of a file go together: half of them could restore nothing in between."""
    return 0 < policy.l0_retention < (now - cover.created).total_seconds()


class _Cover:
    """Which file of a higher level holds all of a level 0 file."""

    def __init__(self, catalogue: Catalogue) -> None:
        levels = [catalogue.at(level) for level in range(1, 9)]
        self._levels = [(files, [file.min_txid for file in files]) for files in levels if files]

    def of(self, file: LTXFile) -> LTXFile | None:
        """None for a file that is not of level 0, is a full copy, or is the only one to hold something."""
        if file.level or file.full:
            return None
        for files, starts in self._levels:
            at = bisect_right(starts, file.min_txid) - 1
            if at >= 0 and files[at].max_txid >= file.max_txid:
                return files[at]
        return None


def _check(catalogue: Catalogue, gone: tuple[LTXFile, ...]) -> None:
    """The last guard: whatever the rules above said, the newest state has to stay within reach."""
    if not gone:
        return
    names = {file.object.name for file in gone}
    left = Catalogue(tuple(file for file in catalogue.files if file.object.name not in names))
    try:
        before = plan(catalogue).txid
    except NoBackup as error:
        raise LitefleetError(
            f"Nothing is removed, as the newest state cannot be restored: {error.message}",
            hint="a snapshot closes the gap: `litefleet replicate` takes one at the next interval",
        ) from None
    try:
        after = plan(left).txid
    except NoBackup:
        after = 0
    if after != before:
        raise LitefleetError(
            f"Nothing is removed: only TXID {after:016x} of {before:016x} would be left to restore",
            hint="this is a defect of litefleet; please report it with the output of `litefleet ltx --level all`",
        )
