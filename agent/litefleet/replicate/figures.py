"""What the replication of one database looks like right now: written by its tasks, read by status and metrics."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

State = Literal["starting", "replicating", "waiting", "outage", "failed", "stopped"]
#: Called with a kind of work (``capture``, ``upload``, ``write_lock`` …) and the seconds it took.
Observer = Callable[[str, float], None]


@dataclass(slots=True)
class Level:
    """The objects of one level in the bucket."""

    objects: int = 0
    bytes: int = 0


@dataclass(slots=True)
class Figures:
    """Sizes in bytes, moments in Unix seconds; 0 where something has not happened yet."""

    path: Path
    #: The replica's URL, without secrets.
    replica: str
    #: ``waiting``: the file does not exist; ``outage``: the bucket cannot be reached; ``failed``: a human is needed.
    state: State = "starting"
    #: What is wrong at the moment, as the log says it.
    problem: str = ""
    #: What the WAL's alarm says at the moment: who keeps it from being reused.
    wal_alarm: str = ""
    captured_txid: int = 0
    acknowledged_txid: int = 0
    #: When the newest acknowledged transaction was captured.
    acknowledged_at: float = 0.0
    #: Since when something committed waits to be acknowledged; 0 if nothing does.
    pending_since: float = 0.0
    db_bytes: int = 0
    wal_bytes: int = 0
    spool_bytes: int = 0
    spool_files: int = 0
    #: Whether the files are open; an idle database may be released.
    open: bool = False
    levels: dict[int, Level] = field(default_factory=dict)
    #: Errors by the name of their class.
    errors: Counter[str] = field(default_factory=Counter)
    #: Things done: ``uploads``, ``upload_bytes``, ``checkpoints``, ``snapshots``, ``full_copies``, ``compactions`` …
    done: Counter[str] = field(default_factory=Counter)

    def lag(self, now: float | None = None) -> float:
        """Seconds for which something committed has been waiting to be acknowledged; 0 if all is."""
        if not self.pending_since:
            return 0.0
        return max(0.0, (time.time() if now is None else now) - self.pending_since)
