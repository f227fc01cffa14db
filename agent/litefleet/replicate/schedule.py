"""When the next checkpoint and the next snapshot of one database are due."""

from __future__ import annotations

import time

from litefleet.bucket import Catalogue
from litefleet.config.settings import Database

#: Seconds between checkpoints while readers keep them from getting anywhere: doubling, up to the second figure.
_FIRST_RETRY, _LAST_RETRY = 1.0, 60.0
#: Seconds until a snapshot is tried again that found the database busy.
_SNAPSHOT_RETRY = 1.0
#: An idle database is looked at this often, whatever else happens.
_LONGEST_IDLE = 3600.0


class Schedule:
    """All results are seconds."""

    def __init__(self, settings: Database, snapshot_interval: float) -> None:
        self._frames = settings.min_checkpoint_page_count
        self._interval = settings.checkpoint_interval
        self._snapshot_interval = snapshot_interval
        self._newest_full = 0.0
        self._no_snapshot_before = 0.0
        self._txid = self._full_txid = 0
        self._last_checkpoint = time.monotonic()
        self._not_before = 0.0
        self._retry = _FIRST_RETRY
        self._uncopied = 0

    def note_catalogue(self, catalogue: Catalogue) -> None:
        """Take the position and the newest full copy from the bucket."""
        self._txid = catalogue.max_txid
        bases = [file for file in catalogue.files if file.base]
        newest = max(bases, key=lambda file: file.max_txid, default=None)
        self._newest_full = newest.created.timestamp() if newest else 0.0
        self._full_txid = newest.max_txid if newest else 0

    def note_acknowledged(self, txid: int, *, full: bool) -> None:
        """A file up to ``txid`` was acknowledged now; ``full`` if it has every page."""
        self._txid = max(self._txid, txid)
        if full:
            self._newest_full, self._full_txid = time.time(), txid

    def demand_snapshot(self) -> None:
        """The newest state cannot be restored as it is: nothing but a snapshot helps, and soon."""
        self._newest_full, self._full_txid = 0.0, -1

    def snapshot_due(self) -> bool:
        """Whether the newest full copy is older than the interval, and something has changed since."""
        return self._until_snapshot() <= 0

    def postpone_snapshot(self) -> None:
        """The database was busy: try again in a while."""
        self._no_snapshot_before = time.monotonic() + _SNAPSHOT_RETRY

    def _until_snapshot(self) -> float:
        if self._txid == self._full_txid:
            return _LONGEST_IDLE
        due = self._newest_full + self._snapshot_interval - time.time()
        return max(due, self._no_snapshot_before - time.monotonic())

    def checkpoint_due(self, uncopied: int) -> bool:
        """Whether ``uncopied`` frames are many, or have waited for long."""
        self._uncopied = uncopied
        now = time.monotonic()
        if not uncopied or now < self._not_before:
            return False
        if uncopied >= self._frames:
            return True
        return self._interval > 0 and now - self._last_checkpoint >= self._interval

    def note_checkpoint(self, uncopied: int) -> None:
        """A checkpoint left so many frames; the fewer it could do, the later the next try."""
        now = time.monotonic()
        self._last_checkpoint = now
        if uncopied:
            self._not_before = now + self._retry
            self._retry = min(_LAST_RETRY, self._retry * 2)
        else:
            self._not_before, self._retry = 0.0, _FIRST_RETRY
        self._uncopied = uncopied

    def idle(self) -> float:
        """How long nothing is due."""
        waits = [_LONGEST_IDLE, self._until_snapshot()]
        if self._uncopied:
            due = self._last_checkpoint + self._interval if self._interval > 0 else float("inf")
            if self._uncopied >= self._frames:
                due = self._last_checkpoint
            waits.append(max(due, self._not_before) - time.monotonic())
        return max(0.0, min(waits))
