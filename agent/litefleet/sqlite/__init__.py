"""One live SQLite database: what holds it still, what it has committed, and when that changes."""

from __future__ import annotations

from litefleet.sqlite.database import DiskRefuses, LiveDatabase
from litefleet.sqlite.watch import Watcher

__all__ = ["DiskRefuses", "LiveDatabase", "Watcher"]
