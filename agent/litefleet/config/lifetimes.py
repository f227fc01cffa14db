"""How often files are joined and copied, and how long they are kept."""

from __future__ import annotations

from itertools import pairwise
from typing import TypedDict

from litefleet.config.document import Entry, Section
from litefleet.config.keys import COMPACTION, RETENTION, SNAPSHOT, check_keys, part
from litefleet.config.settings import Settings
from litefleet.config.values import format_duration

_DEFAULTS = Settings(databases=())
#: Level 9 is for snapshots.
_MOST_LEVELS = 8


class Lifetimes(TypedDict):
    """Fields of Settings."""

    snapshot_interval: float
    snapshot_retention: float
    levels: tuple[float, ...]
    l0_retention: float
    retention_enabled: bool


def read_lifetimes(top: Section) -> Lifetimes:
    """`snapshot`, `levels`, `l0-retention` and `retention` of the top level."""
    snapshot = part(top, "snapshot", SNAPSHOT)
    retention = part(top, "retention", RETENTION)
    enabled = retention.get("enabled") if retention else None
    wanted = enabled.boolean() if enabled else None
    interval, window = _DEFAULTS.snapshot_interval, _DEFAULTS.snapshot_retention
    if snapshot is not None:
        interval = duration(snapshot, "interval", interval, zero=False)
        window = duration(snapshot, "retention", window, zero=False)
    l0_retention = duration(top, "l0-retention", _DEFAULTS.l0_retention, zero=True)
    if l0_retention > window and (entry := top.get("l0-retention")):
        entry.problem("is longer than `snapshot: {retention: …}`, the recovery window, after which everything goes")
    levels = _levels(top)
    blamed = (snapshot and snapshot.get("retention")) or top.get("levels")
    if blamed and wanted is not False and levels and window < levels[0]:
        blamed.problem(
            f"makes the recovery window ({format_duration(window)}) shorter than the first level's interval "
            f"({format_duration(levels[0])}), so that its files would go before the next is made; "
            "write a longer `snapshot: {retention: …}` or shorter `levels`"
        )
    return Lifetimes(
        snapshot_interval=interval,
        snapshot_retention=window,
        levels=levels,
        l0_retention=l0_retention,
        retention_enabled=True if wanted is None else wanted,
    )


def duration(section: Section, key: str, default: float, *, zero: bool) -> float:
    """Seconds; the default also for a value that has a problem."""
    entry = section.get(key)
    value = entry.duration(zero=zero) if entry else None
    return default if value is None else value


def _levels(top: Section) -> tuple[float, ...]:
    entry = top.get("levels")
    entries = entry.items() if entry else None
    if entry is None or entries is None:
        return _DEFAULTS.levels
    if not 1 <= len(entries) <= _MOST_LEVELS:
        entry.problem(f"has {len(entries)} levels; there can be 1 to {_MOST_LEVELS}")
    intervals = [interval for one in entries if (interval := _interval(one)) is not None]
    if any(after <= before for before, after in pairwise(intervals)):
        entry.problem("must become longer from level to level, or a level would have nothing to join")
    return tuple(intervals)


def _interval(entry: Entry) -> float | None:
    section = entry.section()
    if section is None:
        return None
    check_keys(section, COMPACTION)
    interval = section.get("interval")
    if interval is None:
        entry.problem("`interval` is missing")
        return None
    return interval.duration(zero=False)
