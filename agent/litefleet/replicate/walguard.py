"""Notice a WAL that grows because somebody keeps it from being reused, and say who."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from litefleet.replicate.figures import Figures
from litefleet.sqlite import LiveDatabase
from litefleet.sqlite.holders import holders, sentence
from litefleet.wal import frame_offset

log = logging.getLogger("litefleet.replicate")

#: Seconds between two looks at who it is.
_PAUSE = 10.0


class WalGuard:
    """The alarm of one database; it ends once the WAL is used for half of what raised it."""

    def __init__(self, path: Path, limit: int, figures: Figures) -> None:
        """``limit`` in bytes."""
        self._path = path
        self._limit = limit
        self._figures = figures
        self._looked = 0.0

    def look(self, database: LiveDatabase) -> bool:
        """Note the sizes, and raise or end the alarm; whether the WAL is over its limit. Blocks."""
        index = database.index()
        figures = self._figures
        figures.wal_bytes = frame_offset(index.frames, database.page_size) if index.frames else 0
        figures.db_bytes = database.files.main_size()
        over = figures.wal_bytes > self._limit
        if figures.wal_alarm and figures.wal_bytes < self._limit // 2:
            figures.wal_alarm = ""
            log.info("%s: the WAL is reused again", self._path)
        now = time.monotonic()
        if not over or now - self._looked < _PAUSE:
            return over
        self._looked = now
        first = not figures.wal_alarm
        found = sentence(holders(*database.files.index_file()))
        figures.wal_alarm = f"the WAL has {figures.wal_bytes} bytes: {found}"
        if first:
            log.warning("%s: %s", self._path, figures.wal_alarm)
        return over
