"""litefleet keeps SQLite databases restorable from NATS JetStream.

``python -m litefleet`` is the command; programs use the names below, which are loaded when they are first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from litefleet.api import BlockingReplica, Replica, Replicator, Restored, Status, replicating, restore

__all__ = ["BlockingReplica", "Replica", "Replicator", "Restored", "Status", "replicating", "restore"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    api = importlib.import_module("litefleet.api")
    # All at once: `restore` is a package of ours too, which has taken that name's place when it was imported.
    globals().update({known: getattr(api, known) for known in __all__})
    return globals()[name]
